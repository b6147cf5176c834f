import { conformanceSuite, directoryBackdoor } from "../../tests/conformance/suite.ts";
import { DRIVES, hasDrives, LoopDrive, tool } from "../../tests/support/loop_drive.ts";
import { testNeeding } from "../../tests/support/needs.ts";

if (hasDrives()) {
  conformanceSuite("disk", {
    plugin: "disk",
    roles: ["source", "target"],
    keepsTime: true,
    absentArgs: { uuid: "0000-0000" },
    refused: [
      { args: {}, pointer: "/uuid" },
      { args: { uuid: "" }, pointer: "/uuid" },
      { args: { uuid: "../sda1" }, pointer: "/uuid" },
      { args: { uuid: "D1C6-0146", mount: "always" }, pointer: "/mount" },
      { args: { uuid: "D1C6-0146", mount_point: "relative" }, pointer: "/mount_point" },
      { args: { uuid: "D1C6-0146", subdir: "../.." }, pointer: "/subdir" },
      { args: { uuid: "D1C6-0146", uid: 1 }, pointer: "/uid" },
    ],
    async device() {
      const base = await Deno.makeTempDir({ prefix: "filesync-disk-" });
      const drive = await LoopDrive.make(base);
      await drive.plugIn();
      await drive.mount(`${base}/drive`);
      await Deno.remove(`${base}/drive/lost+found`);
      return {
        ...directoryBackdoor(`${base}/drive`),
        async breakIt() {
          // What is on it was there before: a pulled drive keeps only what had reached it.
          await tool("sync", "-f", `${base}/drive`);
          await drive.pull();
        },
        async restore() {
          await drive.plugIn();
          await drive.mount(`${base}/drive`);
        },
        args: { uuid: drive.uuid, mount: "never" },
        async close() {
          await drive[Symbol.asyncDispose]();
          await Deno.remove(base, { recursive: true });
        },
      };
    },
  });
} else testNeeding(DRIVES, "disk: conformance", () => {}, false);
