/** `filesync plugins`: what a writer of drivers works with. */
import assert from "node:assert/strict";
import { testNeeding } from "../support/needs.ts";
import { filesync, inTempDir, jsonLines } from "./support.ts";

const FOLDER = new URL("../../plugins/examples/folder/", import.meta.url);

/** A copy of the example that nobody else can write to, as a stranger would make it. */
async function copyOfFolder(dir: string, change: (source: string) => string = (source) => source): Promise<void> {
  await Deno.mkdir(dir, { recursive: true, mode: 0o755 });
  for (const name of ["filesync-plugin.json", "filesync-test.json"]) {
    await Deno.writeTextFile(`${dir}/${name}`, await Deno.readTextFile(new URL(name, FOLDER)), { mode: 0o644 });
  }
  const source = change(await Deno.readTextFile(new URL("folder.py", FOLDER)));
  await Deno.writeTextFile(`${dir}/folder.py`, source, { mode: 0o755 });
}

Deno.test("filesync plugins info tells a driver's arguments, and honestly that it must be asked for more", async () => {
  await inTempDir(async (dir) => {
    const plain = await filesync(dir, ["plugins", "info", "local"]);
    assert.equal(plain.code, 0, plain.stderr);
    assert.match(plain.stdout, /^local \S+: A directory/);
    assert.match(
      plain.stdout,
      /^ {2}as source +not known: .*needs "dir": --args FILE names a file with \{"dir": …\}$/m,
    );
    assert.match(plain.stdout, /^dir +path +\(required\) +The directory/m);
    await Deno.writeTextFile(`${dir}/args.json`, '{ "dir": "./in" }');
    const asked = await filesync(dir, ["plugins", "info", "local", "--args", "args.json", "--json"]);
    const [told] = jsonLines(asked.stdout) as { capabilities: { source: { remove: boolean } }; roles: string[] }[];
    assert.deepEqual(told?.roles, ["source", "target"]);
    assert.equal(told?.capabilities.source.remove, true, asked.stdout);
  });
});

Deno.test("filesync plugins info shows what holds a driver, and config check knows its name", async () => {
  await inTempDir(async (dir) => {
    await copyOfFolder(`${dir}/plugins/folder`);
    const write = (plugins: object) =>
      Deno.writeTextFile(
        `${dir}/config.json`,
        JSON.stringify({ plugins: { dirs: ["./plugins"], ...plugins }, jobs: [] }),
      );
    await write({});
    const free = await filesync(dir, ["plugins", "info", "folder"]);
    assert.match(free.stdout, /^ {2}may do +all that you may: nothing holds it back/m);
    assert.match(free.stdout, /^ {2}limits +512 MiB of memory, 1024 open files, nice 5$/m);
    await write({
      wrappers: { folder: "bubblewrap" },
      limits: { folder: { memory: "64MiB", open_files: 64, nice: 10 }, local: { nice: 3 } },
    });
    const held = await filesync(dir, ["plugins", "info", "folder"]);
    assert.match(held.stdout, /^ {2}held by +bubblewrap$/m);
    assert.match(held.stdout, /^ {2}limits +64.0 MiB of memory, 64 open files, nice 10$/m);
    const [local] = jsonLines((await filesync(dir, ["plugins", "info", "local", "--json"])).stdout);
    assert.deepEqual(local?.["limits"], { memoryBytes: 512 * 1024 * 1024, openFiles: 1024, nice: 3 });

    await write({ limits: { folder: { memory: "1MiB" } } });
    const tiny = await filesync(dir, ["config", "check"]);
    assert.equal(tiny.code, 3);
    assert.match(tiny.stderr, /plugins\.limits\.folder\.memory: Expected at least 16MiB/);
    await write({ wrappers: { foldr: "bubblewrap" }, limits: { local: { nice: 20 } } });
    const misspelt = await filesync(dir, ["config", "check"]);
    assert.equal(misspelt.code, 3);
    assert.match(misspelt.stderr, /Unknown driver "foldr"; did you mean "folder"\?/);
    assert.match(misspelt.stderr, /a whole number from 0 to 19/);
    await write({ wrappers: { local: ["nice"] } });
    const builtIn = await filesync(dir, ["plugins", "info", "local"]);
    assert.equal(builtIn.code, 8);
    assert.match(builtIn.stdout, /a wrapper is for drivers of other people/);
  });
});

Deno.test("filesync plugins info of an unknown name tells the nearest, of a broken driver its problem", async () => {
  await inTempDir(async (dir) => {
    const unknown = await filesync(dir, ["plugins", "info", "locl"]);
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /^filesync: There is no driver "locl"; did you mean "local"\?/);
    await Deno.mkdir(`${dir}/broken`);
    await Deno.writeTextFile(`${dir}/broken/filesync-plugin.json`, "{");
    for (const command of ["info", "test"]) {
      const broken = await filesync(dir, ["plugins", command, "./broken"]);
      assert.equal(broken.code, 8, broken.stderr);
      assert.match(broken.stdout + broken.stderr, /Cannot read ".*filesync-plugin\.json"/);
    }
    assert.equal((await filesync(dir, ["plugins", "test", "./nowhere"])).code, 2);
  });
});

testNeeding(
  "python3",
  "filesync plugins test reports cases, ends with 8 for a broken driver and 0 for a good one",
  async () => {
    await inTempDir(async (dir) => {
      await copyOfFolder(`${dir}/good`);
      const good = await filesync(dir, ["plugins", "test", "./good", "--only", "remove|shutdown|refuses"]);
      assert.equal(good.code, 0, good.stdout + good.stderr);
      assert.match(good.stdout, /^passed {3}remove\(\) refuses a file that changed \[source\]$/m);
      assert.match(good.stdout, /\nPassed: \d+ cases, \d+ not for what it can do\n$/);
      await copyOfFolder(`${dir}/bad`, (source) => source.replace("os.unlink(local", "str(local"));
      const args = ["plugins", "test", "./bad", "--only", "remove"];
      const bad = await filesync(dir, args);
      assert.equal(bad.code, 8, bad.stdout + bad.stderr);
      assert.match(bad.stdout, /^failed {3}remove\(\) removes the expected file \[source\]\n {9}\S/m);
      assert.match(bad.stdout, /\nFailed: 1 case of 4, 1 not for what it can do\n$/);
      const lines = jsonLines((await filesync(dir, [...args, "--json"])).stdout);
      assert.deepEqual(lines.map(({ event, result }) => `${event} ${result ?? ""}`.trim()), [
        "case failed",
        "case passed",
        "case passed",
        "case skipped",
        "summary",
      ]);
      assert.deepEqual([lines.at(-1)!["ok"], lines.at(-1)!["failed"]], [false, 1]);
    });
  },
);

testNeeding("python3", "filesync plugins test without a directory touches no device and says so", async () => {
  await inTempDir(async (dir) => {
    await copyOfFolder(`${dir}/good`);
    await Deno.writeTextFile(`${dir}/args.json`, JSON.stringify({ dir: `${dir}/in-use` }));
    const { code, stdout, stderr } = await filesync(dir, ["plugins", "test", "./good", "--args", "args.json"]);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stderr, /the device is not touched/);
    assert.match(stdout, /^passed {3}the process ends when its stdin ends \[target\]$/m);
    assert.doesNotMatch(stdout, /upload|download|list\(/);
    await assert.rejects(Deno.stat(`${dir}/in-use`));
  });
});

testNeeding(
  "python3",
  "filesync plugins test reads a device in use where it may, and finds what does not agree",
  async () => {
    await inTempDir(async (dir) => {
      await Deno.mkdir(`${dir}/in-use/sub`, { recursive: true });
      await Deno.writeFile(`${dir}/in-use/sub/a.bin`, new Uint8Array(100_000).fill(1));
      await Deno.writeTextFile(`${dir}/args.json`, JSON.stringify({ args: { dir: `${dir}/in-use` }, reads: true }));
      await copyOfFolder(`${dir}/good`);
      const only = ["--args", "args.json", "--only", "says the same|twice|middle"];
      const good = await filesync(dir, ["plugins", "test", "./good", ...only]);
      assert.equal(good.code, 0, good.stdout + good.stderr);
      assert.match(good.stderr, /The device is read, and nothing is changed on it/);
      assert.match(good.stdout, /^Passed: 3 cases$/m);
      // A download that ends before its end, and says so of the file.
      await copyOfFolder(
        `${dir}/bad`,
        (source) =>
          source.replace("        while chunk := source.read(CHUNK):", "        if chunk := source.read(1000):")
            .replace(
              '{"sizeBytes": found["sizeBytes"], "fingerprint": found}',
              '{"sizeBytes": 1000, "fingerprint": found}',
            ),
      );
      const bad = await filesync(dir, ["plugins", "test", "./bad", ...only]);
      assert.equal(bad.code, 8, bad.stdout);
      assert.match(
        bad.stdout,
        /^failed {3}download\(\) twice brings the same bytes, as many as were listed \[source\]$/m,
      );
      assert.match(bad.stdout, /^passed {3}list\(\) twice says the same/m);
    });
  },
);

Deno.test("filesync config check tells where a plugin's arguments do not fit its schema, and what to do", async () => {
  await inTempDir(async (dir) => {
    await copyOfFolder(`${dir}/plugins/folder`);
    const config = `{
  "plugins": { "dirs": ["./plugins"] },
  "jobs": [{
    "name": "logs",
    "source": { "driver": "folder", "args": { "dri": "./in" } },
    "target": { "driver": "folder", "args": { "dir": 7 } }
  }]
}
`;
    await Deno.writeTextFile(`${dir}/config.json`, config);
    const { code, stderr } = await filesync(dir, ["config", "check"]);
    assert.equal(code, 3);
    assert.match(
      stderr,
      /config\.json:5:\d+: jobs\[0\]\.source\.args\.dri: .*did you mean "dir"\?\n {2}Known here: dir\n/,
    );
    assert.match(stderr, /config\.json:6:\d+: jobs\[0\]\.target\.args\.dir: /);
  });
});
