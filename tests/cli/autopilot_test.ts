/**
 * The whole program and a simulated autopilot: every form of `url`, a serial line that is pulled and comes back under
 * another name, arming at every step, and kills in the middle of a burst. The observer in the simulator counts what an
 * armed vehicle hears.
 */
import assert from "node:assert/strict";
import {
  allBytes,
  type Autopilot,
  type AutopilotOptions,
  dataflash,
  type FaultKind,
  Files,
  PERSONALITIES,
  sampleCard,
  startAutopilot,
  ulog,
} from "../support/autopilot/mod.ts";
import { testNeeding } from "../support/needs.ts";
import { QUIET, ROOT, until, writeConfig } from "./autopilot_support.ts";
import { filesync, inTempDir, Running } from "./support.ts";

const KEY = "5e".repeat(32);

/** The logs of a card and whether they are in `out`. */
function isDelivered(dir: string, files: Files, root = ROOT): boolean {
  return files.paths().filter((path) => path.endsWith(".ulg")).every((path) => {
    try {
      return Deno.statSync(`${dir}/out/${path.slice(root.length + 1)}`).size === files.bytes(path).length;
    } catch {
      return false;
    }
  });
}

async function assertDelivered(dir: string, files: Files, root = ROOT): Promise<void> {
  const logs = files.paths().filter((path) => path.endsWith(".ulg"));
  assert.ok(logs.length > 0);
  for (const path of logs) {
    const bytes = await Deno.readFile(`${dir}/out/${path.slice(root.length + 1)}`);
    assert.deepEqual(bytes, files.bytes(path), path);
  }
}

/**
 * Stays until the vehicle has said "armed" four times, the first two of which may come together. What it heard after it
 * had said so three times came from a program that knew; before that, what was under way may arrive, and the end of our
 * session.
 */
async function watchArmed(vehicle: Autopilot, what: string): Promise<void> {
  const { stats } = vehicle;
  const from = stats.intrusions.length;
  await until(`${what}: heartbeats`, () => stats.armedHeartbeats >= 4);
  const late = stats.intrusions.slice(from).filter(({ isArmed, armedHeartbeats }) => isArmed && armedHeartbeats >= 3);
  assert.deepEqual(late, [], `${what}: an armed vehicle was asked`);
}

async function stop(program: Running): Promise<void> {
  program.child.kill("SIGTERM");
  const { code, stderr } = await program.ended();
  assert.equal(code, 143, stderr);
}

function freePort(): number {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const { port } = socket.addr as Deno.NetAddr;
  socket.close();
  return port;
}

const LINKS: {
  name: string;
  options: () => AutopilotOptions;
  args?: Record<string, unknown>;
  needs?: string;
  sizeBytes?: number;
}[] = [
  { name: "udpout", options: () => ({ transport: { kind: "udp-listen", port: 0 } }) },
  {
    name: "udp, several packets in a datagram, signed",
    options: () => ({
      transport: { kind: "udp", to: freePort() },
      link: { pack: { packets: 3, withinMs: 2 } },
      signing: { key: Uint8Array.fromHex(KEY) },
    }),
    args: { signing_key: { file: "./key" } },
  },
  {
    name: "tcp, cut at odd places, with a rate",
    options: () => ({ transport: { kind: "tcp", port: 0 }, link: { segment: { min: 1, max: 700 } } }),
    args: { rate: "300KiB/s" },
  },
  { name: "serial by id", options: () => ({ transport: { kind: "serial", baud: 921_600 } }), needs: "socat" },
  {
    name: "serial with a radio that reports itself",
    options: () => ({
      transport: { kind: "serial", baud: 115_200 },
      link: { radio: { bufferBytes: 8192, everyMs: 200 } },
    }),
    needs: "socat",
    sizeBytes: 12_000,
  },
];

for (const { name, options, args = {}, needs = "sh", sizeBytes } of LINKS) {
  testNeeding(needs, `sync --once fetches a card by ${name}`, async () => {
    const files = sampleCard("px4-main", { count: 2, sizeBytes: sizeBytes ?? 60_000 });
    await using vehicle = await startAutopilot({ traffic: QUIET, files, ...options() });
    await inTempDir(async (dir) => {
      await Deno.writeTextFile(`${dir}/key`, `${KEY}\n`, { mode: 0o600 });
      await writeConfig(dir, { url: vehicle.url, settle_after_disarm: 0, ...args });
      const { code, stderr } = await filesync(dir, ["sync", "--once"]);
      assert.equal(code, 0, stderr);
      await assertDelivered(dir, files);
      assert.equal(vehicle.stats.count("ResetSessions"), 0);
      assert.equal(vehicle.stats.happened("shell"), false);
      if (name.includes("radio")) assert.ok(vehicle.stats.of("ReadFile").some(({ size }) => size === 110));
    });
  });
}

Deno.test("sync takes the vehicle that is named, and asks nothing of an armed one on the same link", async () => {
  const card = sampleCard("px4-main", { count: 2, sizeBytes: 60_000 });
  await using both = await startAutopilot({
    transport: { kind: "udp-listen", port: 0 },
    vehicles: [
      { systemId: 1, traffic: QUIET, files: sampleCard("px4-main", { count: 1, seed: 9 }), armed: true },
      { systemId: 2, traffic: QUIET, files: card },
    ],
  });
  await inTempDir(async (dir) => {
    await writeConfig(dir, { url: both.url, system_id: 2, settle_after_disarm: 0 });
    const { code, stderr } = await filesync(dir, ["sync", "--once"]);
    assert.equal(code, 0, stderr);
    await assertDelivered(dir, card);
    const [armed] = both.vehicles;
    assert.deepEqual(armed!.stats.requests, []);
  });
});

Deno.test("a log that was cut off on the autopilot is delivered as it is, and said so in events, why and status", async () => {
  const whole = allBytes(ulog(30_000));
  const cut = whole.slice(0, 20_001);
  const files = new Files({
    [`${ROOT}/a/whole.ulg`]: whole,
    [`${ROOT}/a/cut.ulg`]: cut,
    [`${ROOT}/a/damaged.BIN`]: allBytes(dataflash(20_000)).fill(0, 5000, 6000),
    [`${ROOT}/a/notes.txt`]: "no log at all",
  });
  await using vehicle = await startAutopilot({
    transport: { kind: "udp-listen", port: 0 },
    traffic: QUIET,
    files,
  });
  const wanted = new Map([
    ["a/whole.ulg", undefined],
    ["a/cut.ulg", /^No whole ULog log on the autopilot: it ends in the middle of a message; delivered as it is$/],
    [
      "a/damaged.BIN",
      /^No whole DataFlash log on the autopilot: byte [5]\d{3} begins no DataFlash message; .* as it is$/,
    ],
    ["a/notes.txt", undefined],
  ]);
  await inTempDir(async (dir) => {
    await writeConfig(dir, { url: vehicle.url, settle_after_disarm: 0 });
    const { code, stdout, stderr } = await filesync(dir, ["sync", "--once", "--json"]);
    assert.equal(code, 0, stderr);
    const events = stdout.trim().split("\n").map((line) => JSON.parse(line));
    for (const [path, note] of wanted) {
      for (const name of ["downloaded", "delivered"]) {
        const event = events.find((one) => one.event === name && one.path === path);
        assert.ok(event !== undefined, `${name} ${path}`);
        if (note === undefined) assert.equal(event.note, undefined);
        else assert.match(event.note, note);
      }
      assert.deepEqual(await Deno.readFile(`${dir}/out/${path}`), files.bytes(`${ROOT}/${path}`), path);
      const why = (await filesync(dir, ["why", path])).stdout;
      assert.equal(/^ +its source says: No whole .* delivered as it is$/m.test(why), note !== undefined, why);
    }
    const status = JSON.parse((await filesync(dir, ["status", "--json"])).stdout);
    assert.deepEqual([status.word, status.notedTotal], ["ok", 2]);
    assert.deepEqual(
      status.noted.map(({ path }: { path: string }) => path).sort(),
      ["a/cut.ulg", "a/damaged.BIN"],
    );
    assert.match((await filesync(dir, ["status"])).stdout, /^As the source has it: 2 files\n {2}logs: a\//m);
  });
});

/** Every step of a sync at which a vehicle may be armed. */
const STEPS: FaultKind[] = [
  "request:ListDirectoryWithTime",
  "request:ListDirectory",
  "request:OpenFileRO",
  "request:BurstReadFile",
  "request:ReadFile",
  "request:CalcFileCRC32",
  "request:TerminateSession",
];

Deno.test("an armed vehicle hears nothing but heartbeats, whatever the program was at when it was armed", async () => {
  const files = sampleCard("px4-main", { count: 4, sizeBytes: 200_000 });
  await using vehicle = await startAutopilot({
    transport: { kind: "udp-listen", port: 0 },
    traffic: QUIET,
    files,
    link: { down: { bytesPerSecond: 400_000, latencyMs: 10, loss: 0.01 }, up: { latencyMs: 10 } },
    heartbeatOnArm: true,
    armed: true,
  });
  const { stats } = vehicle;
  await inTempDir(async (dir) => {
    await writeConfig(dir, { url: vehicle.url, settle_after_disarm: "1s" });
    const program = new Running(dir, ["sync", "--no-progress"]);
    try {
      // Armed from before the program starts.
      await until("our heartbeat", () => (stats.heartbeats["245/191"] ?? 0) >= 2);
      await watchArmed(vehicle, "at the start");
      assert.deepEqual(stats.requests, []);
      await program.stderrMatches(/held.*Vehicle is armed|Vehicle is armed/);
      const { stdout } = await filesync(dir, ["status"]);
      assert.match(stdout, /^pixracer +source +held .*Vehicle is armed/m);
      for (const on of STEPS) {
        const before = stats.events.length;
        let isMet = false;
        vehicle.core.vehicle.faults.add({
          on,
          times: 1,
          act: {
            then: () => {
              isMet = true;
              vehicle.core.vehicle.arm();
            },
          },
        });
        vehicle.disarm();
        await until(`${on} or all that there is`, () => isMet || isDelivered(dir, files));
        if (!isMet) break;
        await watchArmed(vehicle, `armed at ${on}`);
        assert.ok(stats.events.length > before);
      }
      vehicle.core.vehicle.faults.clear();
      vehicle.disarm();
      await until("all logs", () => isDelivered(dir, files));
    } finally {
      await stop(program);
    }
    await assertDelivered(dir, files);
    assert.ok(stats.events.filter(({ name }) => name === "armed").length >= 5, "most steps were met");
    assert.equal(stats.count("ResetSessions"), 0);
  });
});

testNeeding(
  "socat",
  "sync goes on over a serial line that was armed, pulled and came back as another device",
  async () => {
    const files = sampleCard("px4-main", { count: 1, sizeBytes: 400_000 });
    await using vehicle = await startAutopilot({
      transport: { kind: "serial", baud: 921_600 },
      traffic: QUIET,
      files,
      heartbeatOnArm: true,
      armAtDataBytes: 120_000,
    });
    const { stats } = vehicle;
    await inTempDir(async (dir) => {
      await writeConfig(dir, { url: vehicle.url, settle_after_disarm: "1s" });
      const program = new Running(dir, ["sync", "--no-progress"]);
      try {
        await until("arming", () => stats.happened("armed"));
        await watchArmed(vehicle, "in the middle of a burst");
        const device = vehicle.path;
        await vehicle.unplug();
        await program.stderrMatches(/Serial port .* is gone|away/);
        await vehicle.replug();
        assert.notEqual(vehicle.path, device);
        // PX4 on USB speaks when it hears us; the program has to find the new device by its link.
        const from = stats.intrusions.length;
        const heard = stats.heartbeats["245/191"] ?? 0;
        await until("our heartbeat on the new device", () => (stats.heartbeats["245/191"] ?? 0) > heard + 1);
        const spoken = stats.armedHeartbeats;
        await until("its heartbeats", () => stats.armedHeartbeats > spoken + 2);
        assert.deepEqual(stats.intrusions.slice(from), [], "asked while armed");
        assert.match((await filesync(dir, ["status"])).stdout, /^pixracer +source +held .*Vehicle is armed/m);
        vehicle.disarm();
        await until("the log", () => isDelivered(dir, files));
      } finally {
        await stop(program);
      }
      await assertDelivered(dir, files);
      // 64 kB for the interruption; beside it the pieces that are read again to prove the rest, and the line's buffers.
      assert.ok(stats.dataBytes < 400_000 + 2 * 64_000, `${stats.dataBytes - 400_000} bytes came twice`);
      assert.equal(stats.happened("shell"), false);
    });
  },
);

testNeeding(
  "socat",
  "sync goes on when the autopilot restarts in the middle and its USB comes back as another device",
  async () => {
    const files = sampleCard("px4-main", { count: 1, sizeBytes: 400_000 });
    await using vehicle = await startAutopilot({
      transport: { kind: "serial", baud: 921_600 },
      traffic: QUIET,
      files,
    });
    const { stats } = vehicle;
    await inTempDir(async (dir) => {
      await writeConfig(dir, { url: vehicle.url, settle_after_disarm: "1s" });
      const program = new Running(dir, ["sync", "--no-progress"]);
      try {
        await until("a part", () => stats.dataBytes > 150_000);
        const device = vehicle.path;
        await vehicle.reboot({ silentMs: 1000 });
        assert.notEqual(vehicle.path, device);
        await until("the log", () => isDelivered(dir, files));
      } finally {
        await stop(program);
      }
      await assertDelivered(dir, files);
      const twice = stats.dataBytes - 400_000;
      // Beside the 64 kB of an interruption: what the line's buffers held, and the pieces that prove the rest.
      assert.ok(twice < 2 * 64_000, `${twice} bytes came twice`);
      assert.equal(stats.happened("shell"), false);
    });
  },
);

/** Processes below `pid`, the driver of `name` among them. */
async function driverOf(pid: number, name: string): Promise<number> {
  for await (const entry of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    try {
      const stat = await Deno.readTextFile(`/proc/${entry.name}/stat`);
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      if (parent !== pid) continue;
      if ((await Deno.readTextFile(`/proc/${entry.name}/cmdline`)).includes(name)) return Number(entry.name);
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error(`Process ${pid} has no driver "${name}"`);
}

for (const personality of ["px4-1.11", "ardupilot-4.0"] as const) {
  Deno.test(`a driver and a program killed in the middle leave ${personality}'s only session usable, and fetch little twice`, async () => {
    const sizeBytes = 700_000;
    const root = PERSONALITIES[personality].logRoot;
    const log = sampleCard("px4-main", { count: 1, sizeBytes });
    const files = new Files({ [`${root}/a.ulg`]: log.bytes(log.paths().find((path) => path.endsWith(".ulg"))!) });
    await using vehicle = await startAutopilot({
      personality,
      transport: { kind: "udp-listen", port: 0 },
      traffic: QUIET,
      files,
      link: { down: { bytesPerSecond: 250_000 } },
    });
    const { stats } = vehicle;
    await inTempDir(async (dir) => {
      await writeConfig(dir, { url: vehicle.url, settle_after_disarm: 0 });
      const program = new Running(dir, ["sync", "--no-progress"]);
      await until("a part", () => stats.dataBytes > 200_000);
      Deno.kill(await driverOf(program.child.pid, "mavftp"), "SIGKILL");
      await until("more", () => stats.dataBytes > 450_000);
      program.child.kill("SIGKILL");
      await program.ended();
      const { code, stderr } = await filesync(dir, ["sync", "--once"]);
      assert.equal(code, 0, stderr);
      await assertDelivered(dir, files, root);
      assert.equal(stats.count("ResetSessions"), 0, "another station's session could have been ended");
      // For each kill 64 kB, and what a burst that nobody stops still sends to nobody.
      const twice = stats.dataBytes - sizeBytes;
      assert.ok(twice < 2 * (64_000 + 48_000), `${twice} bytes came twice`);
    });
  });
}
