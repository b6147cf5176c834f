/** Drivers that Deno does not hold, in the sandbox that a configuration puts around them. */
import assert from "node:assert/strict";
import type { Finding, Role } from "../../lib/driver/mod.ts";
import { discoverPlugins, HostedDevice, type PluginSettings } from "../../lib/host/mod.ts";
import { casesOf, describedFixture, faultChecksOf, parseDescription, pluginIn } from "../conformance/suite.ts";
import { failureOf } from "../faults/bad_drivers/open.ts";
import { hasCommand, testNeeding } from "../support/needs.ts";
import { canBoot, withSystemd } from "../support/systemd_bed.ts";

const EXAMPLE = new URL("../../plugins/examples/folder/", import.meta.url);
const NOSY = new URL("../faults/bad_drivers/nosy.py", import.meta.url);

/** Whether bubblewrap is there and may make its namespaces here. */
const CAN_WRAP = hasCommand("bwrap") &&
  new Deno.Command("bwrap", { args: ["--ro-bind", "/", "/", "--unshare-pid", "--proc", "/proc", "true"] })
    .outputSync().success;

/** A home with a key in it, a plugin's folder, a device, a spool of two devices. */
async function inHome(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-sandbox-" });
  try {
    for (const name of ["home/.ssh", "plugins/nosy", "device", "spool/1", "spool/2", "state"]) {
      await Deno.mkdir(`${dir}/${name}`, { recursive: true });
    }
    await Deno.writeTextFile(`${dir}/home/.ssh/id_ed25519`, "private key");
    await Deno.writeTextFile(`${dir}/spool/2/7.spool`, "bytes");
    const manifest = JSON.parse(await Deno.readTextFile(new URL("filesync-plugin.json", EXAMPLE)));
    manifest.name = "nosy";
    manifest.command = ["/usr/bin/python3", "nosy.py"];
    manifest.args.properties.wishes = { type: "string" };
    const folder = `${dir}/plugins/nosy`;
    await Deno.writeTextFile(`${folder}/filesync-plugin.json`, JSON.stringify(manifest), { mode: 0o644 });
    await Deno.copyFile(NOSY, `${folder}/nosy.py`);
    await Deno.copyFile(new URL("folder.py", EXAMPLE), `${folder}/folder.py`);
    for (const name of ["nosy.py", "folder.py"]) await Deno.chmod(`${folder}/${name}`, 0o755);
    await work(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** The nosy driver in `role`, as the configuration would have it. */
function open(dir: string, role: Role, settings: PluginSettings, wishes: Record<string, unknown> = {}): HostedDevice {
  const plugins = discoverPlugins({
    configDirs: [`${dir}/plugins`],
    settings: { nosy: settings },
    env: () => undefined,
    systemDir: "/none",
  });
  const plugin = plugins.get("nosy");
  assert.ok(plugin !== undefined && plugin.problem === undefined, plugin?.problem);
  return new HostedDevice({
    plugin,
    name: "device",
    role,
    args: { dir: `${dir}/device`, wishes: JSON.stringify(wishes) },
    spoolDir: `${dir}/spool/1`,
    spoolRoot: `${dir}/spool`,
    stateDir: `${dir}/state`,
    launch: { env: (name) => name === "HOME" ? `${dir}/home` : Deno.env.get(name) },
  });
}

/** What the driver was able to do of all that it tried. */
async function successes(dir: string, role: Role, settings: PluginSettings): Promise<string[]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using device = open(dir, role, settings, {
    read: [`${dir}/home/.ssh/id_ed25519`, "/etc/shadow", `${dir}/spool/2/7.spool`, `${dir}/plugins/nosy/nosy.py`],
    write: [
      `${dir}/evil`,
      `${dir}/home/evil`,
      `${dir}/spool/2/7.spool`,
      `${dir}/plugins/nosy/nosy.py`,
      "/tmp/evil",
      "/evil",
    ],
    port: listener.addr.port,
    pid: Deno.pid,
  });
  const findings: Finding[] = await device.check();
  const processes = Number(findings.find(({ name }) => name === "processes")?.detail);
  assert.ok(processes < 10, `It sees ${processes} processes`);
  return findings.filter(({ ok, name }) => ok && name !== "processes").map(({ name }) => name.replace(dir, ""));
}

const bubblewrap: PluginSettings = { wrapper: "bubblewrap" };

testNeeding("bwrap", "a driver in bubblewrap reads no key, writes nothing outside and sees nobody", async () => {
  await inHome(async (dir) => {
    const source = await successes(dir, "source", bubblewrap);
    assert.deepEqual(source, ["read /plugins/nosy/nosy.py", "connect", "own device", "own state"]);
    const target = await successes(dir, "target", bubblewrap);
    assert.deepEqual(target, ["read /spool/2/7.spool", ...source], "a target reads what a source has spooled");
    assert.equal(await Deno.readTextFile(`${dir}/device/own`), "evil", "its own device is the real one");
    assert.equal(await Deno.readTextFile(`${dir}/spool/2/7.spool`), "bytes");
    assert.deepEqual([...Deno.readDirSync(`${dir}/home`)].map(({ name }) => name), [".ssh"]);
  });
}, CAN_WRAP);

testNeeding("bwrap", "a driver in bubblewrap whose manifest wants no network has none", async () => {
  await inHome(async (dir) => {
    const file = `${dir}/plugins/nosy/filesync-plugin.json`;
    const manifest = JSON.parse(await Deno.readTextFile(file));
    await Deno.writeTextFile(file, JSON.stringify({ ...manifest, permissions: { net: false } }));
    const able = await successes(dir, "source", bubblewrap);
    assert.deepEqual(able, ["read /plugins/nosy/nosy.py", "own device", "own state"]);
  });
}, CAN_WRAP);

testNeeding("bwrap", "a driver in bubblewrap whose device is not there is not started, and says which", async () => {
  await inHome(async (dir) => {
    await Deno.remove(`${dir}/device`);
    await using device = open(dir, "target", bubblewrap);
    const error = await failureOf(device.capabilities());
    assert.equal(error.code, "broken");
    assert.match(error.details.hint ?? "", new RegExp(`Can't find source path ${dir}/device`));
    assert.equal([...Deno.readDirSync(dir)].some(({ name }) => name === "device"), false);
  });
}, CAN_WRAP);

testNeeding("python3", "a wrapper of one's own is any command, with the driver's folders filled in", async () => {
  await inHome(async (dir) => {
    const note = `${dir}/state/words`;
    const wrapper = ["sh", "-c", 'echo "$1 $2" >"$0"; shift 2; exec "$@"', note, "{spoolDir}", "{args.dir}"];
    await using device = open(dir, "source", { wrapper });
    assert.equal((await device.stat("")).kind, "directory");
    assert.equal(await Deno.readTextFile(note), `${dir}/spool/1 ${dir}/device\n`);
  });
});

testNeeding("python3", "a wrapper that is not installed is named, and nothing runs without it", async () => {
  await inHome(async (dir) => {
    await using device = open(dir, "source", { wrapper: ["no-such-sandbox"] });
    const error = await failureOf(device.capabilities());
    assert.match(error.message, /^Cannot start plugin "nosy": "no-such-sandbox" is not on PATH/);
  });
});

/** Those in which something moves, ends or is killed; absence is not among them, since a bind mount keeps a directory. */
const CASES = /^(download|upload)\(\) .*(awkward|free name|killed|cancelled|resumes)|^the process/;

for (const role of ["source", "target"] as const) {
  testNeeding("bwrap", `the example driver passes in bubblewrap what it passes outside [${role}]`, async () => {
    const plugin = pluginIn(EXAMPLE.pathname.replace(/\/$/, ""));
    const description = parseDescription(await Deno.readTextFile(new URL("filesync-test.json", EXAMPLE)));
    const wrapped = { ...plugin, command: ["/usr/bin/python3", "folder.py"], wrapper: "bubblewrap" as const };
    const fixture = describedFixture(wrapped, description);
    const checks = [...casesOf(fixture, role), ...faultChecksOf(fixture, role)].filter(({ name }) => CASES.test(name));
    assert.ok(checks.length >= 4, `${checks.length} cases`);
    for (const { run } of checks) await run();
  }, CAN_WRAP);
}

testNeeding(
  "systemd",
  "systemd-run as a wrapper hands on the pipes and bounds the memory of all that runs in it",
  async () => {
    await withSystemd(async (bed) => {
      await Deno.copyFile(new URL("folder.py", EXAMPLE), `${bed.share}/folder.py`);
      const params = {
        protocol: 1,
        device: "x",
        role: "source",
        args: { dir: "/tmp" },
        spoolDir: "/tmp",
        stateDir: "/tmp",
      };
      await Deno.writeTextFile(
        `${bed.share}/init`,
        JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }) + "\n",
      );
      const scope = "systemd-run --scope --quiet -p MemoryMax=64M -p MemorySwapMax=0 -p CPUQuota=50%";
      // Its stdin ends, and with it the driver and the scope.
      const answer = await bed.sh(`(cat /share/init; sleep 3) | ${scope} /usr/bin/python3 /share/folder.py`);
      assert.equal(answer.code, 0, answer.text);
      assert.match(answer.text, /"id": 1, "result": \{"name": "folder"/);
      // The kernel ends some of them, or all, as soon as they hold too much together.
      await Deno.writeTextFile(
        `${bed.share}/eat.py`,
        "import time\nx = b'x' * (40 << 20)\ntime.sleep(3)\nprint('lived')\n",
      );
      const eaten = await bed.sh(`${scope} sh -c 'for n in 1 2 3; do python3 /share/eat.py & done; wait'`);
      assert.ok((eaten.text.match(/^lived$/gm) ?? []).length < 3, "three times 40 MiB fit into 64 MiB");
      const alone = await bed.sh(`${scope} python3 /share/eat.py`);
      assert.equal(alone.text, "lived\n");
    });
  },
  canBoot(),
);
