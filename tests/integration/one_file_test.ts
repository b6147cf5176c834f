/** The program as one file, in the form that can be made anywhere: npm's Deno behind a shell header. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { startFtpServer as startCompanion } from "../../lib/ftpd/mod.ts";
import { startFtpServer } from "../support/ftp_servers.ts";
import { hasCommand, testNeeding } from "../support/needs.ts";
import { arm64Libraries, emulate, type Ended, giveAway, runBare } from "../support/one_file.ts";
import { memoryOfTree } from "../support/process_memory.ts";
import { programOf, sharedRelease } from "../support/release.ts";

interface Bed {
  /** A folder of the user that runs the program. */
  dir: string;
  /** The program, in a folder that its user may not write to. */
  program: string;
  run(args: string[], env?: Record<string, string>): Promise<Ended>;
}

const isHere = Deno.build.os === "linux" && ["x86_64", "aarch64"].includes(Deno.build.arch);
let copied: Promise<string> | undefined;

/** A copy where everybody may run it, made at the first call. */
function program(): Promise<string> {
  copied ??= copyOf(Deno.build.arch);
  return copied;
}

async function copyOf(arch: string): Promise<string> {
  const path = join(await Deno.makeTempDir({ prefix: "filesync-one-file-" }), "filesync");
  await Deno.chmod(join(path, ".."), 0o755);
  await Deno.copyFile(programOf(await sharedRelease(), arch), path);
  return path;
}

async function withProgram(run: (bed: Bed) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-one-file-user-" });
  try {
    giveAway(dir);
    const path = await program();
    await run({ dir, program: path, run: (args, env) => runBare([path, ...args], dir, env) });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** @param needs a command of another package */
function test(name: string, run: (bed: Bed) => Promise<void>, needs = "npm"): void {
  if (isHere) testNeeding(needs, `one file: ${name}`, () => withProgram(run));
}

function writeJourney(dir: string): void {
  Deno.mkdirSync(join(dir, "in"));
  giveAway(join(dir, "in"));
  for (const [name, size] of [["a.log", 0], ["b ü.bin", 60_000]] as const) {
    const path = join(dir, "in", name);
    Deno.writeFileSync(path, crypto.getRandomValues(new Uint8Array(size)));
    Deno.utimeSync(path, 1e9, 1e9);
  }
  const job = {
    name: "j",
    source: { driver: "local", args: { dir: "./in" } },
    target: { driver: "local", args: { dir: "./out" } },
    finder: { settle: "0s" },
  };
  Deno.writeTextFileSync(join(dir, "config.json"), JSON.stringify({ jobs: [job] }));
}

function assertJourney(dir: string): void {
  for (const { name } of Deno.readDirSync(join(dir, "in"))) {
    assert.deepEqual(Deno.readFileSync(join(dir, "out", name)), Deno.readFileSync(join(dir, "in", name)), name);
  }
}

test("moves files as nobody, in an empty directory, without HOME, network or Deno", async ({ dir, run }) => {
  writeJourney(dir);
  const env = { TMPDIR: dir, FILESYNC_CACHE_DIR: join(dir, "cache") };
  const synced = await run(["sync", "--once", "--json"], env);
  assert.equal(synced.code, 0, synced.stderr);
  assertJourney(dir);
  // The first start, which unpacks, delivers with the modes of any other.
  const umask = Deno.umask();
  assert.equal(Deno.statSync(join(dir, "out/a.log")).mode! & 0o777, 0o666 & ~umask);
  const why = await run(["why", "a.log"], env);
  assert.equal(why.code, 0, why.stderr);
  assert.match(why.stdout, /delivered/);
});

test("moves files to an FTP server and back, each driver a process of its own", async ({ dir, program }) => {
  writeJourney(dir);
  const root = await Deno.makeTempDir({ prefix: "filesync-one-file-ftp-" });
  await Deno.chmod(root, 0o777);
  const server = await startFtpServer("pure-ftpd", { root });
  try {
    const { host, port, user, passwd } = server;
    const ftp = { driver: "ftp", args: { host, port, user, passwd } };
    const job = (name: string, source: unknown, target: unknown) => ({
      name,
      source,
      target,
      finder: { settle: "0s" },
    });
    const jobs = [
      job("there", { driver: "local", args: { dir: "./in" } }, ftp),
      job("back", ftp, { driver: "local", args: { dir: "./out" } }),
    ];
    const env = { FILESYNC_CACHE_DIR: join(dir, "cache") };
    for (const one of jobs) {
      Deno.writeTextFileSync(join(dir, "config.json"), JSON.stringify({ jobs, state: "./state.db" }));
      const ended = await runBare([program, "sync", "--once", "--job", one.name], dir, env, { network: true });
      assert.equal(ended.code, 0, ended.stderr);
    }
    assertJourney(dir);
  } finally {
    await server.stop();
    await Deno.remove(root, { recursive: true });
  }
}, "pure-ftpd");

test("the whole program with two drivers holds less than 200 MB at rest", async ({ dir, program }) => {
  writeJourney(dir);
  await Deno.chmod(dir, 0o755);
  const root = await Deno.makeTempDir({ prefix: "filesync-one-file-ftp-" });
  const server = await startCompanion({ root, user: "pi", passwd: "pi" });
  const target = { driver: "ftp", args: { host: "127.0.0.1", port: server.port, user: "pi", passwd: "pi" } };
  const jobs = [{ name: "j", source: { driver: "local", args: { dir: "./in" } }, target, finder: { settle: "0s" } }];
  Deno.writeTextFileSync(join(dir, "config.json"), JSON.stringify({ jobs, state: "./state.db" }));
  const child = new Deno.Command(program, {
    args: ["sync", "--json"],
    cwd: dir,
    clearEnv: true,
    env: { PATH: "/usr/bin:/bin", TMPDIR: dir, FILESYNC_CACHE_DIR: join(dir, "own-cache") },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  try {
    let text = "";
    const decoder = new TextDecoder();
    for await (const part of child.stdout) {
      text += decoder.decode(part, { stream: true });
      if (text.split('"event":"delivered"').length <= 2) continue;
      // What its start took is given back when it has come to rest.
      let memory = memoryOfTree(child.pid);
      for (let look = 0; look < 60 && memory.rssKb >= 200_000; look++) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        memory = memoryOfTree(child.pid);
      }
      assert.equal(memory.processes, 3);
      assert(memory.rssKb < 200_000, `${memory.rssKb} kB`);
      break;
    }
    assert.match(text, /"delivered"/);
  } finally {
    child.kill("SIGTERM");
    await child.status;
    await server.stop();
    await Deno.remove(root, { recursive: true });
  }
});

test("unpacks without HOME and cache variables into a folder of its user alone", async ({ dir, run }) => {
  const { code, stdout, stderr } = await run(["version"], { TMPDIR: dir });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^filesync \d/);
  const places = ["/var/cache", "/var/tmp", dir].map((place) =>
    `${place}/filesync-${Deno.uid() === 0 ? 65534 : Deno.uid()}`
  );
  const place = places.find((path) => exists(path));
  assert(place !== undefined, places.join(", "));
  assert.equal(Deno.statSync(place).mode! & 0o777, 0o700);
  await Deno.remove(place, { recursive: true });
});

test("begins a driver in each language, and tests it with nothing but what it holds itself", async ({ dir, run }) => {
  const env = { FILESYNC_CACHE_DIR: join(dir, "cache"), HOME: dir };
  for (const language of ["python", "ts", "sh"]) {
    const made = await run(["plugins", "new", `my-${language}`, "--lang", language], env);
    assert.equal(made.code, 0, made.stderr);
    const some = "^initialize|^list.* sends each|^download.* resumes|stdin ends";
    const tested = await run(["plugins", "test", `./my-${language}`, "--only", some], env);
    assert.equal(tested.code, 0, `${language}: ${tested.stdout}${tested.stderr}`);
    assert.match(tested.stdout, /^Passed: [4-9]|^Passed: 1\d/m);
  }
}, "jq");

test("six first starts at once leave one program and nothing else", async ({ dir, run }) => {
  const env = { FILESYNC_CACHE_DIR: join(dir, "cache") };
  const ended = await Promise.all(Array.from({ length: 6 }, () => run(["version"], env)));
  assert.deepEqual(ended.map(({ code, stderr }) => ({ code, stderr })), Array(6).fill({ code: 0, stderr: "" }));
  assert.equal(readdirSync(join(dir, "cache")).length, 1);
});

test("damage is told and leaves nothing behind", async ({ dir, program }) => {
  const bytes = await Deno.readFile(program);
  const damaged = join(dir, "filesync");
  const half = bytes.slice(0, bytes.length / 2);
  bytes[bytes.length - 1000]! ^= 1;
  for (const content of [bytes, half]) {
    await Deno.writeFile(damaged, content, { mode: 0o755 });
    const { code, stderr } = await runBare([damaged, "version"], dir, { FILESYNC_CACHE_DIR: join(dir, "cache") });
    assert.equal(code, 126);
    assert.match(stderr, /is damaged: its content has the sum .*Download it again/);
    assert.deepEqual(readdirSync(join(dir, "cache")), []);
  }
});

test("the version before is kept, older ones and ended unpackings go", async ({ dir, run }) => {
  const cache = join(dir, "cache");
  const old = ["1111111111111111", "2222222222222222", "3333333333333333", ".new.4444444444444444.abcdef", "photos"];
  for (const [age, name] of old.entries()) {
    Deno.mkdirSync(join(cache, name), { recursive: true });
    Deno.utimeSync(join(cache, name), 1e9 - age, 1e9 - age);
    giveAway(join(cache, name));
  }
  giveAway(cache);
  const { code, stderr } = await run(["version"], { FILESYNC_CACHE_DIR: cache });
  assert.equal(code, 0, stderr);
  const left = readdirSync(cache).filter((name) => old.includes(name)).sort();
  assert.deepEqual(left, ["1111111111111111", "photos"]);
});

test("a cache that somebody else has made is never run", async ({ dir, program, run }) => {
  if (Deno.uid() !== 0) return;
  const [hash = ""] = /hash=([0-9a-f]{16})/.exec(new TextDecoder().decode(Deno.readFileSync(program).slice(0, 1000)))!
    .slice(1);
  // The folder is the user's, what lies in it is not.
  const cache = join(dir, "cache");
  Deno.mkdirSync(join(cache, hash), { recursive: true });
  giveAway(cache);
  Deno.writeTextFileSync(join(cache, hash, ".ok"), "");
  Deno.writeTextFileSync(join(cache, hash, "filesync"), "#!/bin/sh\necho owned\n", { mode: 0o755 });
  const { code, stdout, stderr } = await run(["version"], { FILESYNC_CACHE_DIR: cache });
  assert.doesNotMatch(stdout, /owned/);
  assert.equal(code, 126);
  assert.match(stderr, /was not made by this user/);
});

test("a place that cannot be used is named", async ({ run }) => {
  for (const place of ["relative", "/proc/nowhere"]) {
    const { code, stderr } = await run(["version"], { FILESYNC_CACHE_DIR: place });
    assert.equal(code, 126);
    assert.match(stderr, new RegExp(`Cannot unpack into \\$FILESYNC_CACHE_DIR, ${place}: it must be`));
  }
});

test("a machine that cannot run it is told why, and what to do", async ({ dir, program }) => {
  const arm = Deno.build.arch === "aarch64";
  const cases: [machine: string, facts: Record<string, string>, told: RegExp][] = [
    ["armv7l", {}, /is 32-bit \(armv7l\)\. A 64-bit system is needed/],
    ["aarch64", { LONG_BIT: "32" }, /32-bit on a 64-bit kernel.*64-bit Raspberry Pi OS/],
    ["riscv64", {}, /this machine is riscv64: take the file for riscv64/],
    [Deno.build.arch, { GNU_LIBC_VERSION: "glibc 2.24" }, /has glibc 2\.24, and 2\.27 or newer is needed/],
    [Deno.build.arch, { GNU_LIBC_VERSION: "" }, /has no glibc/],
    ...(arm ? [["aarch64", { PAGESIZE: "16384" }, /pages of 16384 bytes.*kernel=kernel8\.img/] as const] : []),
  ] as [string, Record<string, string>, RegExp][];
  const bin = join(dir, "bin");
  Deno.mkdirSync(bin);
  for (const [machine, facts, told] of cases) {
    const all = { LONG_BIT: "64", GNU_LIBC_VERSION: "glibc 2.36", PAGESIZE: "4096", ...facts };
    const answers = Object.entries(all).map(([name, value]) => `${name}) ${value ? `echo ${value}` : "exit 1"} ;;`);
    Deno.writeTextFileSync(join(bin, "uname"), `#!/bin/sh\necho ${machine}\n`, { mode: 0o755 });
    Deno.writeTextFileSync(join(bin, "getconf"), `#!/bin/sh\ncase $1 in\n${answers.join("\n")}\nesac\n`, {
      mode: 0o755,
    });
    const { code, stderr } = await runBare([program, "version"], dir, { PATH: `${bin}:/usr/bin:/bin`, TMPDIR: dir });
    assert.equal(code, 126, `${machine} ${JSON.stringify(facts)}`);
    assert.match(stderr, told);
  }
});

testNeeding(
  "qemu-aarch64-static and Debian's libraries for arm64",
  "one file: the program for arm64 moves files under qemu",
  async () => {
    const dir = await Deno.makeTempDir({ prefix: "filesync-one-file-arm64-" });
    try {
      giveAway(dir);
      await Deno.chmod(dir, 0o755);
      const path = join(dir, "filesync");
      await Deno.copyFile(programOf(await sharedRelease(), "aarch64"), path);
      const bin = join(dir, "bin");
      Deno.mkdirSync(bin);
      Deno.writeTextFileSync(join(bin, "uname"), "#!/bin/sh\necho aarch64\n", { mode: 0o755 });
      const env = { FILESYNC_CACHE_DIR: join(dir, "cache"), PATH: `${bin}:/usr/sbin:/usr/bin:/sbin:/bin` };
      // The header unpacks; the processor cannot run what it has unpacked.
      assert.equal((await runBare([path, "version"], dir, env)).code, 126);
      emulate(env.FILESYNC_CACHE_DIR);
      const version = await runBare([path, "version"], dir, env);
      assert.match(version.stdout, /linux aarch64/, version.stderr);

      writeJourney(dir);
      // An emulated driver may be slower than the time that drivers have to start: then it is started again.
      let synced = await runBare([path, "sync", "--once"], dir, env);
      for (let again = 0; again < 5 && synced.code !== 0; again++) {
        synced = await runBare([path, "sync", "--once"], dir, env);
      }
      assert.equal(synced.code, 0, synced.stderr);
      assertJourney(dir);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
  hasCommand("qemu-aarch64-static") && arm64Libraries() !== undefined,
);

Deno.test.afterAll(async () => {
  if (copied !== undefined) await Deno.remove(join(await copied, ".."), { recursive: true });
});

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
