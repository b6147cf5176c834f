/**
 * Our own drivers have nothing that a stranger's lacks: the program without `local`, and `local` as a plugin in a folder
 * of its own, do what they do together.
 */
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { SOURCE_ROOT } from "../../lib/host/builtin.ts";

/** Takes what matches out of a file, and fails when nothing does. */
async function without(file: string, ...patterns: RegExp[]): Promise<void> {
  let text = await Deno.readTextFile(file);
  for (const pattern of patterns) {
    assert.match(text, pattern);
    text = text.replace(pattern, "");
  }
  await Deno.writeTextFile(file, text);
}

/** The sources of the program without the driver `local`, in `dir`. */
async function programWithoutLocal(dir: string): Promise<string> {
  for (const name of ["cli", "lib", "plugins", "deno.json", "deno.lock"]) {
    cpSync(new URL(name, SOURCE_ROOT), `${dir}/${name}`, { recursive: true });
  }
  await without(`${dir}/lib/host/builtin.ts`, /^import local from .*\n/m, /(?<=\[)local, /);
  await without(`${dir}/cli/main.ts`, /^ +local: .*\n/m);
  for (const name of ["main.ts", "driver.ts", "filesync-plugin.json"]) {
    await Deno.remove(`${dir}/plugins/local/${name}`);
  }
  return `${dir}/cli/main.ts`;
}

/** `local` as a stranger would hand it on: one file, and its manifest. */
async function localApart(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true, mode: 0o755 });
  const from = new URL("plugins/local/", SOURCE_ROOT);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "bundle",
      "--quiet",
      "--platform",
      "deno",
      "--output",
      `${folder}/main.js`,
      new URL("main.ts", from).pathname,
    ],
    cwd: SOURCE_ROOT,
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const manifest = JSON.parse(await Deno.readTextFile(new URL("filesync-plugin.json", from)));
  const text = JSON.stringify({ ...manifest, command: ["./main.js"] });
  await Deno.writeTextFile(`${folder}/filesync-plugin.json`, text, { mode: 0o644 });
  for (const name of ["main.js", "filesync-plugin.json", "."]) {
    await Deno.chmod(`${folder}/${name}`, name === "filesync-plugin.json" ? 0o644 : 0o755);
  }
}

Deno.test("The program without a driver of its own takes it back as a plugin, and moves files with it", async () => {
  const dir = await Deno.makeTempDir({ prefix: "filesync-apart-" });
  const filesync = async (main: string, ...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", "--quiet", main, ...args],
      cwd: `${dir}/user`,
      env: { NO_COLOR: "1", XDG_DATA_HOME: `${dir}/data` },
      stdin: "null",
    }).output();
    return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  };
  try {
    await Deno.mkdir(`${dir}/user/in/deep`, { recursive: true });
    await Deno.mkdir(`${dir}/program`);
    const bytes = new Uint8Array(300_000).map((_, at) => at * 7);
    await Deno.writeFile(`${dir}/user/in/deep/a.ulg`, bytes);
    const device = (name: string) => ({ driver: "local", args: { dir: `./${name}` } });
    const job = { name: "j", source: device("in"), target: device("out"), finder: { settle: "0s" } };
    await Deno.writeTextFile(`${dir}/user/config.json`, JSON.stringify({ jobs: [job] }));
    const main = await programWithoutLocal(`${dir}/program`);
    const lost = await filesync(main, "sync", "--once");
    assert.equal(lost.code, 3, lost.stderr);
    assert.match(lost.stderr, /Unknown driver "local"/);
    await localApart(`${dir}/data/filesync/plugins/local`);
    const listed = await filesync(main, "plugins", "list");
    assert.match(listed.stdout, /^local +\S+ +source, target +\/.*plugins\/local/m);
    const synced = await filesync(main, "sync", "--once", "--no-progress");
    assert.equal(synced.code, 0, synced.stderr);
    assert.deepEqual(await Deno.readFile(`${dir}/user/out/deep/a.ulg`), bytes);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
