/** `filesync service print`: the unit that a configuration needs. */
import assert from "node:assert/strict";
import { filesync, inTempDir } from "./support.ts";

Deno.test("service print lets a driver of other people write where its arguments lead, and warns of bubblewrap", async () => {
  await inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/plugins/camera`, { recursive: true });
    await Deno.writeTextFile(`${dir}/plugins/camera/run.sh`, "#!/bin/sh\n", { mode: 0o755 });
    const path = { type: "string", format: "path" };
    const manifest = {
      name: "camera",
      version: "1",
      protocol: 1,
      roles: ["source", "target"],
      command: ["./run.sh"],
      args: { type: "object", properties: { dir: path, note: { type: "string" } } },
    };
    await Deno.writeTextFile(`${dir}/plugins/camera/filesync-plugin.json`, JSON.stringify(manifest), { mode: 0o644 });
    const camera = (name: string) => ({ driver: "camera", args: { dir: `./${name}`, note: "/etc" } });
    const write = (plugins: object) =>
      Deno.writeTextFile(
        `${dir}/config.json`,
        JSON.stringify({
          plugins: { dirs: ["./plugins"], ...plugins },
          jobs: [{ name: "a", source: camera("in"), target: camera("out") }],
        }),
      );
    const print = () => filesync(dir, ["service", "print", "--program", "/usr/local/bin/filesync"]);
    await write({});
    const plain = await print();
    assert.equal(plain.code, 0, plain.stderr);
    assert.match(plain.stdout, new RegExp(`^ReadWritePaths=-${dir}/out$`, "m"));
    assert.doesNotMatch(plain.stdout, new RegExp(`^ReadWritePaths=-(${dir}/in|/etc)$`, "m"));
    assert.equal(plain.stderr, "");
    await write({ wrappers: { camera: "bubblewrap" } });
    assert.match((await print()).stderr, /Driver "camera" will not start in this service/);
  });
});
