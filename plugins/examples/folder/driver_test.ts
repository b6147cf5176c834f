/** The example that the document leads to passes what the built-in drivers pass. */
import { conformanceSuite, directoryBackdoor, pluginIn } from "../../../tests/conformance/suite.ts";
import { hasCommand, testNeeding } from "../../../tests/support/needs.ts";

if (hasCommand("python3")) {
  conformanceSuite("folder", {
    plugin: pluginIn(import.meta.dirname ?? "."),
    roles: ["source", "target"],
    keepsTime: true,
    absentArgs: { dir: "/nowhere/at/all" },
    refused: [
      { args: {}, pointer: "/dir" },
      { args: { dir: "" }, pointer: "/dir" },
      { args: { dir: "relative/path" }, pointer: "/dir" },
    ],
    async device() {
      const base = await Deno.makeTempDir({ prefix: "filesync-folder-" });
      await Deno.mkdir(`${base}/root`);
      return {
        ...directoryBackdoor(`${base}/root`),
        args: { dir: `${base}/root` },
        close: () => Deno.remove(base, { recursive: true }),
      };
    },
  });
} else testNeeding("python3", "folder: the conformance suite", () => {});
