/** A state store that is damaged, in every way that disks and people know, and what the real program makes of it. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { testNeeding } from "../support/needs.ts";
import { type Ended, filesync, inTempDir, jsonLines, localJob, Running } from "./support.ts";

const STORE = "temp/filesync.db";

async function put(dir: string, files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await Deno.mkdir(`${dir}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(`${dir}/${path}`, text);
  }
}

/** Names and texts below a folder. */
function tree(dir: string, below = ""): Record<string, string> {
  const files: Record<string, string> = {};
  for (const entry of Deno.readDirSync(`${dir}/${below}`)) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory) Object.assign(files, tree(dir, path));
    else files[path] = Deno.readTextFileSync(`${dir}/${path}`);
  }
  return files;
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** What was moved aside. */
function asides(dir: string): string[] {
  return [...Deno.readDirSync(`${dir}/temp`)].map(({ name }) => name).filter((name) => name.includes(".damaged-"));
}

/** Delivered files, a parked one, and a store whose log was not moved into it: its process was killed. */
async function killedAtWork(dir: string): Promise<void> {
  await localJob(dir, { on_conflict: "park" });
  await put(dir, { "out/taken.txt": "theirs" });
  for (let n = 0; n < 30; n++) await put(dir, { [`in/day ${n % 3}/log_${n}.txt`]: `text ${n}` });
  assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
  await put(dir, { "in/taken.txt": "ours" });
  const ready = new Running(dir, ["sync", "--json"]);
  await ready.stdoutMatches(/"event":"parked"/);
  ready.child.kill("SIGKILL");
  await ready.ended();
  assert.ok(exists(`${dir}/${STORE}-wal`) && exists(`${dir}/${STORE}-shm`));
}

function overwrite(path: string, at: number, bytes: Uint8Array): void {
  using file = Deno.openSync(path, { write: true });
  file.seekSync(at, Deno.SeekMode.Start);
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}

const noise = (length: number) => Uint8Array.from({ length }, (_, n) => (n * 97 + 13) % 251);

/** Moves the log into the store, as a clean end does. */
function settle(dir: string): void {
  const db = new DatabaseSync(`${dir}/${STORE}`);
  db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  db.close();
}

const DAMAGES: Record<string, (dir: string) => void> = {
  "cut short": (dir) => {
    settle(dir);
    Deno.truncateSync(`${dir}/${STORE}`, 40_000);
  },
  "without a header": (dir) => {
    settle(dir);
    overwrite(`${dir}/${STORE}`, 0, noise(100));
  },
  "with flipped pages": (dir) => {
    settle(dir);
    // All but the first page: it opens, and every query fails.
    overwrite(`${dir}/${STORE}`, 4096, noise(Deno.statSync(`${dir}/${STORE}`).size - 4096));
  },
  "empty": (dir) => {
    settle(dir);
    Deno.truncateSync(`${dir}/${STORE}`, 0);
  },
  "with another start of its log": (dir) => overwrite(`${dir}/${STORE}-wal`, 0, noise(4096)),
  "with a hole in its log": (dir) => overwrite(`${dir}/${STORE}-wal`, 32 + 24 + 2000, noise(64)),
  "with a log whose salt is flipped": (dir) => overwrite(`${dir}/${STORE}-wal`, 17, noise(2)),
  "without its log": (dir) => Deno.removeSync(`${dir}/${STORE}-wal`),
  "that is gone": (dir) => {
    for (const end of ["", "-wal", "-shm"]) Deno.removeSync(`${dir}/${STORE}${end}`);
  },
};

function saysSo({ code, stderr }: Ended): void {
  assert.equal(code, 7, stderr);
  assert.match(stderr, /^filesync: State store "\S+" is (damaged: |missing, and its spool)/m);
  assert.match(stderr, /filesync sync --rebuild-state/);
  assert.doesNotMatch(stderr, /\bat \S+ \(|Internal error|\.ts:\d/);
}

for (const [what, damage] of Object.entries(DAMAGES)) {
  Deno.test(`sync says that a state store ${what} is damaged, and only with --rebuild-state makes a new one`, async () => {
    await inTempDir(async (dir) => {
      await killedAtWork(dir);
      damage(dir);
      const [before, store] = [tree(`${dir}/out`), `${dir}/${STORE}`];
      const was = exists(store) ? Deno.readFileSync(store) : undefined;
      saysSo(await filesync(dir, ["sync", "--once"]));
      saysSo(await filesync(dir, ["sync", "--once", "-q"]));
      assert.deepEqual(exists(store) ? Deno.readFileSync(store) : undefined, was, "nothing was replaced");
      assert.deepEqual([asides(dir), tree(`${dir}/out`)], [[], before]);

      const rebuilt = await filesync(dir, ["sync", "--once", "--rebuild-state"]);
      assert.equal(rebuilt.code, 4, rebuilt.stderr);
      assert.match(rebuilt.stderr, /State store is made anew/);
      assert.deepEqual(tree(`${dir}/out`), before, "nothing came twice, nothing was replaced");
      assert.equal(asides(dir).length > 0, was !== undefined);
      const [status] = jsonLines((await filesync(dir, ["status", "--json"])).stdout) as unknown as {
        jobs: { done: { count: number } }[];
        parked: { path: string }[];
      }[];
      assert.equal(status!.jobs[0]!.done.count, 30);
      assert.deepEqual(status!.parked.map(({ path }) => path), ["taken.txt"]);
      // The next start is like any other.
      const next = await filesync(dir, ["sync", "--once"]);
      assert.equal(next.code, 4, next.stderr);
      assert.doesNotMatch(next.stderr, /rebuil|anew/);
    });
  });
}

/** One file that is parked, in the spool, and gone from the source: the spool's copy is all there is. */
async function onlyInSpool(dir: string): Promise<void> {
  await localJob(dir, { on_conflict: "park" });
  await put(dir, { "in/a.txt": "ours", "in/b.txt": "delivered", "out/a.txt": "theirs" });
  assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 4);
  await Deno.remove(`${dir}/in/a.txt`);
  // What fetches files away from the target.
  await Deno.remove(`${dir}/out/b.txt`);
}

Deno.test("sync --rebuild-state takes over spooled files that are what their rows say, and believes receipts of bytes that it sees again", async () => {
  await inTempDir(async (dir) => {
    await onlyInSpool(dir);
    overwrite(`${dir}/${STORE}`, 4096 * 3, noise(4096));
    saysSoIfSeen(await filesync(dir, ["status"]));
    await Deno.remove(`${dir}/out/a.txt`);
    const rebuilt = await filesync(dir, ["sync", "--once", "--rebuild-state"]);
    if (/is sound/.test(rebuilt.stderr)) assert.fail("the damage must hit");
    assert.equal(rebuilt.code, 0, rebuilt.stderr);
    assert.match(rebuilt.stderr, /Taken over: 1 files in the spool, 1 receipts/);
    assert.deepEqual(tree(`${dir}/out`), { "a.txt": "ours" }, "a came from the spool, b is not sent again");
    assert.deepEqual(tree(`${dir}/temp/filesync.db.spool`), { "store.id": spoolId(dir) });
  });
});

function saysSoIfSeen({ code, stderr }: Ended): void {
  if (code !== 0) assert.match(stderr, /damaged/);
}

const spoolId = (dir: string) => Deno.readTextFileSync(`${dir}/temp/filesync.db.spool/store.id`);

Deno.test("sync --rebuild-state keeps whole files of the spool whose rows cannot be read", async () => {
  await inTempDir(async (dir) => {
    await onlyInSpool(dir);
    overwrite(`${dir}/${STORE}`, 0, noise(100));
    const rebuilt = await filesync(dir, ["sync", "--once", "--rebuild-state"]);
    assert.equal(rebuilt.code, 0, rebuilt.stderr);
    assert.match(rebuilt.stderr, /1 whole files of the spool are of unknown name: they are kept in "\S+kept"/);
    const kept = tree(`${dir}/temp/filesync.db.spool`);
    assert.deepEqual(Object.values(kept).includes("ours"), true);
    // Receipts are lost with the header: what somebody fetched away from the target comes once more.
    assert.deepEqual(tree(`${dir}/out`), { "a.txt": "theirs", "b.txt": "delivered" });
  });
});

Deno.test("sync --rebuild-state never replaces other bytes on the target, whatever on_change says", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir, { on_change: "replace" });
    await put(dir, { "in/a.txt": "first" });
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
    overwrite(`${dir}/${STORE}`, 0, noise(100));
    await put(dir, { "in/a.txt": "second, and longer" });
    assert.equal((await filesync(dir, ["sync", "--once", "-q", "--rebuild-state"])).code, 0);
    assert.deepEqual(tree(`${dir}/out`), { "a.txt": "first", "a~2.txt": "second, and longer" });
  });
});

/** A target that takes what it is given and cannot be asked, with a book of what came. */
async function muteTarget(dir: string): Promise<Record<string, string>> {
  const manifest = {
    name: "mute",
    version: "1.0.0",
    protocol: 1,
    description: "A target that cannot be asked",
    roles: ["target"],
    command: [Deno.execPath(), "run", "-A", "--no-prompt", "./main.js"],
    args: { type: "object", properties: { book: { type: "string" } } },
  };
  await put(dir, {
    "plugins/mute/filesync-plugin.json": JSON.stringify(manifest),
    "plugins/mute/main.js": `import { createInterface } from "node:readline";
import { appendFileSync } from "node:fs";
let book = "";
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) continue;
  let result = { path: "", kind: "directory" };
  if (method === "initialize") {
    book = params.args.book;
    result = { name: "mute", version: "1.0.0", capabilities: {} };
  } else if (method === "upload") {
    appendFileSync(book, params.path + "\\n");
    result = { path: params.path, sizeBytes: params.sizeBytes, verified: "accepted" };
  }
  process.stdout.write(JSON.stringify({ jsonrpc: "2.0", id, result }) + "\\n");
}
`,
  });
  return { FILESYNC_PLUGIN_PATH: `${dir}/plugins` };
}

Deno.test("sync --rebuild-state sends nothing twice to a target that cannot be asked: receipts count, the rest is uncertain", async () => {
  await inTempDir(async (dir) => {
    const env = await muteTarget(dir);
    const book = () => Deno.readTextFileSync(`${dir}/book`).split("\n").filter(Boolean).sort();
    await localJob(dir, { target: { driver: "mute", args: { book: `${dir}/book` } } });
    await put(dir, { "in/a.txt": "a", "in/b.txt": "b" });
    assert.equal((await filesync(dir, ["sync", "--once", "-q"], env)).code, 0);
    // Receipts can be read: one page that no receipt needs is damaged.
    overwrite(`${dir}/${STORE}`, 4096 * 3, noise(4096));
    const read = await filesync(dir, ["sync", "--once", "--rebuild-state"], env);
    assert.match(read.stderr, /2 receipts/);
    assert.deepEqual([read.code, book()], [0, ["a.txt", "b.txt"]], read.stderr);
    // Nothing can be read.
    overwrite(`${dir}/${STORE}`, 0, noise(100));
    const blind = await filesync(dir, ["sync", "--once", "--rebuild-state"], env);
    assert.deepEqual([blind.code, book()], [4, ["a.txt", "b.txt"]], blind.stderr);
    const why = await filesync(dir, ["why", "a.txt"], env);
    assert.match(
      why.stdout,
      /uncertain[\s\S]*may have been delivered before the state store was rebuilt, and the target/,
    );
    // What comes later is no matter of doubt.
    await put(dir, { "in/c.txt": "c" });
    assert.equal((await filesync(dir, ["forget", "a.txt"], env)).code, 0);
    assert.equal((await filesync(dir, ["retry", "b.txt"], env)).code, 0);
    const last = await filesync(dir, ["sync", "--once", "-q"], env);
    assert.deepEqual([last.code, book()], [0, ["a.txt", "b.txt", "b.txt", "c.txt"]], last.stderr);
  });
});

Deno.test("sync ends with 7 when the damage shows only in the middle of a run, without a word of ours about the inside", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    for (let n = 0; n < 400; n++) await put(dir, { [`in/log_${n}.txt`]: `text ${n}` });
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
    const sound = Deno.readFileSync(`${dir}/${STORE}`);
    const schemaPages = 12;
    // Each page by itself: whatever it is a part of, the run ends as it should or tells the damage.
    let told = 0;
    for (let page = schemaPages; page * 4096 < sound.length; page += 7) {
      Deno.writeFileSync(`${dir}/${STORE}`, sound);
      overwrite(`${dir}/${STORE}`, page * 4096, noise(4096));
      await put(dir, { [`in/new_${page}.txt`]: "new" });
      const ended = await filesync(dir, ["sync", "--once"]);
      if (ended.code === 0) continue;
      saysSo(ended);
      told++;
    }
    assert.ok(told > 0, "no damage was seen");
    assert.deepEqual(asides(dir), []);
  });
});

Deno.test("sync goes on with a rebuild that was interrupted", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await put(dir, { "in/a.txt": "a" });
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
    // As it is between the last two steps: the damaged one is aside, the new one has not its name yet.
    await Deno.rename(`${dir}/${STORE}`, `${dir}/${STORE}.rebuilt`);
    const next = await filesync(dir, ["sync", "--once"]);
    assert.equal(next.code, 0, next.stderr);
    assert.ok(exists(`${dir}/${STORE}`) && !exists(`${dir}/${STORE}.rebuilt`));
  });
});

for (const flags of [[], ["--rebuild-state"]]) {
  Deno.test(`sync ${flags.join(" ")} leaves alone what is no store of its own: a folder, another program's database, a newer schema`, async () => {
    await inTempDir(async (dir) => {
      await localJob(dir);
      await put(dir, { "in/a.txt": "a" });
      await Deno.mkdir(`${dir}/${STORE}`, { recursive: true });
      const folder = await filesync(dir, ["sync", "--once", ...flags]);
      assert.equal(folder.code, 7, folder.stderr);
      assert.match(folder.stderr, /it is a directory\n {2}Set "state" in the configuration/);
      await Deno.remove(`${dir}/${STORE}`);

      const other = new DatabaseSync(`${dir}/${STORE}`);
      other.exec("CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')");
      other.close();
      const foreign = await filesync(dir, ["sync", "--once", ...flags]);
      assert.equal(foreign.code, 7, foreign.stderr);
      assert.match(foreign.stderr, /another program's database\n {2}Set "state"/);
      const untouched = new DatabaseSync(`${dir}/${STORE}`);
      assert.deepEqual(
        untouched.prepare("SELECT name FROM sqlite_master").all().map((row) => row["name"]),
        ["bookmarks"],
      );
      untouched.close();
      for (const end of ["", "-wal", "-shm"]) {
        if (exists(`${dir}/${STORE}${end}`)) await Deno.remove(`${dir}/${STORE}${end}`);
      }

      assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
      const newer = new DatabaseSync(`${dir}/${STORE}`);
      newer.exec("PRAGMA user_version = 999");
      newer.close();
      const refused = await filesync(dir, ["sync", "--once", ...flags]);
      assert.equal(refused.code, 7, refused.stderr);
      assert.match(refused.stderr, /made by a newer filesync: schema 999\n {2}Install that version again/);
      assert.deepEqual(asides(dir), []);
    });
  });
}

testNeeding("setpriv", "sync --rebuild-state of a store that may not be read says so and leaves it alone", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await put(dir, { "in/a.txt": "a" });
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
    await Deno.chmod(`${dir}/${STORE}`, 0o000);
    for (const flags of [[], ["--rebuild-state"]]) {
      const { code, words } = await unprivileged(dir, ["sync", "--once", ...flags]);
      assert.equal(code, 7, words);
      assert.match(words, /Cannot open or use the state store[\s\S]*ls -ld/);
    }
    await Deno.chmod(`${dir}/${STORE}`, 0o644);
    assert.deepEqual(asides(dir), []);
  });
});

testNeeding("setpriv", "no command takes a folder that is closed to it for one without a store", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    await Deno.writeTextFile(`${dir}/in/a.txt`, "a");
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
    const folder = STORE.slice(0, STORE.lastIndexOf("/"));
    await Deno.chmod(`${dir}/${folder}`, 0o000);
    try {
      const commands = [["status"], ["why", "a.txt"], ["manifest"], ["retry", "a.txt"], ["sync", "--once"], [
        "sync",
        "--dry-run",
      ]];
      for (const args of commands) {
        const { code, words } = await unprivileged(dir, args);
        assert.equal(code, 7, `${args}: ${words}`);
        assert.match(words, /Cannot look at the state store[^]*ls -ld/, `${args}`);
      }
    } finally {
      await Deno.chmod(`${dir}/${folder}`, 0o755);
    }
  });
});

testNeeding("setpriv", "doctor sees a store whose log cannot be written", async () => {
  await inTempDir(async (dir) => {
    await localJob(dir);
    assert.equal((await filesync(dir, ["sync", "--once", "-q"])).code, 0);
    await Deno.writeTextFile(`${dir}/${STORE}-shm`, "");
    await Deno.chmod(`${dir}/${STORE}-shm`, 0o444);
    const { code, words } = await unprivileged(dir, ["doctor"]);
    assert.equal(code, 6, words);
    assert.match(words, /Cannot write to ".*-shm": permission denied/);
  });
});

/**
 * Runs the program without the rights of root, which reads everything; the user stays, who owns the rest. The words are
 * those of both streams.
 */
async function unprivileged(dir: string, args: string[]): Promise<{ code: number; words: string }> {
  const main = new URL("../../cli/main.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command("setpriv", {
    args: [
      "--bounding-set=-all",
      "--inh-caps=-all",
      Deno.execPath(),
      "run",
      "-A",
      "--no-prompt",
      "--quiet",
      main,
      ...args,
    ],
    cwd: dir,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, words: decoder.decode(stdout) + decoder.decode(stderr) };
}
