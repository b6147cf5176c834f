/** Hooks with real programs and a real server. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { Config } from "../config/mod.ts";
import { closeLog, configureLog, EventBus, EventTeller, logTail } from "../observe/mod.ts";
import { Hooks } from "./hooks.ts";

/** A run with hooks; what it wrote into files is in `dir`. */
class Bed implements AsyncDisposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "filesync-hooks-" });
  readonly events = new EventBus();
  isIdle = false;
  readonly #hooks: Hooks;
  #isEnded = false;

  constructor(config: Config["hooks"]) {
    this.#hooks = new Hooks({
      config,
      configFile: join(this.dir, "config.json"),
      events: this.events,
      teller: new EventTeller([{ job: "logs", target: "nas", device: "hangar" }]),
      isIdle: () => this.isIdle,
    });
  }

  deliver(path: string): void {
    const receipt = { path, sizeBytes: 1, verified: "size" as const };
    this.events.emit({ event: "delivered", job: "logs", path, target: "nas", receipt });
  }

  async end(isStopped = false): Promise<void> {
    this.#isEnded = true;
    await this.#hooks.end(isStopped);
  }

  read(name: string): string {
    return Deno.readTextFileSync(join(this.dir, name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isEnded) await this.end(true);
    Deno.removeSync(this.dir, { recursive: true });
  }
}

function sh(script: string, timeoutMs = 30_000, ...args: string[]) {
  return { command: ["sh", "-c", script, "sh", ...args], timeoutMs };
}

/** A server that answers with what `answer` says, and remembers what it was told. */
function serve(answer: (count: number) => number) {
  const told: { headers: Headers; event: Record<string, unknown> }[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    told.push({ headers: request.headers, event: await request.json() });
    const status = answer(told.length);
    return new Response(null, { status, headers: status === 302 ? { location: "http://127.0.0.1:1/" } : {} });
  });
  return { told, url: `http://127.0.0.1:${server.addr.port}/hook`, close: () => server.shutdown() };
}

/** Warnings of hooks while `use` runs. */
async function warnings(use: () => Promise<void>): Promise<string[]> {
  await configureLog({ level: "info", console: false, maxBytes: 1, keep: 0, file: Deno.makeTempFileSync() });
  const before = logTail().length;
  try {
    await use();
    return logTail().slice(before).filter(({ scope }) => scope === "hooks").map(({ message }) => message);
  } finally {
    await closeLog();
  }
}

Deno.test("a hook's program gets the event on stdin and its names in the environment, and no shell reads them", async () => {
  await using bed = new Bed({});
  const hooks = { delivered: sh('cat >> "$1"; echo "$FILESYNC_EVENT $FILESYNC_PATH $FILESYNC_TARGET" >> "$2"') };
  hooks.delivered.command.push(join(bed.dir, "json"), join(bed.dir, "names"));
  await using run = new Bed(hooks);
  run.deliver("a $(touch /tmp/x) 'b'.ulg");
  await run.end();
  const event = JSON.parse(bed.read("json"));
  assert.equal(event.schema, 1);
  assert.equal(event.path, "a $(touch /tmp/x) 'b'.ulg");
  assert.equal(event.device, "hangar");
  assert.equal(bed.read("names"), "delivered a $(touch /tmp/x) 'b'.ulg nas\n");
});

Deno.test("each hook is told of its own events alone", async () => {
  await using bed = new Bed({});
  const to = (name: string) => sh('echo "$FILESYNC_EVENT $FILESYNC_DEVICE" >> "$1"', 30_000, join(bed.dir, name));
  await using run = new Bed({ parked: to("parked"), held: to("held"), safe_to_unplug: to("safe") });
  run.events.emit({ event: "parked", job: "logs", path: "a", target: "nas", reason: "full", code: "rejected" });
  run.events.emit({ event: "uncertain", job: "logs", path: "b", target: "nas", reason: "no answer" });
  run.events.emit({ event: "device", device: "nas", role: "target", available: false });
  run.events.emit({ event: "safe_to_unplug", device: "flir" });
  run.deliver("c");
  await run.end();
  assert.equal(bed.read("parked"), "parked hangar\nuncertain hangar\n");
  assert.equal(bed.read("held"), "device nas\n");
  assert.equal(bed.read("safe"), "safe_to_unplug flir\n");
});

Deno.test("idle is told when the last file has come to rest, and not before or twice", async () => {
  await using bed = new Bed({});
  await using run = new Bed({ idle: sh('echo "$FILESYNC_EVENT" >> "$1"', 30_000, join(bed.dir, "idle")) });
  run.isIdle = true;
  await run.end();
  assert.throws(() => bed.read("idle"), Deno.errors.NotFound);
  await using moving = new Bed({ idle: sh('echo "$FILESYNC_EVENT" >> "$1"', 30_000, join(bed.dir, "idle")) });
  moving.deliver("a");
  moving.deliver("b");
  moving.isIdle = true;
  await moving.end();
  assert.equal(bed.read("idle"), "idle\n");
});

Deno.test("an address is told with its headers, their secrets read when they are needed", async () => {
  const server = serve(() => 204);
  try {
    await using bed = new Bed({});
    Deno.writeTextFileSync(join(bed.dir, "token"), "Bearer s3cret\n", { mode: 0o600 });
    await using run = new Bed({
      delivered: {
        url: server.url,
        headers: { Authorization: { file: join(bed.dir, "token") }, "X-Fleet": "north" },
        timeoutMs: 5000,
      },
    });
    run.deliver("a.ulg");
    await run.end();
    assert.equal(server.told.length, 1);
    assert.equal(server.told[0]!.event["path"], "a.ulg");
    assert.equal(server.told[0]!.headers.get("authorization"), "Bearer s3cret");
    assert.equal(server.told[0]!.headers.get("x-fleet"), "north");
    assert.equal(server.told[0]!.headers.get("content-type"), "application/json");
  } finally {
    await server.close();
  }
});

Deno.test("what may pass is tried again, what will not is told at once", async () => {
  const passing = serve((count) => count < 3 ? 503 : 200);
  const refusing = serve(() => 404);
  const moved = serve(() => 302);
  try {
    const told = await warnings(async () => {
      const to = ({ url }: { url: string }) => ({ url, headers: {}, timeoutMs: 5000 });
      await using run = new Bed({ delivered: to(passing), held: to(refusing), safe_to_unplug: to(moved) });
      run.deliver("a");
      run.events.emit({ event: "device", device: "nas", role: "target", available: false });
      await run.end();
    });
    assert.equal(passing.told.length, 3);
    assert.equal(refusing.told.length, 1);
    assert.deepEqual(told.map((line) => line.replace(/:\d+/, "")), ['Hook "held": 127.0.0.1 answered 404']);
  } finally {
    await Promise.all([passing, refusing, moved].map((server) => server.close()));
  }
});

Deno.test("a hook that is not there, fails or hangs is told and holds up nothing", async () => {
  const told = await warnings(async () => {
    await using run = new Bed({
      delivered: { command: ["/no/such/program"], timeoutMs: 1000 },
      parked: sh("echo 'lamp is broken' >&2; exit 3"),
      held: sh("exec sleep 600", 300),
    });
    run.deliver("a");
    run.events.emit({ event: "parked", job: "logs", path: "a", reason: "x", code: "failed" });
    run.events.emit({ event: "device", device: "nas", role: "target", available: false });
    await run.end();
  });
  assert.match(told.find((line) => line.includes('"delivered"')) ?? "", /Cannot run "\/no\/such\/program"/);
  assert.match(told.find((line) => line.includes('"parked"')) ?? "", /ended with exit code 3: lamp is broken/);
  assert.match(told.find((line) => line.includes('"held"')) ?? "", /took too long/);
});

Deno.test("a hook that will not be ended, and what it waits for, are ended all the same", async () => {
  const told = await warnings(async () => {
    await using run = new Bed({ held: sh('trap "" TERM; sleep 600; sleep 600', 300) });
    run.events.emit({ event: "device", device: "nas", role: "target", available: false });
    await run.end();
  });
  assert.match(told.join(), /"held": "sh" took too long and was ended/);
});

Deno.test("a hook that leaves something running in the background has done its work", async () => {
  const dir = Deno.makeTempDirSync();
  await using run = new Bed({ delivered: sh('sleep 600 & echo $! >> "$1"', 30_000, join(dir, "pids")) });
  const told = await warnings(async () => {
    run.deliver("a");
    run.deliver("b");
    await run.end();
  });
  assert.deepEqual(told, []);
  const pids = Deno.readTextFileSync(join(dir, "pids")).trim().split("\n").map(Number);
  assert.equal(pids.length, 2);
  // It throws where one has been ended.
  for (const pid of pids) Deno.kill(pid, "SIGKILL");
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("a hook that says more than anybody reads is not waited for, and what it says takes no memory", async () => {
  const told = await warnings(async () => {
    await using run = new Bed({ delivered: sh("head -c 50000000 /dev/zero | tr '\\0' x >&2; exit 3", 30_000) });
    run.deliver("a");
    await run.end(false);
  });
  assert.match(told.join(), /ended with exit code 3: x{300}$/);
});

Deno.test("a hook that does not keep up has a bounded queue, and what was dropped is told", async () => {
  await using bed = new Bed({});
  const told = await warnings(async () => {
    const slow = sh('while [ ! -e "$1" ]; do sleep 0.05; done; echo x >> "$2"', 30_000);
    slow.command.push(join(bed.dir, "go"), join(bed.dir, "calls"));
    await using run = new Bed({ delivered: slow });
    for (let index = 0; index < 1000; index++) run.deliver(`f${index}`);
    Deno.writeTextFileSync(join(bed.dir, "go"), "");
    await run.end();
  });
  const calls = bed.read("calls").split("\n").length - 1;
  assert.equal(calls, 101);
  assert.match(told[0] ?? "", /does not keep up/);
  assert.match(told.at(-1) ?? "", /was not told of 899 events/);
});

Deno.test("a program that is stopped does not wait for its hooks", async () => {
  await using run = new Bed({ delivered: sh("exec sleep 600") });
  run.deliver("a");
  run.deliver("b");
  const told = await warnings(() => run.end(true));
  assert.match(told.at(-1) ?? "", /was not told of 1 events/);
});
