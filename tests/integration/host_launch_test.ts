/** What a plugin's process is given of the machine, and what it is not. */
import assert from "node:assert/strict";
import { discoverPlugins } from "../../lib/host/mod.ts";
import { failureOf, openBad, openFault } from "../faults/bad_drivers/open.ts";
import { testNeeding } from "../support/needs.ts";

const ENV: Record<string, string> = {
  PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
  HOME: "/nowhere",
  LANG: "C.UTF-8",
  TZ: "UTC",
  AWS_SECRET_ACCESS_KEY: "not for plugins",
  CAMERA_TOKEN: "for this plugin",
  LD_PRELOAD_LIKE: "x",
};

testNeeding("python3", "a plugin has no file of ours open, and no terminal", async () => {
  using _ours = await Deno.open(new URL(import.meta.url));
  await using bad = openBad({ command: ["/usr/bin/python3", "bad_driver.py"] });
  await bad.device.capabilities();
  // What whoever started us left open we cannot help to hand on.
  const filesOf = (pid: number) => {
    const dir = `/proc/${pid}/fd`;
    return [...Deno.readDirSync(dir)].flatMap(({ name }) => {
      try {
        return [Deno.readLinkSync(`${dir}/${name}`)];
      } catch {
        // The one that the directory was read with.
        return [];
      }
    });
  };
  const ours = new URL(import.meta.url).pathname;
  assert.ok(filesOf(Deno.pid).includes(ours));
  assert.ok(!filesOf(bad.device.pid!).includes(ours));
  // The 7th field is the controlling terminal.
  const stat = await Deno.readTextFile(`/proc/${bad.device.pid}/stat`);
  assert.equal(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[4], "0");
});

testNeeding("python3", "a plugin's environment holds the short list and what its manifest asks for", async () => {
  await using bad = openFault("environment", {
    // The interpreter itself: a version manager's shim would add variables of its own.
    command: ["/usr/bin/python3", "bad_driver.py"],
    plugin: { permissions: { env: ["CAMERA_TOKEN", "NOT_SET"] } },
    launch: { env: (name) => ENV[name] },
  });
  const entry = await bad.device.stat("a");
  const names = (JSON.parse(entry.etag ?? "[]") as string[]).filter((name) => name !== "LC_CTYPE");
  assert.deepEqual(names, ["CAMERA_TOKEN", "FILESYNC_STATE_DIR", "HOME", "LANG", "PATH", "TZ"]);
  assert.equal(entry.problem, await Deno.realPath(`${bad.dir}/state`), "it runs in its own directory");
});

Deno.test("a driver that Deno runs gets the permissions of its manifest and no more", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/driver.ts`, PROBE);
    await Deno.writeTextFile(
      `${folder}/filesync-plugin.json`,
      JSON.stringify({
        name: "probe",
        version: "1",
        protocol: 1,
        roles: ["source"],
        command: ["driver.ts"],
        permissions: { read: ["{args.dir}"], net: ["{args.host}"] },
      }),
    );
    const plugin = discoverPlugins({ configDirs: [folder], builtIn: [], env: () => undefined, systemDir: "/none" })
      .get("probe");
    assert(plugin !== undefined);
    await Deno.mkdir(`${folder}/a, b`);
    await Deno.writeTextFile(`${folder}/a, b/own`, "1");
    await Deno.writeTextFile(`${folder}/secret`, "2");
    await using bad = openBad({ plugin, args: { dir: `${folder}/a, b`, host: "127.0.0.1" } });
    assert.deepEqual(JSON.parse((await bad.device.stat(`${folder}/a, b`)).etag ?? ""), {
      dir: "granted",
      etc: "prompt",
      write: "prompt",
      host: "granted",
      otherHost: "prompt",
      run: "prompt",
      env: "prompt",
      readsOwn: "1",
      readsOutside: "NotCapable",
      writesOutside: "NotCapable",
    });
    assert.deepEqual([...Deno.readDirSync(folder)].some(({ name }) => name === "evil"), false);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const PROBE = `
const decoder = new TextDecoder();
const attempt = (deed) => {
  try {
    return deed();
  } catch (error) {
    return error.name;
  }
};
const state = (descriptor) => Deno.permissions.querySync(descriptor).state;
for await (const chunk of Deno.stdin.readable) {
  for (const line of decoder.decode(chunk).trim().split("\\n")) {
    const { id, method, params } = JSON.parse(line);
    const result = method === "initialize" ? { capabilities: {} } : method === "stat" ? {
      path: params.path, kind: "directory", etag: JSON.stringify({
        dir: state({ name: "read", path: params.path }),
        etc: state({ name: "read", path: "/etc" }),
        write: state({ name: "write", path: params.path }),
        host: state({ name: "net", host: "127.0.0.1:21" }),
        otherHost: state({ name: "net", host: "127.0.0.2:21" }),
        run: state({ name: "run" }),
        env: state({ name: "env" }),
        readsOwn: attempt(() => Deno.readTextFileSync(params.path + "/own")),
        readsOutside: attempt(() => Deno.readTextFileSync(params.path + "/../secret")),
        writesOutside: attempt(() => Deno.writeTextFileSync(params.path + "/../evil", "evil")),
      }),
    } : {};
    console.log(JSON.stringify({ jsonrpc: "2.0", id, result }));
    if (method === "shutdown") Deno.exit(0);
  }
}
`;

Deno.test("a plugin that others can write to is refused before it runs", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/run.sh`, "#!/bin/sh\ntouch ran\n");
    await Deno.chmod(`${folder}/run.sh`, 0o777);
    const manifest = { name: "open", version: "1", protocol: 1, roles: ["source"], command: ["./run.sh"] };
    await Deno.writeTextFile(`${folder}/filesync-plugin.json`, JSON.stringify(manifest), { mode: 0o644 });
    const plugin = discoverPlugins({ configDirs: [folder], builtIn: [], env: () => undefined, systemDir: "/none" })
      .get("open");
    assert(plugin !== undefined);
    await using bad = openBad({ plugin });
    const error = await failureOf(bad.device.capabilities());
    assert.deepEqual([error.code, error.details.hint], ["unsupported", `chmod go-w ${folder}/run.sh`]);
    assert.equal(bad.device.pid, undefined);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
