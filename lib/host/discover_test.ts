import assert from "node:assert/strict";
import { type DiscoverOptions, discoverPlugins } from "./discover.ts";

const LOCAL = { name: "local", version: "1", protocol: 1, roles: ["source", "target"] };

async function withDir(run: (dir: string) => void | Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function plugin(dir: string, folder: string, change: Record<string, unknown> | string = {}): void {
  Deno.mkdirSync(`${dir}/${folder}`, { recursive: true, mode: 0o755 });
  const manifest = { name: folder.replace(/^.*\//, ""), version: "1", protocol: 1, roles: ["source"], command: ["sh"] };
  const text = typeof change === "string" ? change : JSON.stringify({ ...manifest, ...change });
  Deno.writeTextFileSync(`${dir}/${folder}/filesync-plugin.json`, text, { mode: 0o644 });
}

function discover(options: DiscoverOptions) {
  return discoverPlugins({ builtIn: [LOCAL], env: () => undefined, systemDir: "/nowhere", ...options });
}

Deno.test("discoverPlugins() finds the built-in set without any directory", () => {
  const plugins = discover({});
  assert.deepEqual(plugins.names(), ["local"]);
  assert.equal(plugins.get("local")?.origin, "built-in");
});

Deno.test("discoverPlugins() looks in every place, in order, and the first of a name wins", () =>
  withDir((dir) => {
    plugin(dir, "config/cam", { description: "config" });
    plugin(dir, "path/cam", { description: "path" });
    plugin(dir, "path/imap");
    plugin(dir, "home/.local/share/filesync/plugins/usb");
    plugin(dir, "system/sftp");
    const env: Record<string, string> = { FILESYNC_PLUGIN_PATH: `:${dir}/none:${dir}/path`, HOME: `${dir}/home` };
    const plugins = discover({ configDirs: [`${dir}/config`], env: (name) => env[name], systemDir: `${dir}/system` });
    assert.deepEqual(plugins.names(), ["cam", "imap", "local", "sftp", "usb"]);
    assert.deepEqual([plugins.get("cam")?.description, plugins.get("cam")?.origin], ["config", `${dir}/config/cam`]);
    assert.deepEqual(plugins.shadowed.map(({ origin, problem }) => [origin, problem]), [
      [`${dir}/path/cam`, `Name "cam" is taken by the plugin in "${dir}/config/cam"`],
    ]);
    assert.equal(plugins.all().length, 6);
  }));

Deno.test("discoverPlugins() prefers XDG_DATA_HOME to the home directory", () =>
  withDir((dir) => {
    plugin(dir, "data/filesync/plugins/usb");
    plugin(dir, "home/.local/share/filesync/plugins/old");
    const env: Record<string, string> = { XDG_DATA_HOME: `${dir}/data`, HOME: `${dir}/home` };
    assert.deepEqual(discover({ env: (name) => env[name] }).names(), ["local", "usb"]);
  }));

Deno.test("discoverPlugins() does not let a plugin take a built-in name", () =>
  withDir((dir) => {
    plugin(dir, "evil", { name: "local", description: "mine" });
    const plugins = discover({ configDirs: [dir] });
    assert.equal(plugins.get("local")?.origin, "built-in");
    assert.match(plugins.shadowed[0]?.problem ?? "", /cannot take the built-in name "local"/);
    assert.match(plugins.shadowed[0]?.hint ?? "", /another name/);
  }));

Deno.test("discoverPlugins() takes a directory that is a plugin itself, and the same one only once", () =>
  withDir((dir) => {
    plugin(dir, "cam");
    const plugins = discover({ configDirs: [`${dir}/cam`, `${dir}/cam/`, dir] });
    assert.deepEqual([plugins.names(), plugins.shadowed.length], [["cam", "local"], 0]);
  }));

Deno.test("discoverPlugins() lists broken plugins with their problem", () =>
  withDir((dir) => {
    plugin(dir, "garbage", "\u0000{");
    plugin(dir, "newer", { protocol: 9 });
    plugin(dir, "open");
    Deno.chmodSync(`${dir}/open/filesync-plugin.json`, 0o666);
    plugin(dir, "renamed", { name: "cam", roles: [] });
    Deno.mkdirSync(`${dir}/folder/filesync-plugin.json`, { recursive: true });
    Deno.symlinkSync("filesync-plugin.json", `${dir}/filesync-plugin.json.bak`);
    Deno.mkdirSync(`${dir}/empty`);
    const plugins = discover({ configDirs: [dir, `${dir}/garbage/filesync-plugin.json`] });
    assert.deepEqual(plugins.names(), ["local"]);
    const broken = plugins.all().filter(({ problem }) => problem !== undefined);
    assert.deepEqual(broken.map(({ name }) => name).sort(), ["cam", "folder", "garbage", "newer", "open"]);
    assert.match(plugins.get("newer")?.problem ?? "", /protocol 9: expected 1/);
    assert.match(plugins.get("open")?.hint ?? "", /^chmod go-w /);
  }));
