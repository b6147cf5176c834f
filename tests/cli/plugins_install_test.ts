/** `filesync plugins install` and `remove`: what a stranger made comes in whole and bounded, or not at all. */
import assert from "node:assert/strict";
import { type Pack, pack } from "tar-stream";
import { gzipSync } from "node:zlib";
import { testNeeding } from "../support/needs.ts";
import { filesync, inTempDir, jsonLines } from "./support.ts";

const EXAMPLE = new URL("../../plugins/examples/folder/", import.meta.url);
const MANIFEST = JSON.parse(Deno.readTextFileSync(new URL("filesync-plugin.json", EXAMPLE)));

function example(name: string): string {
  return Deno.readTextFileSync(new URL(name, EXAMPLE));
}

/** A copy of the example driver with this manifest, as someone with umask 002 has it. */
async function makeFolder(dir: string, manifest: object = {}): Promise<void> {
  await Deno.mkdir(dir, { recursive: true });
  await Deno.writeTextFile(`${dir}/filesync-plugin.json`, JSON.stringify({ ...MANIFEST, ...manifest }));
  await Deno.writeTextFile(`${dir}/folder.py`, example("folder.py"));
  await Deno.writeTextFile(`${dir}/filesync-test.json`, example("filesync-test.json"));
  await Deno.chmod(`${dir}/folder.py`, 0o775);
  await Deno.chmod(`${dir}/filesync-plugin.json`, 0o664);
}

/** A tar archive of the example driver below `prefix`, with what `add` puts in besides. */
async function archive(prefix: string, add: (tar: Pack) => void = () => {}): Promise<Uint8Array> {
  const tar = pack();
  tar.entry({ name: `${prefix}filesync-plugin.json`, mode: 0o666 }, JSON.stringify(MANIFEST));
  tar.entry({ name: `${prefix}folder.py`, mode: 0o777 }, example("folder.py"));
  tar.entry({ name: `${prefix}filesync-test.json` }, example("filesync-test.json"));
  add(tar);
  tar.finalize();
  const parts: Uint8Array[] = [];
  for await (const part of tar) parts.push(part as Uint8Array);
  return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

/** What is below `dir`, and who may write to it. */
function modesBelow(dir: string): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) => {
    const mode = ((Deno.lstatSync(`${dir}/${name}`).mode ?? 0) & 0o777).toString(8);
    return [`${name} ${mode}`, ...(isDirectory ? modesBelow(`${dir}/${name}`).map((line) => `${name}/${line}`) : [])];
  }).sort();
}

function run(dir: string, ...args: string[]) {
  return filesync(dir, ["plugins", ...args], { XDG_DATA_HOME: `${dir}/data` });
}

testNeeding("python3", "plugins install takes a folder, says what to configure, and remove takes it away", async () => {
  await inTempDir(async (dir) => {
    await makeFolder(`${dir}/mine`);
    await Deno.mkdir(`${dir}/mine/.git`);
    const installed = await run(dir, "install", "./mine");
    assert.equal(installed.code, 0, installed.stderr);
    const place = await Deno.realPath(`${dir}/data/filesync/plugins/folder`);
    assert.equal(installed.stdout, `${dir}/data/filesync/plugins/folder\n`);
    assert.match(installed.stderr, /^ {2}"source":\{"driver":"folder","args":\{"dir":"<path>"\}\}$/m);
    assert.deepEqual(modesBelow(place), ["filesync-plugin.json 644", "filesync-test.json 644", "folder.py 755"]);
    assert.deepEqual([...Deno.readDirSync(`${dir}/data/filesync`)].map(({ name }) => name), ["plugins"]);
    assert.match((await run(dir, "list")).stdout, /^folder +1\.0\.0 .*data\/filesync\/plugins\/folder/m);

    const again = await run(dir, "install", "./mine");
    assert.equal(again.code, 1);
    assert.match(again.stderr, /is in ".*\/folder" already, version 1\.0\.0\n {2}--force replaces it/);
    await makeFolder(`${dir}/mine`, { version: "2.0" });
    const [told] = jsonLines((await run(dir, "install", "./mine", "--force", "--json")).stdout);
    assert.deepEqual([told?.["event"], told?.["version"], told?.["replaced"]], ["installed", "2.0", "1.0.0"]);

    const device = { driver: "folder", args: { dir: "./in" } };
    const job = { name: "a", source: device, target: { driver: "local", args: { dir: "./out" } } };
    await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify({ jobs: [job] }));
    const used = await run(dir, "remove", "folder");
    assert.equal(used.code, 1);
    assert.match(used.stderr, /Driver "folder" is used by "a\.source" of/);
    await Deno.remove(`${dir}/config.json`);
    const removed = await run(dir, "remove", "folder");
    assert.equal(removed.code, 0, removed.stderr);
    assert.equal((await run(dir, "remove", "folder")).code, 2, "there is none any more");
    assert.deepEqual([...Deno.readDirSync(`${dir}/data/filesync/plugins`)], []);
  });
});

testNeeding("python3", "plugins install takes archives of releases, plain and gzipped", async () => {
  await inTempDir(async (dir) => {
    const plain = await archive("./");
    const release = gzipSync(
      await archive("camera-1.2/", (tar) => tar.entry({ name: "camera-1.2/doc/a.md" }, "words")),
    );
    for (const [name, bytes, files] of [["a.tar", plain, 3], ["b.tar.gz", release, 5]] as const) {
      await Deno.writeFile(`${dir}/${name}`, bytes);
      const { code, stdout, stderr } = await run(dir, "install", name, "--force");
      assert.equal(code, 0, stderr);
      assert.equal(modesBelow(stdout.trim()).length, files);
      assert.ok(modesBelow(stdout.trim()).every((line) => /(644|755)$/.test(line)));
    }
  });
});

testNeeding("python3", "plugins install refuses an archive that leads out, and leaves nothing of it", async () => {
  await inTempDir(async (dir) => {
    await Deno.writeFile(`${dir}/evil.tar`, await archive("", (tar) => tar.entry({ name: "../evil" }, "x")));
    const { code, stderr } = await run(dir, "install", "evil.tar");
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^filesync: Plugin holds "\.\.\/evil": path holds "\.\."$/m);
    assert.deepEqual(modesBelow(`${dir}/data`), ["filesync 755", "filesync/plugins 755"]);
  });
});

testNeeding(
  "python3",
  "plugins install refuses what is no plugin, what is built in, and what does not speak",
  async () => {
    await inTempDir(async (dir) => {
      await Deno.mkdir(`${dir}/empty`);
      assert.match((await run(dir, "install", "empty")).stderr, /There is no plugin in ".*empty"/);
      await makeFolder(`${dir}/ftp`, { name: "ftp" });
      assert.match((await run(dir, "install", "ftp")).stderr, /cannot take the built-in name "ftp"/);
      await makeFolder(`${dir}/future`, { protocol: 2 });
      assert.match((await run(dir, "install", "future")).stderr, /Plugin speaks protocol 2: expected 1/);
      await makeFolder(`${dir}/mute`);
      await Deno.writeTextFile(`${dir}/mute/folder.py`, "#!/bin/sh\nexit 1\n");
      const mute = await run(dir, "install", "mute");
      assert.equal(mute.code, 1);
      assert.match(mute.stderr, /Plugin "folder" does not work as a source: .*ended with exit code 1/);
      await makeFolder(`${dir}/linked`);
      await Deno.symlink("/etc", `${dir}/linked/etc`);
      assert.match((await run(dir, "install", "linked")).stderr, /holds "etc", which is neither a file nor a folder/);
      assert.equal((await run(dir, "install", "nowhere")).code, 2);
      assert.deepEqual(modesBelow(`${dir}/data`), ["filesync 755", "filesync/plugins 755"]);
      const builtIn = await run(dir, "remove", "ftp");
      assert.equal(builtIn.code, 1);
      assert.match(builtIn.stderr, /Driver "ftp" is built in/);
    });
  },
);
