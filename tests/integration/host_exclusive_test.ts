/** An exclusive plugin: one process for both roles of a device, for one job and for several. */
import assert from "node:assert/strict";
import type { Config } from "../../lib/config/mod.ts";
import { loadConfig } from "../../lib/config/mod.ts";
import type { DeviceState } from "../../lib/driver/mod.ts";
import { runSync } from "../../lib/engine/mod.ts";
import { discoverPlugins } from "../../lib/host/mod.ts";
import { EventBus, type FilesyncEvent } from "../../lib/observe/mod.ts";
import { type Bad, failureOf, isAlive, openBad } from "../faults/bad_drivers/open.ts";
import { testNeeding } from "../support/needs.ts";

const DRIVER = new URL("../faults/bad_drivers/exclusive.py", import.meta.url).pathname;

/** A device of the exclusive driver in both roles, over a directory that is removed with it. */
function openBoth() {
  const root = Deno.makeTempDirSync({ prefix: "filesync-exclusive-" });
  const bad: Bad = openBad({
    command: ["python3", DRIVER],
    plugin: { name: "exclusive", exclusive: true },
    args: { dir: root },
  });
  return {
    bad,
    root,
    source: bad.device,
    target: bad.device.inRole("target", "drone1.target"),
    set fault(name: string) {
      Deno.writeTextFileSync(`${root}/fault`, name);
    },
    async [Symbol.asyncDispose]() {
      await bad[Symbol.asyncDispose]();
      await Deno.remove(root, { recursive: true });
    },
  };
}

function journal(root: string): string[] {
  return Deno.readTextFileSync(`${root}/journal`).trim().split("\n");
}

testNeeding("python3", "both roles of an exclusive plugin are one process, initialized once for each", async () => {
  await using both = openBoth();
  const { source, target, root, bad } = both;
  both.fault = "wide";
  await Promise.all([source.stat(""), target.stat(""), source.stat(""), target.stat("")]);
  assert.equal(source.pid, target.pid);
  assert.deepEqual([(await source.capabilities()).callsMax, (await target.capabilities()).callsMax], [3, 1]);
  assert.deepEqual([source.deviceId, target.deviceId], ["card-1", "card-1"]);
  const lines = journal(root).map((line) => line.replace(/^\d+ /, ""));
  const folders = `${bad.dir}/state|${bad.dir}`;
  assert.deepEqual(lines.filter((line) => line.startsWith("initialize")), [
    `initialize source drone1 ${folders}`,
    `initialize target drone1.target ${folders}`,
  ]);
  assert.equal(lines.filter((line) => line === "stat").length, 4);
});

testNeeding("python3", "$/state of an exclusive plugin is heard in both roles", async () => {
  await using both = openBoth();
  const { source, target } = both;
  const heard: [string, DeviceState][] = [];
  const told = Promise.all(
    (["source", "target"] as const).map((role) =>
      new Promise<void>((resolve) =>
        (role === "source" ? source : target).onState((state) => {
          heard.push([role, state]);
          resolve();
        })
      )
    ),
  );
  both.fault = "held";
  await source.stat("");
  await told;
  const state = { held: true, reason: "armed", deviceId: "card-2" };
  assert.deepEqual(heard, [["source", state], ["target", state]]);
  assert.deepEqual([source.deviceId, target.deviceId], ["card-2", "card-2"]);
});

testNeeding(
  "python3",
  "the crash of an exclusive plugin ends the calls of both roles, and both start it again",
  async () => {
    await using both = openBoth();
    const { source, target, root } = both;
    await Promise.all([source.capabilities(), target.capabilities()]);
    const first = source.pid;
    both.fault = "crash";
    const errors = await Promise.all([failureOf(source.stat("")), failureOf(target.stat(""))]);
    assert.deepEqual(errors.map(({ code }) => code), ["broken", "broken"]);
    both.fault = "";
    const waiting = await failureOf(target.stat(""));
    await new Promise((resolve) => setTimeout(resolve, waiting.details.retryAfterMs));
    await Promise.all([target.stat(""), source.stat("")]);
    assert.notEqual(source.pid, first);
    assert.equal(source.pid, target.pid);
    assert.equal(source.restarts, 1);
    assert.equal(journal(root).filter((line) => line.includes("initialize")).length, 4);
  },
);

for (const [fault, code] of [["refuse", "invalid_config"], ["fail", "broken"]] as const) {
  testNeeding("python3", `an exclusive plugin that cannot be a target (${fault}) stays a source`, async () => {
    await using both = openBoth();
    const { source, target } = both;
    await source.capabilities();
    both.fault = `${fault}:target`;
    assert.equal((await failureOf(target.stat(""))).code, code);
    assert.equal((await source.stat("")).kind, "directory");
    assert.equal((await failureOf(target.stat(""))).code, code);
    assert.equal(source.restarts, 0);
  });

  testNeeding("python3", `an exclusive plugin that cannot be a source (${fault}) still becomes a target`, async () => {
    await using both = openBoth();
    both.fault = `${fault}:source`;
    const error = await failureOf(both.source.stat(""));
    assert.equal(error.code, code);
    await new Promise((resolve) => setTimeout(resolve, error.details.retryAfterMs ?? 0));
    assert.equal((await both.target.stat("")).kind, "directory");
  });
}

testNeeding("python3", "closing one role of an exclusive plugin closes both", async () => {
  await using both = openBoth();
  const { source, target } = both;
  await Promise.all([source.stat(""), target.stat("")]);
  const { pid = 0 } = source;
  await Promise.all([target.close(), source.close()]);
  assert.equal(isAlive(pid), false);
  assert.equal((await failureOf(source.stat(""))).code, "cancelled");
});

interface Run {
  dir: string;
  card: string;
  exitCode: number;
  events: FilesyncEvent[];
  lines: string[];
}

/** Runs these jobs once; `card` is the directory of the exclusive device. */
async function run(jobs: Record<string, unknown>[], files: Record<string, string>): Promise<Run & AsyncDisposable> {
  const dir = await Deno.makeTempDir({ prefix: "filesync-exclusive-" });
  const card = `${dir}/card`;
  for (const name of ["card", "in", "out", "plugins/exclusive"]) {
    await Deno.mkdir(`${dir}/${name}`, { recursive: true });
  }
  for (const [path, content] of Object.entries(files)) {
    await Deno.mkdir(`${dir}/${path}`.replace(/\/[^/]+$/, ""), { recursive: true });
    await Deno.writeTextFile(`${dir}/${path}`, content);
  }
  await Deno.writeTextFile(
    `${dir}/plugins/exclusive/filesync-plugin.json`,
    JSON.stringify({
      name: "exclusive",
      version: "1",
      protocol: 1,
      roles: ["source", "target"],
      exclusive: true,
      command: ["python3", DRIVER],
      args: { type: "object", properties: { dir: { type: "string", format: "path" } }, required: ["dir"] },
    }),
    { mode: 0o644 },
  );
  await Deno.writeTextFile(
    `${dir}/config.json`,
    JSON.stringify({
      state: "./temp/fs.db",
      plugins: { dirs: ["./plugins"] },
      devices: { card: { driver: "exclusive", args: { dir: "./card" } } },
      jobs: jobs.map((job) => ({ finder: { settle: "0s" }, ...job })),
    }),
  );
  const plugins = discoverPlugins({ configDirs: [`${dir}/plugins`], env: () => undefined, systemDir: "/none" });
  const config: Config = loadConfig(`${dir}/config.json`, { plugins });
  const events = new EventBus();
  const told: FilesyncEvent[] = [];
  events.listen((event) => told.push(event));
  const { exitCode } = await runSync(config, {
    once: true,
    plugins,
    events,
    signal: new AbortController().signal,
    version: "1",
  });
  return {
    dir,
    card,
    exitCode,
    events: told,
    lines: journal(card),
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

/** One life, both roles initialized once, and never more than one call at a time. */
function assertShared({ lines }: Run): void {
  assert.equal(new Set(lines.map((line) => line.split(" ")[0])).size, 1, "one process");
  const told = lines.map((line) => line.replace(/^\d+ /, ""));
  assert.deepEqual(told.filter((line) => line.startsWith("overlap")), []);
  assert.deepEqual(told.filter((line) => line.startsWith("initialize")).map((line) => line.split(" ")[1]).sort(), [
    "source",
    "target",
  ]);
  assert.equal(new Set(told.filter((line) => line.startsWith("initialize")).map((line) => line.split(" ")[3])).size, 1);
}

const local = (dir: string) => ({ driver: "local", args: { dir } });

testNeeding(
  "python3",
  "two jobs share one process of an exclusive device: one reads from it, one writes to it",
  async () => {
    const files: Record<string, string> = {};
    for (let n = 0; n < 12; n++) {
      files[`card/log${n}.ulg`] = `log ${n}`.repeat(1000);
      files[`in/plan${n}.txt`] = `plan ${n}`;
    }
    await using done = await run([
      { name: "write", source: local("./in"), target: "card" },
      { name: "read", source: "card", target: local("./out"), rules: { include: ["*.ulg"] } },
    ], files);
    assert.equal(done.exitCode, 0);
    assertShared(done);
    for (let n = 0; n < 12; n++) {
      assert.equal(Deno.readTextFileSync(`${done.dir}/out/log${n}.ulg`), files[`card/log${n}.ulg`]);
      assert.equal(Deno.readTextFileSync(`${done.card}/plan${n}.txt`), `plan ${n}`);
    }
  },
);

testNeeding(
  "python3",
  "a job whose source and target are the same exclusive device does not wait for itself",
  async () => {
    await using done = await run([
      {
        name: "copy",
        source: "card",
        target: "card",
        path: "copies/{path}",
        rules: { exclude: ["copies/*"] },
        movers: 4,
      },
    ], { "card/a": "first", "card/b": "second", "card/c/d": "third" });
    assert.equal(done.exitCode, 0);
    assertShared(done);
    assert.deepEqual(
      ["a", "b", "c/d"].map((path) => Deno.readTextFileSync(`${done.card}/copies/${path}`)),
      ["first", "second", "third"],
    );
  },
);

testNeeding("python3", "an exclusive device that refuses to be a target is still read from", async () => {
  await using done = await run([
    { name: "write", source: local("./in"), target: "card" },
    { name: "read", source: "card", target: local("./out"), rules: { include: ["*.ulg"] } },
  ], { "card/log.ulg": "log", "in/plan.txt": "plan", "card/fault": "refuse:target" });
  // Refused as a target, it still is a source.
  assert.equal(done.exitCode, 3);
  assert.equal(Deno.readTextFileSync(`${done.dir}/out/log.ulg`), "log");
  const closed = done.events.flatMap((event) => event.event === "device" && !event.available ? [event] : []);
  assert.deepEqual(closed.map(({ role, code }) => [role, code]), [["target", "invalid_config"]]);
});
