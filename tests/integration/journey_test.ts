// Goal: what a user's files and folders do to the whole program. Method: the real program, real directories, drivers as
// subprocesses; each case is one thing that goes wrong in the field.
import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Ended, filesync, Running } from "../cli/support.ts";
import { Verifier } from "../faults/verifier.ts";
import { testNeeding } from "../support/needs.ts";

interface Field {
  dir: string;
  in: string;
  out: string;
}

/** A job from `in` to `out`; `job` overrides its keys. */
async function inField(
  run: (field: Field) => Promise<void>,
  job: Record<string, unknown> = {},
  top = {},
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-journey-" });
  const field = { dir, in: join(dir, "in"), out: join(dir, "out") };
  try {
    mkdirSync(field.in);
    writeConfig(field, job, top);
    await run(field);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function writeConfig(field: Field, job: Record<string, unknown>, top = {}): void {
  const source = { driver: "local", args: { dir: "in" } };
  const target = { driver: "local", args: { dir: "out" } };
  const base = { name: "j", source, finder: { settle: "0s" }, ...("targets" in job ? {} : { target }) };
  writeFileSync(join(field.dir, "config.json"), JSON.stringify({ ...top, jobs: [{ ...base, ...job }] }));
}

function sync(field: Field, ...args: string[]): Promise<Ended> {
  return filesync(field.dir, ["sync", "--once", "--json", ...args]);
}

function events(ended: Ended): Record<string, unknown>[] {
  return ended.stdout.trim().split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

function put(field: Field, path: string, content: string | Uint8Array): void {
  mkdirSync(join(field.in, path, ".."), { recursive: true });
  writeFileSync(join(field.in, path), content);
}

/** What lies in the spool, by its name. */
function spoolFiles(field: Field): string[] {
  const spool = join(field.dir, "filesync.db.spool");
  return readdirSync(spool).filter((name) => name !== "store.id").flatMap((name) => readdirSync(join(spool, name)));
}

function assertSame(field: Field): void {
  const nothing = { missing: [], corrupt: [], duplicated: [], leftovers: [], strange: [] };
  assert.deepEqual(new Verifier(field.in).judge(field.out), nothing);
}

Deno.test("sync moves names with spaces, quotes, UTF-8, 255 bytes, leading dashes, and empty files", () =>
  inField(async (field) => {
    const names = [
      "with space.ulg",
      'it\'s "quoted".ulg',
      "Überflug ☂ 日本.ulg",
      "-rf",
      "--help",
      "$(reboot);`id`",
      "a%20b?c#d&e=f",
      "x".repeat(251) + ".ulg",
      "trailing dot.",
      ".hidden",
      "back\\slash",
      "*?[glob]",
      "deep/er/and deeper/~tilde",
    ];
    for (const name of names) put(field, name, `content of ${name}`);
    put(field, "empty", "");
    const ended = await sync(field);
    assert.equal(ended.code, 0, ended.stderr);
    assertSame(field);
  }));

Deno.test("sync parks names with control characters and names that are no UTF-8, and moves the rest", () =>
  inField(async (field) => {
    put(field, "good", "good");
    put(field, "two\nlines", "x");
    put(field, "carriage\rreturn", "x");
    await new Deno.Command("python3", {
      args: [
        "-c",
        "import os,sys; open(os.path.join(os.fsencode(sys.argv[1]), b'bad\\xff\\xfename'),'w').write('x')",
        field.in,
      ],
    }).output();
    const ended = await sync(field);
    assert.equal(ended.code, 4, ended.stderr);
    const parked = events(ended).filter(({ event }) => event === "parked");
    assert.deepEqual(parked.length, 3, ended.stdout);
    assert.deepEqual(readdirSync(field.out), ["good"]);
    const again = await sync(field);
    assert.equal(again.code, 4);
    assert.equal(events(again).filter(({ event }) => event === "found" || event === "parked").length, 0, again.stdout);
  }));

Deno.test("sync does not follow symlinks out of the source", () =>
  inField(async (field) => {
    put(field, "real", "real");
    symlinkSync("/etc/passwd", join(field.in, "link"));
    symlinkSync("/etc", join(field.in, "folder"));
    assert.equal((await sync(field)).code, 0);
    assert.deepEqual(readdirSync(field.out), ["real"]);
  }));

Deno.test("sync keeps modification times, and delivers a changed file again in place of the old one", () =>
  inField(async (field) => {
    put(field, "log", "first");
    utimesSync(join(field.in, "log"), 1_500_000_000, 1_500_000_000);
    assert.equal((await sync(field)).code, 0);
    assert.equal(Deno.statSync(join(field.out, "log")).mtime!.getTime(), 1_500_000_000_000);
    put(field, "log", "second, longer");
    const ended = await sync(field);
    assert.equal(ended.code, 0, ended.stderr);
    assertSame(field);
    assert.equal(events(ended).find(({ event }) => event === "found")!["generation"], 2);
  }));

Deno.test("sync never overwrites what somebody else put under the name, and counts the same bytes as delivered", () =>
  inField(async (field) => {
    put(field, "same", "equal bytes");
    put(field, "other.txt", "ours");
    mkdirSync(field.out);
    writeFileSync(join(field.out, "same"), "equal bytes");
    writeFileSync(join(field.out, "other.txt"), "theirs");
    assert.equal((await sync(field)).code, 0);
    assert.deepEqual(readdirSync(field.out).sort(), ["other.txt", "other~2.txt", "same"]);
    assert.equal(readFileSync(join(field.out, "other.txt"), "utf8"), "theirs");
    assert.equal(readFileSync(join(field.out, "other~2.txt"), "utf8"), "ours");
  }));

Deno.test("sync parks a conflict where the job says so", () =>
  inField(async (field) => {
    put(field, "log", "ours");
    mkdirSync(field.out);
    writeFileSync(join(field.out, "log"), "theirs");
    const ended = await sync(field);
    assert.equal(ended.code, 4, ended.stderr);
    assert.equal(readFileSync(join(field.out, "log"), "utf8"), "theirs");
  }, { on_conflict: "park" }));

Deno.test("sync says that a source is away, and never that everything was deleted", () =>
  inField(async (field) => {
    put(field, "a", "a");
    put(field, "b", "b");
    assert.equal((await sync(field)).code, 0);
    renameSync(field.in, `${field.in}.away`);
    const ended = await sync(field);
    assert.equal(ended.code, 5, ended.stderr);
    assert.equal(events(ended).filter(({ event }) => event === "gone").length, 0);
    renameSync(`${field.in}.away`, field.in);
    const back = await sync(field);
    assert.equal(back.code, 0);
    assert.equal(events(back).filter(({ event }) => event === "found" || event === "delivered").length, 0);
  }));

Deno.test("sync spools while one target is away, delivers to the other, and goes on when it is back", () =>
  inField(async (field) => {
    for (let i = 0; i < 5; i++) put(field, `log${i}`, `log ${i}`);
    const ended = await sync(field);
    assert.equal(ended.code, 5, ended.stderr);
    assertSame(field);
    mkdirSync(join(field.dir, "away"));
    assert.equal((await sync(field)).code, 0);
    const nothing = { missing: [], corrupt: [], duplicated: [], leftovers: [], strange: [] };
    assert.deepEqual(new Verifier(field.in).judge(join(field.dir, "away/dir")), nothing);
    assert.deepEqual(spoolFiles(field), []);
  }, {
    targets: [
      { name: "near", driver: "local", args: { dir: "out" } },
      { name: "far", driver: "local", args: { dir: "away/dir" } },
    ],
  }));

Deno.test("sync removes the source's copies only of what every target has", () =>
  inField(async (field) => {
    put(field, "log", "log");
    const ended = await sync(field);
    assert.equal(ended.code, 5, ended.stderr);
    assert.deepEqual(readdirSync(field.in), ["log"]);
    mkdirSync(join(field.dir, "away"));
    const done = await sync(field);
    assert.equal(done.code, 0, done.stderr);
    assert.deepEqual(readdirSync(field.in), []);
    assert.equal(events(done).filter(({ event }) => event === "removed").length, 1);
    assert.equal((await sync(field)).code, 0);
  }, {
    after: "delete",
    targets: [
      { name: "near", driver: "local", args: { dir: "out" } },
      { name: "far", driver: "local", args: { dir: "away/dir" } },
    ],
  }));

Deno.test("sync keeps the source's copy when its receipt is not proof enough", () =>
  inField(async (field) => {
    put(field, "log", "log");
    put(field, "changed", "before");
    // The receipt of `local` carries a checksum, which satisfies every proof.
    assert.equal((await sync(field)).code, 0);
    assert.deepEqual(readdirSync(field.in), []);
  }, { after: "delete", delete_proof: "checksum" }));

Deno.test("sync waits out settle, and leaves a file that still grows for the next run", () =>
  inField(async (field) => {
    put(field, "quiet", "quiet");
    put(field, "growing", "1");
    const appending = setInterval(() => Deno.writeTextFileSync(join(field.in, "growing"), "x", { append: true }), 30);
    let ended: Ended;
    try {
      ended = await sync(field);
    } finally {
      clearInterval(appending);
    }
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(readdirSync(field.out), ["quiet"]);
    assert.equal((await sync(field)).code, 0);
    assertSame(field);
  }, { finder: { settle: "700ms" } }));

Deno.test("sync takes only the newest files of a source that it meets for the first time", () =>
  inField(async (field) => {
    for (let i = 1; i <= 6; i++) {
      put(field, `log${i}`, `log ${i}`);
      utimesSync(join(field.in, `log${i}`), 1_600_000_000 + i, 1_600_000_000 + i);
    }
    assert.equal((await sync(field)).code, 4);
    assert.deepEqual(readdirSync(field.out).sort(), ["log5", "log6"]);
    put(field, "log7", "new");
    assert.equal((await sync(field)).code, 4);
    assert.deepEqual(readdirSync(field.out).sort(), ["log5", "log6", "log7"]);
    const told = await filesync(field.dir, ["retry", "--job", "j"]);
    assert.equal(told.code, 0, told.stderr);
    assert.equal((await sync(field)).code, 0);
    assert.deepEqual(readdirSync(field.out).sort(), ["log1", "log2", "log3", "log4", "log5", "log6", "log7"]);
  }, { finder: { settle: "0s", max_first: 2 } }));

Deno.test("sync moves more than the spool can hold at once, and never exceeds its quota", () =>
  inField(
    async (field) => {
      for (let i = 0; i < 12; i++) put(field, `log${i}`, crypto.getRandomValues(new Uint8Array(50_000)));
      const ended = await sync(field);
      assert.equal(ended.code, 0, ended.stderr);
      assertSame(field);
    },
    {},
    { spool: { quota: "120KB", min_free: 0 } },
  ));

Deno.test("sync parks a file that is larger than the spool and moves the others", () =>
  inField(
    async (field) => {
      put(field, "large", new Uint8Array(200_000));
      put(field, "small", "small");
      const ended = await sync(field);
      assert.equal(ended.code, 4, ended.stderr);
      assert.deepEqual(readdirSync(field.out), ["small"]);
      assert.match(String(events(ended).find(({ event }) => event === "parked")!["reason"]), /larger than the spool/);
    },
    {},
    { spool: { quota: "100KB", min_free: 0 } },
  ));

Deno.test("sync gives a live target all files though a dead one fills the spool", () =>
  inField(async (field) => {
    for (let i = 0; i < 10; i++) put(field, `log${i}`, crypto.getRandomValues(new Uint8Array(40_000)));
    const ended = await sync(field);
    assert.equal(ended.code, 5, ended.stderr);
    assertSame(field);
    mkdirSync(join(field.dir, "away"));
    const back = await sync(field);
    assert.equal(back.code, 0, back.stderr);
    const nothing = { missing: [], corrupt: [], duplicated: [], leftovers: [], strange: [] };
    assert.deepEqual(new Verifier(field.in).judge(join(field.dir, "away/dir")), nothing);
  }, {
    targets: [
      { name: "near", driver: "local", args: { dir: "out" } },
      { name: "far", driver: "local", args: { dir: "away/dir" } },
    ],
  }, { spool: { quota: "100KB", min_free: 0 } }));

Deno.test("sync makes names on the target by the job's template", () =>
  inField(async (field) => {
    put(field, "sess001/log100.ulg", "x");
    utimesSync(join(field.in, "sess001/log100.ulg"), 1_700_000_000, 1_700_000_000);
    assert.equal((await sync(field)).code, 0);
    assert.equal(readFileSync(join(field.out, "j/2023-11-14/sess001/log100.ulg"), "utf8"), "x");
  }, { path: "{job}/{date}/{path}" }));

Deno.test("sync ends within 3 s when it is told to, and loses nothing", () =>
  inField(async (field) => {
    for (let i = 0; i < 20; i++) put(field, `log${i}`, crypto.getRandomValues(new Uint8Array(60_000)));
    const running = new Running(field.dir, ["sync", "--json"]);
    await running.stdoutMatches(/"event":"progress"/);
    const beganMs = performance.now();
    running.child.kill("SIGTERM");
    const ended = await running.ended();
    assert.equal(ended.code, 143, ended.stderr);
    assert.ok(performance.now() - beganMs < 3500);
    writeConfig(field, {});
    assert.equal((await sync(field)).code, 0);
    assertSame(field);
  }, { limits: { download: "300KiB/s" } }));

Deno.test("sync refuses a spool that belongs to another store", () =>
  inField(async (field) => {
    put(field, "a", "a");
    assert.equal((await sync(field)).code, 0);
    // As when somebody puts the spool of another field in its place.
    writeFileSync(join(field.dir, "filesync.db.spool/store.id"), "00000000-0000-4000-8000-000000000000\n");
    const ended = await sync(field);
    assert.equal(ended.code, 7, ended.stderr);
    assert.match(ended.stderr, /belongs to another state store/);
  }));

Deno.test("sync delivers a job whose driver is fine while another job's plugin cannot start", async () => {
  await inField(async (field) => {
    put(field, "a", "a");
    const plugin = join(field.dir, "plugins/broken");
    mkdirSync(plugin, { recursive: true });
    writeFileSync(join(plugin, "run.sh"), "#!/bin/sh\nexit 3\n");
    chmodSync(join(plugin, "run.sh"), 0o755);
    const manifest = {
      name: "broken",
      version: "1.0.0",
      protocol: 1,
      description: "Ends at once",
      roles: ["source"],
      command: ["./run.sh"],
    };
    writeFileSync(join(plugin, "filesync-plugin.json"), JSON.stringify(manifest));
    const local = (dir: string) => ({ driver: "local", args: { dir } });
    const jobs = [
      { name: "good", source: local("in"), target: local("out"), finder: { settle: "0s" } },
      { name: "bad", source: { driver: "broken", args: {} }, target: local("out"), finder: { settle: "0s" } },
    ];
    writeFileSync(join(field.dir, "config.json"), JSON.stringify({ plugins: { dirs: ["plugins"] }, jobs }));
    const ended = await sync(field);
    assert.equal(ended.code, 8, ended.stderr);
    assertSame(field);
  });
});

Deno.test("sync gives a renamed target what was still on its way to the old name", () =>
  inField(async (field) => {
    put(field, "spooled", "spooled");
    assert.equal((await sync(field)).code, 5);
    const target = { name: "new name", driver: "local", args: { dir: "out" } };
    writeConfig(field, { targets: [target] });
    const ended = await sync(field);
    assert.equal(ended.code, 0, ended.stderr);
    assertSame(field);
    assert.deepEqual(spoolFiles(field), []);
  }, { targets: [{ name: "old name", driver: "local", args: { dir: "away/dir" } }] }));

Deno.test("sync frees what only a target still needed that left the configuration", () =>
  inField(async (field) => {
    put(field, "log", "log");
    assert.equal((await sync(field)).code, 5);
    assert.equal(spoolFiles(field).length, 1);
    writeConfig(field, { targets: [{ name: "near", driver: "local", args: { dir: "out" } }] });
    assert.equal((await sync(field)).code, 0);
    assert.deepEqual(spoolFiles(field), []);
  }, {
    targets: [
      { name: "near", driver: "local", args: { dir: "out" } },
      { name: "far", driver: "local", args: { dir: "away/dir" } },
    ],
  }));

/** A driver in Python that lists two files and gives one of them. */
const PICKY = `#!/usr/bin/env python3
import sys, json
def send(**m): print(json.dumps({"jsonrpc": "2.0", **m}), flush=True)
for line in sys.stdin:
    m = json.loads(line); i = m.get("id"); p = m.get("params", {}); method = m["method"]
    if i is None: continue
    if method == "initialize": send(id=i, result={"name": "picky", "version": "1.0.0", "capabilities": {}})
    elif method == "list":
        send(method="$/entries", params={"id": i, "entries": [
            {"path": "mine", "kind": "file", "sizeBytes": 4}, {"path": "secret", "kind": "file", "sizeBytes": 4}]})
        send(id=i, result={"complete": True})
    elif method == "download" and p["path"] == "mine":
        with open(p["spoolFile"], "r+b") as f: f.write(b"mine")
        send(id=i, result={"sizeBytes": 4, "fingerprint": {"sizeBytes": 4}})
    elif method == "download":
        send(id=i, error={"code": -32000, "message": "Not for you", "data": {"code": "denied", "scope": "file"}})
    elif method == "stat": send(id=i, result={"path": "", "kind": "directory"})
    else: send(id=i, result={})
    if method == "shutdown": break
`;

testNeeding(
  "python3",
  "sync ends with 6 when a driver denies one file, and moves the others",
  () =>
    inField(async (field) => {
      const plugin = join(field.dir, "plugins/picky");
      mkdirSync(plugin, { recursive: true });
      writeFileSync(join(plugin, "driver.py"), PICKY);
      chmodSync(join(plugin, "driver.py"), 0o755);
      const manifest = {
        name: "picky",
        version: "1.0.0",
        protocol: 1,
        description: "Gives one of two files",
        roles: ["source"],
        command: ["./driver.py"],
      };
      writeFileSync(join(plugin, "filesync-plugin.json"), JSON.stringify(manifest));
      writeConfig(field, { source: { driver: "picky", args: {} } }, { plugins: { dirs: ["plugins"] } });
      const ended = await sync(field);
      assert.equal(ended.code, 6, ended.stderr);
      assert.deepEqual(readdirSync(field.out), ["mine"]);
    }),
);
