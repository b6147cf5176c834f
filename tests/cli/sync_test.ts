/** `sync`, `status` and `ls` with real files, as a user sees them. */
import assert from "node:assert/strict";
import { filesync, inTempDir, jsonLines, localJob, Running } from "./support.ts";

const EVENTS = new Set([
  "start",
  "found",
  "progress",
  "downloaded",
  "delivered",
  "parked",
  "uncertain",
  "gone",
  "device",
  "safe_to_unplug",
  "removed",
  "summary",
]);

/** A job that moves so slowly that it can be interrupted. */
const SLOW = { limits: { download: "200KiB/s" } };

async function randomFile(path: string, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, Math.min(size, at + 65_536)));
  await Deno.writeFile(path, bytes);
  return bytes;
}

Deno.test("sync --once moves files and says so in plain lines", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.mkdir(`${dir}/in/2026-11-23`);
    await Deno.writeTextFile(`${dir}/in/2026-11-23/a b.ulg`, "hello");
    await Deno.writeTextFile(`${dir}/in/empty`, "");
    const first = await filesync(dir, ["sync", "--once"]);
    assert.deepEqual([first.code, first.stdout], [0, ""], first.stderr);
    assert.match(first.stderr, /^\d\d:\d\d:\d\d info logs: Delivered "2026-11-23\/a b\.ulg" to "\S+" \(5 B, /m);
    assert.match(first.stderr, /^2 files delivered \(5 B\) in \S+ m?s$/m);
    assert.ok(!first.stderr.includes("\x1b"), "no colours where there is no terminal");
    assert.ok(!first.stderr.includes("Found"), "what is found is told only when asked for");
    assert.equal(await Deno.readTextFile(`${dir}/out/2026-11-23/a b.ulg`), "hello");
    const second = await filesync(dir, ["sync", "--once", "-v"]);
    assert.equal(second.code, 0);
    assert.match(second.stderr, /^Nothing to do/m);
  });
});

Deno.test("sync --once --json prints events with their schema, and nothing else on stdout", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.writeTextFile(`${dir}/in/evil\x1b[2J\u009b.txt`, "x");
    await Deno.writeTextFile(`${dir}/in/日本.txt`, "y");
    const { code, stdout, stderr } = await filesync(dir, ["sync", "--once", "--json"]);
    assert.deepEqual([code, stderr.includes("\x1b")], [4, false], "a name with control characters is parked");
    assert.ok(!stdout.includes("\x1b") && !stdout.includes("\u009b"), "no control character of a name comes through");
    const events = jsonLines(stdout);
    for (const event of events) {
      assert.ok(EVENTS.has(event["event"] as string), JSON.stringify(event));
      assert.equal(event["schema"], 1);
      assert.ok(!Number.isNaN(Date.parse(event["time"] as string)));
    }
    const names = events.map(({ event }) => event);
    assert.equal(names[0], "start");
    assert.equal(names.at(-1), "summary");
    assert.equal(names.filter((name) => name === "summary").length, 1);
    const delivered = events.find(({ event }) => event === "delivered")!;
    assert.equal(delivered["path"], "日本.txt");
    assert.equal(delivered["job"], "logs");
    assert.equal(events.at(-1)!["exitCode"], 4);
  });
});

Deno.test("sync keeps moving when nobody reads its events any more", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    for (let n = 0; n < 200; n++) await Deno.writeTextFile(`${dir}/in/${n}.txt`, `${n}`);
    const running = new Deno.Command("sh", {
      args: [
        "-c",
        `"$0" run -A --no-prompt "$1" sync --once --json | head -n 1`,
        Deno.execPath(),
        new URL("../../cli/main.ts", import.meta.url).pathname,
      ],
      cwd: dir,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
    const { stdout, stderr } = await running.output();
    assert.equal(jsonLines(new TextDecoder().decode(stdout)).length, 1);
    assert.equal(new TextDecoder().decode(stderr), "");
    assert.equal([...Deno.readDirSync(`${dir}/out`)].length, 200);
  });
});

Deno.test("sync speaks to the systemd journal in its own way", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.writeTextFile(`${dir}/in/a.txt`, "hello");
    await Deno.writeTextFile(`${dir}/journal`, "");
    const script =
      'exec 2>>journal; JOURNAL_STREAM=$(stat -c %d:%i journal) exec "$0" run -A --no-prompt "$1" sync --once';
    const { code } = await new Deno.Command("sh", {
      args: ["-c", script, Deno.execPath(), new URL("../../cli/main.ts", import.meta.url).pathname],
      cwd: dir,
      stdin: "null",
      stdout: "null",
    }).output();
    assert.equal(code, 0);
    const lines = (await Deno.readTextFile(`${dir}/journal`)).trimEnd().split("\n");
    assert.match(lines[0]!, /^<6>logs: Delivered "a\.txt"/);
    assert.match(lines.at(-1)!, /^<6>1 file delivered/);
    // Another stderr than the one that the variable names.
    const plain = await filesync(dir, ["sync", "--once", "-v"], { JOURNAL_STREAM: "1:2" });
    assert.match(plain.stderr, /^\d\d:\d\d:\d\d debug /);
  });
});

Deno.test("sync writes its log file as configured, beside the console's own level", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.writeTextFile(`${dir}/in/a.txt`, "hello");
    const env = { FILESYNC_LOG_FILE: "logs/filesync.log", FILESYNC_LOG_LEVEL: "debug" };
    const { code, stderr } = await filesync(dir, ["sync", "--once", "--quiet"], env);
    assert.deepEqual([code, stderr], [0, ""]);
    const log = await Deno.readTextFile(`${dir}/logs/filesync.log`);
    assert.match(log, /^\S+Z debug logs: Found "a\.txt" \(5 B\)$/m);
    assert.match(log, /^\S+Z info logs: Delivered "a\.txt"/m);
  });
});

Deno.test("sync --dry-run shows what would be moved and moves nothing", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.writeTextFile(`${dir}/in/a.txt`, "hello");
    const plain = await filesync(dir, ["sync", "--dry-run"]);
    assert.equal(plain.code, 0, plain.stderr);
    assert.match(plain.stdout, /^new +5 B +logs: a\.txt +→ \S+: a\.txt\n$/);
    assert.match(plain.stderr, /1 file \(5 B\) would be moved/);
    const json = jsonLines((await filesync(dir, ["sync", "-n", "--json"])).stdout);
    assert.deepEqual(json.map(({ schema, path, why }) => ({ schema, path, why })), [
      { schema: 1, path: "a.txt", why: "new" },
    ]);
    assert.deepEqual([...Deno.readDirSync(`${dir}/out`)], []);
  });
});

Deno.test("sync --job runs only the job that is named, and refuses one that is not there", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    const { code, stderr } = await filesync(dir, ["sync", "--once", "--job", "nope"]);
    assert.equal(code, 2);
    assert.match(stderr, /^filesync: .*"nope"/);
    assert.match(stderr, /logs/);
    assert.equal((await filesync(dir, ["sync", "--once", "--job", "logs"])).code, 0);
  });
});

Deno.test("sync --quiet says nothing when all is well", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.writeTextFile(`${dir}/in/a.txt`, "hello");
    const { code, stdout, stderr } = await filesync(dir, ["sync", "--once", "--quiet"]);
    assert.deepEqual([code, stdout, stderr], [0, "", ""]);
  });
});

Deno.test("sync ends with 5 when a device is away, and names it", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.remove(`${dir}/in`);
    const { code, stderr } = await filesync(dir, ["sync", "--once"]);
    assert.equal(code, 5, stderr);
    assert.match(stderr, /warning logs\.source: Device is not available: /);
  });
});

Deno.test("a second sync of the same state is told the first one's pid and ends with 7", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    const first = new Running(dir, ["sync", "--json"]);
    try {
      await first.stdoutMatches(/"event":"start"/);
      const second = await filesync(dir, ["sync", "--once"]);
      assert.equal(second.code, 7, second.stderr);
      assert.match(second.stderr, new RegExp(`\\b${first.child.pid}\\b`));
      const status = await filesync(dir, ["status", "--json"]);
      assert.equal(status.code, 0, status.stderr);
      assert.equal(jsonLines(status.stdout)[0]!["pid"], first.child.pid);
    } finally {
      first.child.kill("SIGTERM");
    }
    assert.equal((await first.ended()).code, 143);
  });
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`sync stops at ${signal} with ${code}, and the next run goes on where it stopped`, async () => {
    await inTempDir(async (dir) => {
      await localJob(dir, SLOW);
      const bytes = await randomFile(`${dir}/in/big.bin`, 1_500_000);
      const first = new Running(dir, ["sync", "--json"]);
      await first.stdoutMatches(/"event":"progress".*"doneBytes":[1-9]/);
      first.child.kill(signal);
      const ended = await first.ended();
      assert.equal(ended.code, code);
      assert.match(ended.stderr, /^\d\d:\d\d:\d\d warning filesync: Stopping: /m);
      assert.equal(jsonLines(ended.stdout).at(-1)!["event"], "summary");
      assert.equal(jsonLines(ended.stdout).at(-1)!["exitCode"], code);
      await localJob(dir);
      const second = await filesync(dir, ["sync", "--once", "--json"]);
      assert.equal(second.code, 0, second.stderr);
      const downloaded = jsonLines(second.stdout).find(({ event }) => event === "downloaded")!;
      assert.ok((downloaded["resumedBytes"] as number) > 0, JSON.stringify(downloaded));
      assert.deepEqual(await Deno.readFile(`${dir}/out/big.bin`), bytes);
    });
  });
}

Deno.test("sync stops at once at a second signal, and loses nothing", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir, SLOW);
    const bytes = await randomFile(`${dir}/in/big.bin`, 1_500_000);
    const first = new Running(dir, ["sync", "--json"]);
    await first.stdoutMatches(/"event":"progress".*"doneBytes":[1-9]/);
    first.child.kill("SIGINT");
    first.child.kill("SIGTERM");
    assert.ok([130, 143].includes((await first.ended()).code));
    await localJob(dir);
    assert.equal((await filesync(dir, ["sync", "--once"])).code, 0);
    assert.deepEqual(await Deno.readFile(`${dir}/out/big.bin`), bytes);
  });
});

Deno.test("status tells the journey of each job, devices and the spool", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    const before = await filesync(dir, ["status"]);
    assert.equal(before.code, 0, before.stderr);
    assert.match(before.stdout, /^ok: nothing has run yet \(sync is not running\)\n/);
    await Deno.writeTextFile(`${dir}/in/a.txt`, "hello");
    await filesync(dir, ["sync", "--once"]);
    const { code, stdout } = await filesync(dir, ["status"]);
    assert.equal(code, 0);
    assert.match(stdout, /^ok: all that was found is delivered/);
    assert.match(stdout, /^logs +source +1 \(5 B\)/m);
    assert.match(stdout, /^ +→ \S+ +1 \(5 B\)/m);
    assert.match(stdout, /^logs\.source +source +available/m);
    assert.match(stdout, /^Spool: 0 B of /m);
    const [report] = jsonLines((await filesync(dir, ["status", "--json"])).stdout);
    assert.equal(report!["schema"], 1);
    assert.equal(report!["word"], "ok");
  });
});

Deno.test("status shows what is parked, with the reason", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.writeTextFile(`${dir}/in/line\nbreak.txt`, "x");
    const { code, stderr } = await filesync(dir, ["sync", "--once"]);
    assert.equal(code, 4, stderr);
    assert.match(stderr, /^\d\d:\d\d:\d\d warning logs: Parked "line\\nbreak\.txt": /m);
    assert.match(stderr, /^1 file is parked: see "filesync status" for the reasons$/m);
    const { stdout } = await filesync(dir, ["status"]);
    assert.match(stdout, /^attention: something needs you/);
    assert.match(stdout, /^ {2}parked logs: line\\nbreak\.txt/m);
  });
});

Deno.test("ls lists a device, sorted, with hostile names made harmless", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.mkdir(`${dir}/in/sub`);
    await Deno.writeTextFile(`${dir}/in/sub/b.txt`, "bb");
    await Deno.writeTextFile(`${dir}/in/z\x1b[31m.txt`, "z");
    await Deno.writeTextFile(`${dir}/in/a.txt`, "a");
    const { code, stdout, stderr } = await filesync(dir, ["ls", "logs.source"]);
    assert.equal(code, 0, stderr);
    const lines = stdout.trimEnd().split("\n");
    assert.match(lines[0]!, /^ +1 B {2}\d{4}-\d\d-\d\d \d\d:\d\d {2}a\.txt$/);
    assert.match(lines[1]!, / sub\/$/);
    assert.match(lines[2]!, / z\\x1b\[31m\.txt/);
    const all = jsonLines((await filesync(dir, ["ls", "-R", "--json", "logs.source"])).stdout);
    assert.ok(all.some(({ path, sizeBytes }) => path === "sub/b.txt" && sizeBytes === 2));
    const unknown = await filesync(dir, ["ls", "nope"]);
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /logs\.source/);
    const missing = await filesync(dir, ["ls", "logs.source", "no/such/folder"]);
    assert.notEqual(missing.code, 0);
    assert.match(missing.stderr, /^filesync: /);
  });
});
