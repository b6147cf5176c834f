/** Whatever stdout and stderr are connected to, files move and the program ends when it is told to. */
import assert from "node:assert/strict";
import { filesync, inTempDir, jsonLines, localJob, shellCommand } from "./support.ts";

const FILES = 1500;

async function makeFiles(dir: string): Promise<void> {
  for (let n = 0; n < FILES; n++) await Deno.writeTextFile(`${dir}/in/${n}.txt`, `${n}`);
}

function countOf(dir: string): number {
  return [...Deno.readDirSync(dir)].length;
}

/** Ends by itself when all has arrived; fails after two minutes. */
async function arrived(dir: string): Promise<void> {
  for (const end = Date.now() + 120_000; countOf(dir) < FILES;) {
    assert.ok(Date.now() < end, `only ${countOf(dir)} of ${FILES} files arrived`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

for (
  const [what, args, stream] of [
    ["events that nobody reads", ["sync", "--json"], "stdout"],
    ["a log that nobody reads", ["sync", "-v"], "stderr"],
  ] as const
) {
  Deno.test(`sync moves files and stops when told, with ${what}`, async () => {
    await inTempDir(async (dir) => {
      await localJob(dir);
      await makeFiles(dir);
      const other = stream === "stdout" ? "2>/dev/null" : ">/dev/null";
      const command = shellCommand(dir, `exec "$@" ${other}`, [...args]);
      const child = command.spawn();
      await arrived(`${dir}/out`);
      child.kill("SIGTERM");
      assert.equal((await child.status).code, 143);
      await child[stream].cancel();
      await child[stream === "stdout" ? "stderr" : "stdout"].cancel();
    });
  });
}

Deno.test("sync says how many events a slow reader has missed", async () => {
  const { EventPrinter } = await import("../../cli/output/event_printer.ts");
  let text = "";
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => release = resolve);
  const stream = {
    write: async (bytes: Uint8Array) => {
      await gate;
      text += new TextDecoder().decode(bytes);
      return bytes.length;
    },
    writeSync: () => 0,
  };
  const job = { name: "logs", source: { name: "card" }, targets: [{ name: "nas", device: { name: "nas1" } }] };
  // deno-lint-ignore no-explicit-any
  const printer = new EventPrinter({ jobs: [job] } as any, stream);
  const event = { event: "gone", job: "logs", time: "2026-11-25T00:00:00Z" } as const;
  for (let n = 0; n < 30; n++) printer.print({ ...event, path: `${n}-${"x".repeat(1 << 20)}` });
  release();
  await printer.end(1000);
  printer.print({ ...event, path: "last" });
  await printer.end(1000);
  const lines = jsonLines(text);
  const last = lines.at(-1)!;
  assert.deepEqual([last["path"], last["device"], last["schema"]], ["last", "card", 1]);
  assert.equal(lines.length + (last["eventsDropped"] as number), 31);
});

Deno.test("a result that cannot be written is a failure, one that nobody wants is none", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    const full = await shellCommand(dir, 'exec "$@" >/dev/full', ["config", "schema"]).output();
    assert.equal(full.code, 1);
    assert.match(new TextDecoder().decode(full.stderr), /^filesync: Cannot write to stdout: No space left on device/);
    const head = await shellCommand(dir, '"$@" | head -n 1', ["config", "schema"]).output();
    assert.deepEqual([head.code, new TextDecoder().decode(head.stderr)], [0, ""]);
  });
});

Deno.test("sync --json tells time and device of every event of a file, a dry run too", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.writeTextFile(`${dir}/in/a.txt`, "a");
    for (const args of [["--dry-run"], ["--once"]]) {
      const { stdout } = await filesync(dir, ["sync", "--json", ...args]);
      for (const event of jsonLines(stdout)) {
        assert.ok(!Number.isNaN(Date.parse(event["time"] as string)), JSON.stringify(event));
        if (event["path"] === undefined) continue;
        const role = event["target"] === undefined ? "source" : "local";
        assert.equal(event["device"], `logs.${role}`, JSON.stringify(event));
      }
    }
  });
});
