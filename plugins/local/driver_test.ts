import { conformanceSuite, directoryBackdoor } from "../../tests/conformance/suite.ts";

conformanceSuite("local", {
  plugin: "local",
  roles: ["source", "target"],
  keepsTime: true,
  absentArgs: { dir: "/nowhere/at/all" },
  refused: [
    { args: {}, pointer: "/dir" },
    { args: { dir: "" }, pointer: "/dir" },
    { args: { dir: 7 }, pointer: "/dir" },
    { args: { dir: "relative/path" }, pointer: "/dir" },
    { args: { dir: "/tmp", dri: "/tmp" }, pointer: "/dri" },
  ],
  async device() {
    const base = await Deno.makeTempDir({ prefix: "filesync-local-" });
    await Deno.mkdir(`${base}/root`);
    return {
      ...directoryBackdoor(`${base}/root`),
      args: { dir: `${base}/root` },
      close: () => Deno.remove(base, { recursive: true }),
    };
  },
});
