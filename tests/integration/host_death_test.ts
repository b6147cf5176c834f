/** Plugins that crash, hang and refuse to end, as real processes: who is told what, and that nobody is left behind. */
import assert from "node:assert/strict";
import { PluginDeath } from "../../lib/host/mod.ts";
import { failureOf, isAlive, openBad, openFault, untilDead } from "../faults/bad_drivers/open.ts";
import { testNeeding } from "../support/needs.ts";

const UPLOAD = { spoolFile: "/none", path: "a", sizeBytes: 1, sha256: "00", onExisting: "replace" } as const;

const CALLS = {
  list: (bad: ReturnType<typeof openBad>) => bad.device.list({ directory: "" }, () => {}),
  stat: (bad: ReturnType<typeof openBad>) => bad.device.stat("a"),
  download: (bad: ReturnType<typeof openBad>) =>
    bad.device.download({ path: "a", spoolFile: bad.spoolFile, offsetBytes: 0, expect: {} }),
  upload: (bad: ReturnType<typeof openBad>) => bad.device.upload(UPLOAD),
  confirm: (bad: ReturnType<typeof openBad>) => bad.device.confirm(UPLOAD),
  remove: (bad: ReturnType<typeof openBad>) => bad.device.remove({ path: "a", expect: {} }),
  check: (bad: ReturnType<typeof openBad>) => bad.device.check(),
};

for (const [method, call] of Object.entries(CALLS)) {
  testNeeding("python3", `${method}() fails with broken when the plugin crashes in it`, async () => {
    await using bad = openFault(`crash:${method}`);
    const error = await failureOf(call(bad));
    assert.equal(error.code, "broken");
    assert.equal(error.message, `Plugin "bad" ended with exit code 7 during "${method}"`);
    assert.equal(error.details.hint, `Its last words: ValueError: boom in ${method}`);
    assert.equal(error.details.retryAfterMs, 1000);
    assert(error.cause instanceof PluginDeath);
    assert.deepEqual([error.cause.exitCode, error.cause.killedByUs, error.cause.reason], [7, false, "exit"]);
    assert(bad.log.includes("info: ValueError: boom in " + method));
  });

  testNeeding("python3", `${method}() fails with broken when the plugin hangs in it`, async () => {
    await using bad = openFault(`hang:${method}`, { stallMs: 200 });
    const error = await failureOf(call(bad));
    assert.equal(error.code, "broken");
    assert.equal(error.message, `Plugin "bad" gave no sign of life during "${method}" for 200 ms`);
    assert(error.cause instanceof PluginDeath);
    assert.deepEqual([error.cause.signal, error.cause.killedByUs, error.cause.reason], ["SIGTERM", true, "stall"]);
    assert.equal(error.cause.killedFromOutside, false);
  });
}

testNeeding("python3", "capabilities() fails with broken when the plugin crashes in initialize", async () => {
  await using bad = openFault("crash:initialize");
  const error = await failureOf(bad.device.capabilities());
  assert.equal(error.code, "broken");
  assert.match(error.message, /exit code 7 during "initialize"/);
});

testNeeding("python3", "capabilities() fails with broken when the plugin hangs in initialize", async () => {
  await using bad = openFault("hang:initialize", { handshakeMs: 300 });
  const error = await failureOf(bad.device.capabilities());
  assert.equal(error.message, 'Plugin "bad" did not answer "initialize" within 300 ms');
  assert((error.cause as PluginDeath).killedByUs);
});

Deno.test("capabilities() tells the last words of a plugin that ends at once", async () => {
  await using bad = openBad({ command: ["./quitter.sh"] });
  const error = await failureOf(bad.device.capabilities());
  assert.equal(error.message, 'Plugin "bad" ended with exit code 3 during "initialize"');
  assert.equal(error.details.hint, "Its last words: libcamera.so.3: cannot open shared object file");
});

Deno.test("capabilities() names a program that is not there", async () => {
  await using bad = openBad({ command: ["filesync-no-such-interpreter", "x.py"] });
  const error = await failureOf(bad.device.capabilities());
  assert.equal(error.code, "broken");
  assert.equal(error.message, 'Cannot start plugin "bad": "filesync-no-such-interpreter" is not on PATH');
  assert.equal((error.cause as PluginDeath).reason, "spawn");
});

testNeeding("python3", "initialize that refuses the arguments is passed on and not repeated", async () => {
  await using bad = openFault("invalid-config");
  const first = await failureOf(bad.device.stat("a"));
  const second = await failureOf(bad.device.stat("a"));
  assert.deepEqual([first.code, first.details.pointer, second.code], ["invalid_config", "/fault", "invalid_config"]);
  assert.equal(bad.device.restarts, 0);
});

testNeeding("python3", "initialize that fails otherwise is tried again only after the back-off", async () => {
  await using bad = openFault("refuse-start");
  const first = await failureOf(bad.device.stat("a"));
  const second = await failureOf(bad.device.stat("a"));
  assert.deepEqual([first.code, first.message, first.details.retryAfterMs], ["denied", "No key", 1000]);
  assert.equal(second.code, "broken");
  assert((second.details.retryAfterMs ?? 0) > 0);
  assert.equal(bad.device.restarts, 0);
});

testNeeding("python3", "HostedDevice restarts a crashed plugin after a back-off that doubles", async () => {
  let nowMs = 0;
  // Timers stay real: only what decides about the back-off is moved by hand.
  const clock = {
    nowMs: () => nowMs,
    after(ms: number, run: () => void) {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
  };
  await using bad = openFault("crash:stat", { clock });
  const delays: (number | undefined)[] = [];
  for (let life = 0; life < 8; life++) {
    const died = await failureOf(bad.device.stat("a"));
    delays.push(died.details.retryAfterMs);
    const waiting = await failureOf(bad.device.stat("a"));
    assert.match(waiting.message, /waits before it is started again: Plugin "bad" ended with exit code 7/);
    nowMs += died.details.retryAfterMs ?? 0;
  }
  assert.deepEqual(delays, [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
  assert.equal(bad.device.restarts, 7);
  await bad.device.list({ directory: "" }, () => {});
  const again = await failureOf(bad.device.stat("a"));
  assert.equal(again.details.retryAfterMs, 60_000, "a success in another method forgives nothing");
  nowMs += 60_000;
  await bad.device.capabilities();
  nowMs += 60_000;
  assert.equal((await failureOf(bad.device.stat("a"))).details.retryAfterMs, 1000, "a healthy minute resets it too");
});

testNeeding("python3", "a death in one call fails every pending call", async () => {
  await using bad = openFault("kill-9");
  await bad.device.capabilities();
  const other = failureOf(bad.device.stat("b"));
  const error = await failureOf(bad.device.stat("a"));
  assert.equal(error.code, "broken");
  assert.equal((await other).code, "broken");
  const death = error.cause as PluginDeath;
  assert.deepEqual([death.signal, death.exitCode, death.killedFromOutside], ["SIGKILL", null, true]);
  assert.match(error.details.hint ?? "", /ran out of memory/);
});

testNeeding("python3", "a plugin that closes its stdout and lives on is ended", async () => {
  await using bad = openFault("closes-stdout");
  const error = await failureOf(bad.device.stat("a"));
  assert.equal(error.message, 'Plugin "bad" closed its stdout during "stat"');
});

testNeeding("python3", "a plugin that closes its stdin and lives on is ended", async () => {
  await using bad = openFault("closes-stdin");
  const calls = [failureOf(bad.device.stat("a"))];
  // Its answer tells that stdin is closed; the next request finds that out.
  await new Promise<void>((resolve) => bad.device.onState(() => resolve()));
  calls.push(failureOf(bad.device.stat("b")));
  for (const call of calls) {
    assert.equal((await call).message, 'Plugin "bad" closed its stdin during "stat"');
  }
});

testNeeding("python3", "a device that said it is away is asked again after its plugin died", async () => {
  await using bad = openFault("state-then-die");
  const states: unknown[] = [];
  const recovered = new Promise<void>((resolve) => {
    bad.device.onState((state) => {
      states.push(state);
      if (state.available === true) resolve();
    });
  });
  await bad.device.stat("a");
  await failureOf(bad.device.stat("b"));
  await recovered;
  assert.deepEqual(states, [{ available: false, reason: "unplugged" }, { available: true, held: false }]);
});

testNeeding("python3", "the stall watchdog does not fire while the spool file grows", async () => {
  await using bad = openFault("grows", { stallMs: 1500 });
  await CALLS.download(bad);
});

testNeeding("python3", "the stall watchdog does not fire while unchanged progress arrives", async () => {
  await using bad = openFault("unchanged-progress", { stallMs: 1500 });
  await CALLS.download(bad);
});

testNeeding("python3", "the stall watchdog has the patience that waitMs asks for", async () => {
  await using bad = openFault("patience", { stallMs: 1500 });
  await CALLS.download(bad);
});

testNeeding("python3", "the stall watchdog does not blame the plugin for a slow host", async () => {
  await using bad = openFault("batches", { stallMs: 100 });
  let batches = 0;
  await bad.device.list({ directory: "" }, async () => {
    batches++;
    await new Promise((resolve) => setTimeout(resolve, 250));
  });
  assert.equal(batches, 5);
});

testNeeding("python3", "a cancelled call ends with cancelled and the plugin lives on", async () => {
  await using bad = openFault("cancellable");
  const abort = new AbortController();
  const error = await failureOf(bad.device.list({ directory: "" }, () => abort.abort(), { signal: abort.signal }));
  assert.deepEqual([error.code, error.details.resume], ["cancelled", { at: 5 }]);
  assert.equal((await bad.device.stat("a")).path, "a");
  assert.equal(bad.device.restarts, 0);
});

testNeeding("python3", "a plugin that ignores the cancellation and SIGTERM is killed", async () => {
  await using bad = openFault("stubborn");
  const abort = new AbortController();
  const error = await failureOf(bad.device.list({ directory: "" }, () => abort.abort(), { signal: abort.signal }));
  assert.equal(error.code, "cancelled");
  const other = await failureOf(bad.device.stat("a"));
  assert.equal(other.code, "broken");
  const death = other.cause as PluginDeath;
  assert.deepEqual([death.reason, death.signal, death.killedByUs], ["cancel", "SIGKILL", true]);
});

testNeeding("python3", "a call that was cancelled before is not sent", async () => {
  await using bad = openFault("");
  assert.equal((await failureOf(bad.device.stat("a", { signal: AbortSignal.abort() }))).code, "cancelled");
  assert.equal(bad.device.pid, undefined);
});

testNeeding("python3", "close() ends a good plugin by its own exit", async () => {
  await using bad = openFault("");
  await bad.device.stat("a");
  const pid = bad.device.pid ?? 0;
  await bad.device.close();
  assert.equal(isAlive(pid), false);
  assert.equal((await failureOf(bad.device.stat("a"))).code, "cancelled");
});

testNeeding("python3", "close() ends a plugin that ignores everything, and cancels its calls", async () => {
  await using bad = openFault("stubborn");
  let started = () => {};
  const listing = new Promise<void>((resolve) => started = resolve);
  const call = failureOf(bad.device.list({ directory: "" }, () => started()));
  await listing;
  const pid = bad.device.pid ?? 0;
  await bad.device.close();
  assert.equal(isAlive(pid), false);
  assert.equal((await call).code, "cancelled");
});

Deno.test("close() ends a plugin that never answered the handshake", async () => {
  await using bad = openBad({ command: ["./mute.sh"] });
  const starting = failureOf(bad.device.capabilities());
  while (bad.device.pid === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
  const pid = bad.device.pid;
  await bad.device.close();
  assert.equal(isAlive(pid), false);
  assert.equal((await starting).code, "cancelled");
});

Deno.test("close() kills what the plugin forked", async () => {
  await using bad = openBad({ command: ["./forker.sh"] });
  await bad.device.capabilities();
  const grandchild = Number(bad.device.deviceId);
  assert(isAlive(grandchild));
  await bad.device.close();
  await untilDead(grandchild);
});

testNeeding("python3", "a crash kills what the plugin forked", async () => {
  await using bad = openFault("fork-and-die");
  const error = await failureOf(bad.device.stat("a"));
  await untilDead(Number((error.cause as PluginDeath).lastWords));
});

testNeeding("python3", "close() ends also what fled into a session of its own", async () => {
  await using bad = openFault("flee");
  const fled = Number((await bad.device.stat("a")).etag);
  assert(isAlive(fled));
  await bad.device.close();
  await untilDead(fled);
});

testNeeding("python3", "a plugin's start ends what an earlier life left behind when its host was killed", async () => {
  await using bad = openFault("");
  const env = { ...Deno.env.toObject(), FILESYNC_STATE_DIR: `${bad.dir}/state` };
  const left = new Deno.Command("sleep", { args: ["1000"], env, clearEnv: true }).spawn();
  const other = new Deno.Command("sleep", {
    args: ["1000"],
    env: { ...env, FILESYNC_STATE_DIR: `${bad.dir}/state2` },
    clearEnv: true,
  }).spawn();
  await bad.device.stat("a");
  assert.equal((await left.status).signal, "SIGKILL");
  assert(isAlive(other.pid), "another plugin's are left alone");
  other.kill("SIGKILL");
  await other.status;
});

for (const [what, fault, command] of [["that reads nothing", "", "./mute.sh"], ["that hangs", "hang:initialize", ""]]) {
  testNeeding("setpriv", `a plugin ${what} dies with a host that is killed by SIGKILL`, async () => {
    const config = new URL("../../deno.json", import.meta.url).pathname;
    const main = new URL("../faults/bad_drivers/host_main.ts", import.meta.url).pathname;
    const given = command === "" ? ["python3", "bad_driver.py"] : [command ?? ""];
    const host = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", "--config", config, main, fault ?? "", ...given],
      stdout: "piped",
    }).spawn();
    const reader = host.stdout.getReader();
    const { value } = await reader.read();
    const [first, dir = ""] = new TextDecoder().decode(value).trim().split(" ");
    const pid = Number(first);
    assert(isAlive(pid));
    host.kill("SIGKILL");
    await host.status;
    await untilDead(pid);
    await reader.cancel();
    killGroup(pid);
    await Deno.remove(dir, { recursive: true });
  });
}

/** What the plugin forked is its group's, and is nobody's when the plugin was killed by the kernel: a service has a cgroup. */
function killGroup(pid: number): void {
  try {
    Deno.kill(-pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
