/**
 * What people do with an autopilot's logs, with the whole program: to Flight Review, deleted after delivery, stopped in the
 * middle; and what `doctor` and `status` say of a vehicle.
 */
import assert from "node:assert/strict";
import {
  allBytes,
  type AutopilotOptions,
  Files,
  PERSONALITIES,
  sampleCard,
  startAutopilot,
  ulog,
} from "../support/autopilot/mod.ts";
import { FlightReview } from "../support/flight_review.ts";
import { QUIET, ROOT, until, writeConfig } from "./autopilot_support.ts";
import { filesync, inTempDir, jsonLines, Running } from "./support.ts";

const vehicleWith = (files: Files, options: Partial<AutopilotOptions> = {}) =>
  startAutopilot({ transport: { kind: "udp-listen", port: 0 }, traffic: QUIET, files, ...options });

/** Addressed so, and trusted as soon as it is heard. */
const argsOf = (url: string) => ({ url, settle_after_disarm: 0 });

/** Paths of a card's logs, as the driver names them. */
const logsOf = (files: Files, root = ROOT) =>
  files.paths().filter((path) => /\.(ulg|BIN)$/.test(path)).map((path) => path.slice(root.length + 1));

Deno.test("the logs of an autopilot end on Flight Review, each with its link, and then leave the card", async () => {
  const files = sampleCard("px4-main", { count: 3, sizeBytes: 60_000 });
  await using vehicle = await vehicleWith(files);
  const server = await FlightReview.start();
  try {
    await inTempDir(async (dir) => {
      await writeConfig(dir, argsOf(vehicle.url), {
        target: {
          driver: "post",
          args: { uploader_url: server.url, preset: "px4", values: { description: "Hexa 3", email: "" } },
        },
        rules: { include: ["*.ulg"] },
        after: "delete",
        grace: "0s",
        delete_proof: "accepted",
      });
      const paths = logsOf(files);
      const wanted = paths.map((path) => files.bytes(`${ROOT}/${path}`));
      const { code, stdout, stderr } = await filesync(dir, ["sync", "--once", "--json"]);
      assert.equal(code, 0, stderr);
      assert.deepEqual(server.logs.map(({ bytes }) => bytes.length).sort(), wanted.map(({ length }) => length).sort());
      for (const { bytes, fields, isPublic } of server.logs) {
        assert.ok(wanted.some((log) => log.length === bytes.length && log.every((byte, at) => byte === bytes[at])));
        assert.match(fields["description"] ?? "", /^Hexa 3\b/);
        assert.equal(isPublic, false);
      }
      assert.deepEqual(logsOf(files), paths.slice(-1), "all but the newest are deleted from the card");
      for (const path of paths) {
        const delivered = jsonLines(stdout).find((event) => event["event"] === "delivered" && event["path"] === path);
        const url = (delivered?.["receipt"] as { url?: string }).url ?? "none";
        assert.ok(server.logs.some(({ id }) => url.endsWith(id)), url);
        assert.ok((await filesync(dir, ["why", path])).stdout.includes(url));
      }
    });
  } finally {
    await server.stop();
  }
});

for (const personality of ["px4-main", "ardupilot-2026"] as const) {
  Deno.test(`after "delete" removes each delivered log of ${personality} but the newest, and asks an armed vehicle nothing`, async () => {
    const root = PERSONALITIES[personality].logRoot;
    const files = sampleCard(personality, { count: 4, sizeBytes: 60_000 });
    const logs = logsOf(files, root);
    const bytes = new Map(logs.map((path) => [path, files.bytes(`${root}/${path}`)]));
    const newest = logs.at(-1)!;
    await using vehicle = await vehicleWith(files, { personality, heartbeatOnArm: true });
    const { stats } = vehicle;
    // Armed when the first log is to be removed: the request is under way, no second one may follow.
    vehicle.core.vehicle.faults.add({
      on: "request:RemoveFile",
      times: 1,
      act: { then: () => vehicle.core.vehicle.arm() },
    });
    await inTempDir(async (dir) => {
      await writeConfig(dir, argsOf(vehicle.url), {
        rules: { include: ["*.ulg", "*.BIN"] },
        after: "delete",
        grace: "0s",
      });
      const program = new Running(dir, ["sync", "--no-progress"]);
      try {
        await until("the removal at which it is armed", () => stats.happened("armed"));
        await until("heartbeats", () => stats.armedHeartbeats >= 4);
        const late = stats.intrusions.filter(({ isArmed, armedHeartbeats }) => isArmed && armedHeartbeats >= 3);
        assert.deepEqual(late, [], "an armed vehicle was asked");
        assert.ok(stats.count("RemoveFile") <= 2, "one, and its repeat while the word was on its way");
        vehicle.disarm();
        await until("the removal of all but the newest", () => logsOf(files, root).length === 1);
      } finally {
        program.child.kill("SIGTERM");
        await program.ended();
      }
      assert.deepEqual(logsOf(files, root), [newest]);
      for (const [path, wanted] of bytes) assert.deepEqual(await Deno.readFile(`${dir}/out/${path}`), wanted, path);
      const why = (await filesync(dir, ["why", newest])).stdout;
      assert.match(why, /source's copy: removed in|source's copy: kept|source's copy: not removed/);
      assert.doesNotMatch(why, /source's copy: removed \d/);
      assert.match((await filesync(dir, ["why", logs[0]!])).stdout, /source's copy: removed \d/);
    });
  });
}

Deno.test('after "delete" removes nothing of an autopilot without a receipt', async () => {
  const files = sampleCard("px4-main", { count: 3, sizeBytes: 30_000 });
  await using vehicle = await vehicleWith(files);
  await inTempDir(async (dir) => {
    // Its directory cannot be made: the parent is not there.
    await writeConfig(dir, argsOf(vehicle.url), {
      target: { driver: "local", args: { dir: "./away/out" } },
      after: "delete",
      grace: "0s",
    });
    const { code, stdout, stderr } = await filesync(dir, ["sync", "--once", "--json"]);
    assert.equal(code, 5, stderr);
    assert.equal(jsonLines(stdout).filter(({ event }) => event === "downloaded").length, 3);
    assert.equal(vehicle.stats.count("RemoveFile"), 0);
    assert.equal(logsOf(files).length, 3);
  });
});

Deno.test("sync that is stopped in the middle of a log leaves the autopilot's only session free", async () => {
  for (const personality of ["px4-1.11", "ardupilot-4.0"] as const) {
    const files = sampleCard(personality, { count: 1, sizeBytes: 600_000 });
    await using vehicle = await vehicleWith(files, { personality, link: { down: { bytesPerSecond: 100_000 } } });
    await inTempDir(async (dir) => {
      await writeConfig(dir, argsOf(vehicle.url));
      const program = new Running(dir, ["sync", "--no-progress"]);
      await until("a part", () => vehicle.stats.dataBytes > 100_000);
      program.child.kill("SIGTERM");
      assert.equal((await program.ended()).code, 143);
      await until("the end of the session", () => vehicle.stats.count("TerminateSession") > 0);
      // ArduPilot's burst ends first.
      await until("an opening by another station", () => {
        const other = vehicle.station();
        const { replies } = other;
        if (replies.length === 0) other.request("OpenFileRO", { path: files.paths()[0]! });
        return replies.splice(0).some(({ opcode }) => opcode === 128);
      });
      assert.equal(vehicle.stats.happened("idle-close"), false, "it was ended, not left to its time-out");
    });
  }
});

/** Vehicles that write a log although they are disarmed, and how each ends that. */
const LOGGING: [
  personality: "px4-main" | "ardupilot-2026",
  writes: Partial<AutopilotOptions>,
  ends: Partial<AutopilotOptions>,
][] = [
  ["px4-main", { logging: true }, { logging: false }],
  ["ardupilot-2026", { parameters: { LOG_DISARMED: 1 } }, { parameters: { LOG_DISARMED: 0 } }],
];

for (const [personality, writes, ends] of LOGGING) {
  Deno.test(`sync leaves the log alone that a disarmed ${personality} writes, and fetches it when that is over`, async () => {
    const root = PERSONALITIES[personality].logRoot;
    const files = sampleCard(personality, { count: 3, sizeBytes: 20_000 });
    const logs = logsOf(files, root);
    const newest = logs.at(-1)!;
    await using vehicle = await vehicleWith(files, { personality, ...writes });
    const opened = () => vehicle.stats.of("OpenFileRO").map(({ path }) => path);
    await inTempDir(async (dir) => {
      await writeConfig(dir, argsOf(vehicle.url), { rules: { include: ["*.ulg", "*.BIN"] } });
      const program = new Running(dir, ["sync", "--no-progress"]);
      try {
        await until("the others", () => logs.slice(0, -1).every((path) => isThere(`${dir}/out/${path}`)));
        const listings = () => vehicle.stats.count("ListDirectory") + vehicle.stats.count("ListDirectoryWithTime");
        const before = listings();
        await until("more listings", () => listings() > before + 8);
        assert.ok(!opened().some((path) => path.endsWith(newest)), "it was opened");
      } finally {
        program.child.kill("SIGTERM");
        await program.ended();
      }
      Object.assign(vehicle.core.vehicle.options, ends);
      const { code, stderr } = await filesync(dir, ["sync", "--once"]);
      assert.equal(code, 0, stderr);
      assert.deepEqual(await Deno.readFile(`${dir}/out/${newest}`), files.bytes(`${root}/${newest}`));
    });
  });
}

Deno.test("another autopilot at the same place is another source: its logs of the same names and sizes are delivered too", async () => {
  const path = "sess001/log100.ulg";
  const cards = [1, 2].map((seed) => new Files({ [`${ROOT}/${path}`]: allBytes(ulog(20_000, seed)) }));
  await inTempDir(async (dir) => {
    let port = 0;
    for (const [n, files] of cards.entries()) {
      await using vehicle = await vehicleWith(files, {
        transport: { kind: "udp-listen", port },
        uid: BigInt(n + 1),
      });
      port = vehicle.port!;
      await writeConfig(dir, argsOf(vehicle.url));
      for (let again = 0; again < 2; again++) {
        const { code, stderr } = await filesync(dir, ["sync", "--once"]);
        assert.equal(code, 0, stderr);
      }
    }
    const [first, second] = cards.map((files) => files.bytes(`${ROOT}/${path}`));
    assert.deepEqual(await Deno.readFile(`${dir}/out/sess001/log100.ulg`), first);
    assert.deepEqual(await Deno.readFile(`${dir}/out/sess001/log100~2.ulg`), second);
    assert.equal([...Deno.readDirSync(`${dir}/out/sess001`)].length, 2);
    const why = (await filesync(dir, ["why", path])).stdout;
    assert.match(why, /source autopilot-0*1\)[^]*source autopilot-0*2\)/);
  });
});

/** Lines of `doctor` that are about the autopilot. */
async function doctor(dir: string): Promise<{ code: number; lines: string[] }> {
  const { code, stdout } = await filesync(dir, ["doctor", "--device", "pixracer"]);
  return { code, lines: stdout.split("\n").filter((line) => line.includes("pixracer") || line.startsWith("  ")) };
}

Deno.test("doctor tells what a vehicle is, and what is in the way", async () => {
  const files = () => sampleCard("px4-main", { count: 1, sizeBytes: 10_000 });
  const cases: [what: string, options: Partial<AutopilotOptions>, code: number, said: RegExp[]][] = [
    ["all is well", {}, 0, [
      /^ok +pixracer \(source\) link: udpout:\/\/127/,
      /^ok +pixracer \(source\) vehicle: PX4, system 1, \w+, disarmed/,
      /^ok +pixracer \(source\) file transfer: logs are in "@MAV_LOG"/,
    ]],
    ["armed", { armed: true }, 5, [/vehicle: .*armed/]],
    ["silent", { heartbeats: false }, 5, [/vehicle: .*[Nn]o (heartbeat|autopilot)/]],
    ["FTP switched off", { ftp: "disabled" }, 5, [/file transfer: .*switched off or not built in/, /BRD_OPTIONS/]],
    ["no FTP built in", { ftp: "off" }, 5, [/file transfer: .*switched off or not built in/, /FMUv2/]],
  ];
  for (const [what, options, code, said] of cases) {
    await using vehicle = await vehicleWith(files(), options);
    await inTempDir(async (dir) => {
      await writeConfig(dir, argsOf(vehicle.url));
      const found = await doctor(dir);
      assert.equal(found.code, code, `${what}: ${found.lines.join("\n")}`);
      for (const words of said) {
        assert.ok(found.lines.some((line) => words.test(line)), `${what}: ${found.lines.join("\n")}`);
      }
      if (what === "armed") assert.deepEqual(vehicle.stats.requests, []);
    });
  }
});

for (const ftp of ["disabled", "off"] as const) {
  Deno.test(`sync tells why an autopilot whose FTP is ${ftp} gives no logs, and fetches them once it is on`, async () => {
    const files = sampleCard("ardupilot-4.5", { count: 2, sizeBytes: 10_000 });
    await using vehicle = await vehicleWith(files, { personality: "ardupilot-4.5", ftp });
    await inTempDir(async (dir) => {
      await writeConfig(dir, argsOf(vehicle.url));
      const program = new Running(dir, ["sync", "--no-progress"]);
      try {
        await program.stderrMatches(/FTP is switched off or not built in.*BRD_OPTIONS/);
        const { stdout } = await filesync(dir, ["status"]);
        assert.match(stdout, /^pixracer +source +away .*FTP is switched off or not built in/m);
        vehicle.core.vehicle.options.ftp = "on";
        await until("the logs", () => isThere(`${dir}/out/00000002.BIN`) && isThere(`${dir}/out/00000001.BIN`));
      } finally {
        program.child.kill("SIGTERM");
        await program.ended();
      }
    });
  });
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
