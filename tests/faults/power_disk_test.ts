// Goal: the disk whose power is cut loses all that POSIX allows it to lose, and nothing else; a program in the wrong
// order is caught. Method: short programs, each call written down, and one real program under strace.
import assert from "node:assert/strict";
import { join } from "node:path";
import { testNeeding } from "../support/needs.ts";
import { type Chance, CORNERS, EVERYTHING, mixture, NOTHING_MORE, PowerDisk } from "./power_disk.ts";
import { type DiskCall, readTrace, straceCommand } from "./power_trace.ts";

const text = (value: string) => new TextEncoder().encode(value);
type Step = DiskCall extends infer Call ? Call extends DiskCall ? Omit<Call, "began"> : never : never;

/** Calls one after another. */
function program(...steps: Step[]): DiskCall[] {
  return steps.map((step, began) => ({ ...step, began }) as DiskCall);
}

const open = (handle: number, path: string): Step => ({
  call: "open",
  handle,
  path,
  create: true,
  exclusive: false,
  truncate: false,
});
const write = (handle: number, offset: number, value: string): Step => ({
  call: "write",
  handle,
  offset,
  bytes: text(value),
  sizeBytes: value.length,
});
const sync = (handle: number, failed = false): Step => ({ call: "fsync", handle, path: "", failed });
const rename = (from: string, to: string): Step => ({ call: "rename", from, to });

const START = [{ path: "/d" }, { path: "/d/old", bytes: text("old") }];

/** What is left, as one line per file. */
function left(calls: DiskCall[], chance: Chance, cut = calls.length): string[] {
  return new PowerDisk(START, calls).left(cut, chance).filter(({ bytes }) => bytes !== undefined)
    .map(({ path, bytes }) => `${path}=${new TextDecoder().decode(bytes).replaceAll("\0", "0")}`);
}

Deno.test("PowerDisk loses bytes and names that were not synced, and keeps what was", () => {
  const calls = program(open(1, "/d/a"), write(1, 0, "12"), sync(1), open(2, "/d"), sync(2), write(1, 2, "34"));
  assert.deepEqual(left(calls, NOTHING_MORE), ["/d/a=12", "/d/old=old"]);
  assert.deepEqual(left(calls, NOTHING_MORE, 4), ["/d/old=old"], "a synced file without a synced name is lost");
  assert.deepEqual(left(calls, NOTHING_MORE, 2), ["/d/old=old"]);
  assert.deepEqual(left(calls, EVERYTHING), ["/d/a=1234", "/d/old=old"]);
});

Deno.test("PowerDisk keeps a name without its bytes, and a length without its bytes", () => {
  const calls = program(open(1, "/d/a"), write(1, 0, "12"));
  const [, without, zeros] = CORNERS;
  assert.deepEqual(left(calls, without!), ["/d/a=", "/d/old=old"]);
  assert.deepEqual(left(calls, zeros!), ["/d/a=00", "/d/old=old"]);
});

Deno.test("PowerDisk keeps a later write without an earlier one", () => {
  const calls = program(open(1, "/d/old"), write(1, 0, "AAA"), write(1, 3, "BBB"));
  const second: Chance = { name: "second", bytes: ({ at }) => at === 2 ? "kept" : "lost", names: () => "kept" };
  assert.deepEqual(left(calls, second), ["/d/old=oldBBB"]);
});

Deno.test("PowerDisk lets an fsync cover what had ended before it began, and no more", () => {
  const calls = program(open(1, "/d/old"), write(1, 0, "A"), sync(1));
  calls.splice(2, 0, { ...write(1, 1, "B"), began: 2 } as DiskCall);
  // The fsync had begun before the second write ended.
  calls[3] = { ...calls[3]!, began: 2 } as DiskCall;
  assert.deepEqual(left(calls, NOTHING_MORE), ["/d/old=Ald"]);
});

Deno.test("PowerDisk catches a rename before the fsync, and passes the right order", () => {
  const right = program(
    open(1, "/d/new"),
    write(1, 0, "whole"),
    sync(1),
    rename("/d/new", "/d/old"),
    open(2, "/d"),
    sync(2),
  );
  const wrong = program(
    open(1, "/d/new"),
    write(1, 0, "whole"),
    rename("/d/new", "/d/old"),
    sync(1),
    open(2, "/d"),
    sync(2),
  );
  const isHalf = (calls: DiskCall[]) => {
    const disk = new PowerDisk(START, calls);
    return disk.cuts.some((cut) =>
      [...CORNERS, mixture(1), mixture(2)].some((chance) =>
        !["old", "whole"].includes(
          new TextDecoder().decode(disk.left(cut, chance).find(({ path }) => path === "/d/old")?.bytes),
        )
      )
    );
  };
  assert.equal(isHalf(right), false);
  assert.equal(isHalf(wrong), true);
});

Deno.test("PowerDisk brings back a removed name, and loses a file in a directory that was not synced", () => {
  const removed = program({ call: "unlink", path: "/d/old" });
  assert.deepEqual(left(removed, NOTHING_MORE), ["/d/old=old"]);
  const nested = program(
    { call: "mkdir", path: "/d/new" },
    open(1, "/d/new/a"),
    write(1, 0, "1"),
    sync(1),
    open(2, "/d/new"),
    sync(2),
  );
  assert.deepEqual(left(nested, NOTHING_MORE), ["/d/old=old"]);
});

Deno.test("PowerDisk does not let an fsync make up for one that failed", () => {
  const calls = program(open(1, "/d/old"), write(1, 0, "A"), sync(1, true), write(1, 1, "B"), sync(1));
  assert.deepEqual(left(calls, NOTHING_MORE), ["/d/old=oBd"]);
});

Deno.test("PowerDisk never loses what another machine has taken", () => {
  const calls = program(open(1, "/d/a"), write(1, 0, "12"));
  const disk = new PowerDisk(START, calls, { safe: ["/d"] });
  assert.equal(disk.left(2, NOTHING_MORE).length, 3);
});

Deno.test("mixture() is the same for the same seed", () => {
  const calls = program(open(1, "/d/a"), write(1, 0, "x".repeat(20_000)), { call: "unlink", path: "/d/old" });
  for (let seed = 0; seed < 20; seed++) assert.deepEqual(left(calls, mixture(seed)), left(calls, mixture(seed)));
  const states = new Set(Array.from({ length: 60 }, (_, seed) => left(calls, mixture(seed)).join()));
  assert.ok(states.size > 5, "different seeds leave different things");
});

/** Records a shell script or a Deno program in a directory of its own. */
async function recorded(script: string): Promise<{ dir: string; calls: DiskCall[] }> {
  const dir = await Deno.realPath(await Deno.makeTempDir({ prefix: "filesync-trace-" }));
  const log = `${dir}.log`;
  try {
    await Deno.writeTextFile(join(dir, "old"), "old");
    const [command, ...args] = straceCommand(log, [Deno.execPath(), "eval", script, dir]);
    const { success, stderr } = await new Deno.Command(command!, { args }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    return { dir, calls: await readTrace(log, [dir]) };
  } finally {
    await Deno.remove(dir, { recursive: true });
    await Deno.remove(log);
  }
}

testNeeding(
  "strace",
  "readTrace() reads what a real program did, whichever calls it used and in which thread",
  async () => {
    const { dir, calls } = await recorded(`
    const dir = Deno.args[0];
    Deno.mkdirSync(dir + "/sub");
    const file = Deno.openSync(dir + "/sub/a", { create: true, read: true, write: true });
    file.writeSync(new TextEncoder().encode("hello \\"world\\"\\n"));
    file.seekSync(1, Deno.SeekMode.Start);
    file.readSync(new Uint8Array(1));
    file.writeSync(new Uint8Array([0, 255, 92]));
    await file.sync();
    file.truncateSync(20);
    file.close();
    Deno.copyFileSync(dir + "/sub/a", dir + "/copy");
    await Deno.writeFile(dir + "/later", new Uint8Array(5000).fill(7));
    Deno.linkSync(dir + "/later", dir + "/linked");
    await Deno.rename(dir + "/later", dir + "/sub/moved");
    Deno.removeSync(dir + "/old");
  `);
    const disk = new PowerDisk([{ path: dir }, { path: `${dir}/old`, bytes: text("old") }], calls);
    const files = new Map(
      disk.left(calls.length, EVERYTHING).filter(({ bytes }) => bytes !== undefined).map(({ path, bytes }) => [
        path.slice(dir.length + 1),
        bytes!,
      ]),
    );
    assert.deepEqual([...files.keys()].sort(), ["copy", "linked", "sub/a", "sub/moved"]);
    const expected = new Uint8Array(20);
    expected.set(text('he\0\xff\\ "world"\n').subarray(0, 2));
    expected.set([0, 255, 92], 2);
    expected.set(text(' "world"\n'), 5);
    assert.deepEqual(files.get("sub/a"), expected);
    assert.deepEqual(files.get("copy"), expected);
    assert.deepEqual(files.get("linked"), new Uint8Array(5000).fill(7));
    assert.deepEqual(files.get("sub/moved"), files.get("linked"));
  },
);

testNeeding(
  "strace",
  "A real program that renames before it syncs is caught, and one that syncs first is not",
  async () => {
    const mover = (first: string, second: string) => `
    const dir = Deno.args[0];
    const file = Deno.openSync(dir + "/new", { create: true, write: true });
    file.writeSync(new TextEncoder().encode("whole"));
    ${first}
    ${second}
    const folder = Deno.openSync(dir);
    folder.syncSync();`;
    const [sync, move] = ["file.syncSync();", 'Deno.renameSync(dir + "/new", dir + "/old");'];
    const isHalf = async (script: string) => {
      const { dir, calls } = await recorded(script);
      const disk = new PowerDisk([{ path: dir }, { path: `${dir}/old`, bytes: text("old") }], calls);
      return disk.cuts.some((cut) =>
        CORNERS.some((chance) => {
          const bytes = disk.left(cut, chance).find(({ path }) => path === `${dir}/old`)?.bytes;
          return !["old", "whole"].includes(new TextDecoder().decode(bytes));
        })
      );
    };
    assert.equal(await isHalf(mover(sync, move)), false);
    assert.equal(await isHalf(mover(move, sync)), true);
  },
);
