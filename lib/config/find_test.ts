import assert from "node:assert/strict";
import { ConfigError } from "./explain.ts";
import { defaultStatePath, findConfigFile } from "./find.ts";

function inDir<T>(run: (dir: string) => T): T {
  const dir = Deno.makeTempDirSync();
  try {
    return run(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

Deno.test("findConfigFile() takes the option before the variable before the user's directory", () => {
  inDir((dir) => {
    Deno.mkdirSync(`${dir}/.config/filesync`, { recursive: true });
    Deno.mkdirSync(`${dir}/xdg/filesync`, { recursive: true });
    const [flag, env, home, xdg] = ["flag.json", "env.json", ".config/filesync/config.json", "xdg/filesync/config.json"]
      .map((name) => `${dir}/${name}`) as [string, string, string, string];
    for (const file of [flag, env, home, xdg]) Deno.writeTextFileSync(file, "{}");
    assert.equal(findConfigFile(flag, { FILESYNC_CONFIG: env }), flag);
    assert.equal(findConfigFile(undefined, { FILESYNC_CONFIG: env, HOME: dir }), env);
    assert.equal(findConfigFile("", { FILESYNC_CONFIG: "", HOME: dir, XDG_CONFIG_HOME: `${dir}/xdg` }), xdg);
    assert.equal(findConfigFile(undefined, { HOME: dir }), home);
  });
});

Deno.test("findConfigFile() does not fall back from a file that was named", () => {
  inDir((dir) => {
    Deno.mkdirSync(`${dir}/.config/filesync`, { recursive: true });
    Deno.writeTextFileSync(`${dir}/.config/filesync/config.json`, "{}");
    assert.throws(() => findConfigFile(`${dir}/none.json`, { HOME: dir }), /Cannot find .* that --config names/);
    assert.throws(() => findConfigFile(undefined, { FILESYNC_CONFIG: `${dir}/none.json` }), /\$FILESYNC_CONFIG names/);
  });
});

Deno.test("findConfigFile() lists where it looked, also without a home", () => {
  for (const env of [{}, { HOME: "/nonexistent" }]) {
    assert.throws(() => findConfigFile(undefined, env), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, /looked for .*\/config\.json.*, \/etc\/filesync\/config\.json\n {2}Name one with/);
      return error.message.includes("/nonexistent/.config/filesync/config.json") === ("HOME" in env);
    });
  }
});

Deno.test("defaultStatePath() is beside the configuration, else systemd's, else the user's directory", () => {
  inDir((dir) => {
    assert.equal(defaultStatePath(`${dir}/config.json`, { HOME: "/h" }), `${dir}/filesync.db`);
  });
  const nowhere = "/nonexistent/config.json";
  const env = { STATE_DIRECTORY: "/var/lib/filesync:/var/lib/b", XDG_STATE_HOME: "/xdg", HOME: "/h" };
  assert.equal(defaultStatePath(nowhere, env), "/var/lib/filesync/filesync.db");
  assert.equal(defaultStatePath(nowhere, { XDG_STATE_HOME: "/xdg", HOME: "/h" }), "/xdg/filesync/filesync.db");
  assert.equal(defaultStatePath(nowhere, { HOME: "/h" }), "/h/.local/state/filesync/filesync.db");
  assert.equal(defaultStatePath(nowhere, {}), undefined);
});

Deno.test("defaultStatePath() of a configuration below /etc is the same for the service, for root and for others", () => {
  const there = new Set<string>();
  const system = (isRoot: boolean) => ({ isRoot, exists: (path: string) => there.has(path), isWritable: () => isRoot });
  const etc = "/etc/filesync/config.json";
  const user = { HOME: "/h" };
  assert.equal(defaultStatePath(etc, user, system(false)), "/h/.local/state/filesync/filesync.db");
  there.add("/var/lib/filesync");
  for (
    const [env, isRoot] of [[{ STATE_DIRECTORY: "/var/lib/filesync" }, false], [user, true], [user, false]] as const
  ) {
    assert.equal(defaultStatePath(etc, env, system(isRoot)), "/var/lib/filesync/filesync.db");
    assert.equal(defaultStatePath("/etc/filesync/cam.json", env, system(isRoot)), "/var/lib/filesync/cam.db");
  }
  there.add("/etc/filesync/filesync.db");
  assert.equal(defaultStatePath(etc, user, system(true)), "/etc/filesync/filesync.db");
});
