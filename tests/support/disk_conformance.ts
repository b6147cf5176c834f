/** The conformance suite for a drive with one filesystem, mounted by the driver itself. */
import { conformanceSuite, directoryBackdoor, type Fixture, ODD_NAMES } from "../conformance/suite.ts";
import { type Filesystem, LoopDrive, tool } from "./loop_drive.ts";

/** What the filesystem can hold, and which cases are to be tried. */
export interface Traits extends Pick<Fixture, "names" | "keepsTime"> {
  /** @default {all} */
  only?: RegExp;
}

/** Names that FAT and exFAT can hold beside one another. */
export const FAT_NAMES: readonly string[] = ODD_NAMES.filter((name) =>
  !/["*:<>?\\|]|[. ]$/.test(name) && name !== "upper.ulg"
);

/** The folder of the drive that the driver is given. */
const FOLDER = "root";

export function diskConformance(filesystem: Filesystem, traits: Traits): void {
  conformanceSuite(`disk with ${filesystem}`, {
    ...traits,
    plugin: "disk",
    roles: ["source", "target"],
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
      const drive = await LoopDrive.make(base, { filesystem });
      const seen = `${base}/seen`;
      /** Shows the folder to the suite, and leaves the mounting of the drive to the driver. */
      const show = async () => {
        await drive.mount(`${base}/whole`);
        await Deno.mkdir(`${base}/whole/${FOLDER}`, { recursive: true });
        await tool("mount", "--bind", `${base}/whole/${FOLDER}`, seen);
        await tool("umount", `${base}/whole`);
      };
      await Deno.mkdir(seen);
      await drive.plugIn();
      await show();
      return {
        ...directoryBackdoor(seen),
        async breakIt() {
          // What is on it was there before: a pulled drive keeps only what had reached it.
          await tool("sync", "-f", seen);
          await tool("umount", "-l", seen);
          await drive.pull();
        },
        async restore() {
          await drive.plugIn();
          await show();
        },
        args: { uuid: drive.uuid, mount_point: `${base}/mount`, subdir: FOLDER },
        async close() {
          await tool("umount", "-l", seen);
          await drive[Symbol.asyncDispose]();
          await Deno.remove(base, { recursive: true });
        },
      };
    },
  }, traits.only);
}
