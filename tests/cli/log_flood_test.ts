/** Thousands of files that one reason stops are a handful of lines of the log; `status` and `why` still tell of each. */
import assert from "node:assert/strict";
import { filesync, inTempDir, localJob } from "./support.ts";

const COUNT = 2000;
/** Lines of one reason: five with a name and one with the count. */
const LINES_MAX = 6;

/** What the log says of files, by line, without the time. */
function fileLines(stderr: string): string[] {
  return stderr.split("\n").filter((line) => /^\d\d:\d\d:\d\d \w+ logs: /.test(line)).map((line) => line.slice(9));
}

/** How many files the lines stand for. */
function counted(lines: string[]): number {
  return lines.reduce(
    (sum, line) => sum + 1 + Number(/\(and (\d+) more like it/.exec(line)?.[1] ?? 0),
    0,
  );
}

Deno.test("2,000 names of a listing that cannot be fetched are six lines of the log, and each is known", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    for (let n = 0; n < COUNT; n++) Deno.writeTextFileSync(`${dir}/in/line\nbreak ${n}.txt`, "");
    const { code, stderr } = await filesync(dir, ["sync", "--once"]);
    assert.equal(code, 4, stderr.slice(0, 2000));
    const lines = fileLines(stderr);
    assert.equal(lines.length, LINES_MAX, lines.slice(0, 20).join("\n"));
    assert.match(lines[0]!, /^warning logs: Parked "line\\nbreak \d+\.txt": /);
    assert.match(lines[5]!, / \(and 1994 more like it; filesync status counts all\)$/);
    assert.match((await filesync(dir, ["status"])).stdout, /^Needs you: 2000 files$/m);
    const why = await filesync(dir, ["why", "line\nbreak 1234.txt"]);
    assert.match(why.stdout, /parked/);
  });
});

Deno.test("2,000 files that a target will not take are six lines of the log, and each has its reason", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir, { on_conflict: "park" });
    for (let n = 0; n < COUNT; n++) {
      Deno.writeTextFileSync(`${dir}/in/log_${n}.ulg`, `ours ${n}`);
      Deno.writeTextFileSync(`${dir}/out/log_${n}.ulg`, `theirs ${n}`);
    }
    const { code, stderr } = await filesync(dir, ["sync", "--once"]);
    assert.equal(code, 4, stderr.slice(0, 2000));
    const lines = fileLines(stderr);
    assert.equal(lines.length, LINES_MAX, lines.slice(0, 20).join("\n"));
    assert.equal(counted(lines), COUNT);
    const why = await filesync(dir, ["why", "log_77.ulg"]);
    assert.match(why.stdout, /parked[\s\S]*log_77\.ulg/);
  });
});

/** A source that lists many files and gives none of them. */
const REFUSING = `
import { DriverError } from ${JSON.stringify(import.meta.resolve("../../lib/driver/mod.ts"))};
import { serve } from ${JSON.stringify(import.meta.resolve("../../lib/protocol/serve.ts"))};
const entries = Array.from({ length: ${COUNT} }, (_, n) => ({ path: "log_" + n + ".ulg", kind: "file", sizeBytes: 10 }));
await serve({
  initialize: () => ({ name: "refusing", version: "1", capabilities: { recursiveList: true, callsMax: 8 } }),
  async list(_params, call) {
    for (let at = 0; at < entries.length; at += 1000) await call.entries(entries.slice(at, at + 1000));
  },
  stat: ({ path }) => ({ path, kind: path === "" ? "directory" : "file" }),
  download({ path }) {
    throw new DriverError("failed", "Cannot read " + path + ": input/output error");
  },
}, { name: "refusing", version: "1" });
`;

Deno.test("2,000 files of a source that fails for one reason are a handful of lines, try after try", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir, { source: { driver: "refusing", args: {} }, attempts: 2 });
    const config = JSON.parse(await Deno.readTextFile(`${dir}/config.json`));
    await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify({ ...config, plugins: { dirs: ["plugins"] } }));
    await Deno.mkdir(`${dir}/plugins/refusing`, { recursive: true });
    await Deno.writeTextFile(`${dir}/plugins/refusing/main.ts`, REFUSING);
    const manifest = {
      name: "refusing",
      version: "1",
      protocol: 1,
      description: "A source that gives nothing",
      roles: ["source"],
      command: ["./main.ts"],
      args: { type: "object", properties: {}, additionalProperties: false },
      permissions: {},
    };
    await Deno.writeTextFile(`${dir}/plugins/refusing/filesync-plugin.json`, JSON.stringify(manifest));
    const { stderr } = await filesync(dir, ["sync", "--once"]);
    const lines = fileLines(stderr);
    assert.ok(lines.length <= 2 * LINES_MAX, lines.slice(0, 40).join("\n"));
    assert.match(
      lines[0]!,
      /^info logs: Cannot download "log_\d+\.ulg": Cannot read log_\d+\.ulg: input\/output error; next try/,
    );
    assert.ok(counted(lines) >= COUNT, lines.join("\n"));
  });
});
