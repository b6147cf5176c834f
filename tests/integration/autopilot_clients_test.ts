/**
 * The simulated autopilot is a tool to test with, so it is tested itself: programs that know real autopilots and have
 * nothing of ours list, fetch, check, store and remove files on it.
 */
import assert from "node:assert/strict";
import { filesync, inTempDir } from "../cli/support.ts";
import { testNeeding } from "../support/needs.ts";
import {
  freeUdpPort,
  hasPython,
  runMavproxy,
  runMavsdk,
  runPymavlink,
  startMavsdkServer,
} from "../support/autopilot/clients/clients.ts";
import {
  type CoreOptions,
  dataflash,
  Files,
  ftpCrc32,
  noise,
  PERSONALITIES,
  type PersonalityName,
  startAutopilot,
  ulog,
} from "../support/autopilot/mod.ts";

const HAS_PYMAVLINK = hasPython("pymavlink.mavftp");
const HAS_MAVSDK = hasPython("mavsdk.plugins.ftp_server");
const HAS_MAVPROXY = hasPython("MAVProxy");
const SIZE = 60_000;
/** So slow that the kernel holds what a client in Python does not read at once on a busy machine. */
const LINK = { down: { bytesPerSecond: 60_000, latencyMs: 5 }, up: { latencyMs: 5 } };

/** Of `pymavlink_client.py`. */
interface Outcome {
  error: number;
  entries: [string, boolean, number][];
  crc: number;
}

interface Card {
  files: Files;
  root: string;
  day: string;
  log: string;
}

/** A log, a directory of more entries than a page holds, an empty file. */
function cardOf(personality: PersonalityName): Card {
  const { logRoot, stack } = PERSONALITIES[personality];
  const root = logRoot.replace(/\/$/, "");
  const day = `${root}/2026-11-21`;
  const log = `${day}/09_14_07.${stack === "ardupilot" ? "BIN" : "ulg"}`;
  const files = new Files({ [log]: stack === "ardupilot" ? dataflash(SIZE) : ulog(SIZE), [`${root}/empty`]: "" });
  for (let n = 0; n < 30; n++) files.add(`${day}/flight_number_${n}.ulg`, noise(n * 100, n));
  return { files, root, day, log };
}

async function withAutopilot(
  personality: PersonalityName,
  way: "udp" | "tcp",
  run: (at: Card & { port: number; dir: string }) => Promise<void>,
  more: CoreOptions = {},
): Promise<void> {
  const card = cardOf(personality);
  const dir = await Deno.makeTempDir({ prefix: "filesync-clients-" });
  const port = await freeUdpPort();
  const transport = way === "udp" ? { kind: "udp", to: port } as const : { kind: "tcp" } as const;
  await using autopilot = await startAutopilot({ personality, transport, files: card.files, link: LINK, ...more });
  try {
    await run({ ...card, port: way === "udp" ? port : autopilot.port!, dir });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function same(path: string, wanted: Uint8Array): Promise<void> {
  const got = await Deno.readFile(path);
  assert.equal(got.length, wanted.length);
  assert.ok(got.every((byte, n) => byte === wanted[n]), `"${path}" has wrong bytes`);
}

function pymavlink(name: string, run: () => Promise<void>): void {
  testNeeding("pymavlink", `pymavlink's client: ${name}`, run, HAS_PYMAVLINK);
}

function mavsdk(name: string, run: () => Promise<void>): void {
  testNeeding("mavsdk", `MAVSDK's client: ${name}`, run, HAS_MAVSDK);
}

for (const personality of ["px4-1.11", "px4-main", "ardupilot-4.0", "ardupilot-4.5"] as const) {
  pymavlink(
    `everything on ${personality} over UDP`,
    () =>
      withAutopilot(personality, "udp", async ({ port, dir, files, root, day, log }) => {
        await Deno.writeFile(`${dir}/up.bin`, noiseBytes(3000));
        const crc = ftpCrc32(files.bytes(log));
        const url = `udpin:127.0.0.1:${port}`;
        const outcomes = await runPymavlink(url, [
          ["list", root],
          ["list", day],
          ["get", log, `${dir}/log`],
          ["crc", log],
        ]) as Outcome[];
        // Its second transfer would claim a session id that PX4 does not know, so the upload has a run of its own.
        const [put] = await runPymavlink(url, [["put", `${dir}/up.bin`, `${root}/up.bin`]]) as Outcome[];
        assert.equal(put!.error, 0);
        assert.deepEqual(files.bytes(`${root}/up.bin`), noiseBytes(3000));
        const changes = await runPymavlink(url, [
          ["rm", `${root}/up.bin`],
          ["rm", `${root}/up.bin`],
          ["mkdir", `${root}/new`],
          ["rmdir", `${root}/new`],
        ]) as Outcome[];
        const names = outcomes[0]!.entries.map(([name]) => name).filter((name) => !name.startsWith("."));
        assert.deepEqual(names, ["2026-11-21", "empty"]);
        assert.equal(outcomes[1]!.entries.filter(([, isDirectory]) => !isDirectory).length, 31);
        assert.deepEqual(outcomes[1]!.entries.find(([name]) => name === "flight_number_7.ulg"), [
          "flight_number_7.ulg",
          false,
          700,
        ]);
        assert.deepEqual(outcomes.map(({ error }) => error), [0, 0, 0, 0]);
        assert.deepEqual(changes.map(({ error }) => error), [0, 10, 0, 0]);
        assert.equal(outcomes[3]!.crc, crc);
        await same(`${dir}/log`, files.bytes(log));
      }),
  );
}

pymavlink(
  "a download from ardupilot-2026, with the session id that the server gave",
  () =>
    withAutopilot("ardupilot-2026", "udp", async ({ port, dir, files, log }) => {
      // It takes a given id for open and create only, and drops a listing that comes under one.
      const [get] = await runPymavlink(`udpin:127.0.0.1:${port}`, [["get", log, `${dir}/log`]]);
      assert.deepEqual(get, { error: 0 });
      await same(`${dir}/log`, files.bytes(log));
    }, { traits: { flowControl: true } }),
);

pymavlink(
  "a download over TCP, cut at odd places, with losses and other traffic",
  () =>
    withAutopilot("px4-main", "tcp", async ({ port, dir, files, log }) => {
      const [get] = await runPymavlink(`tcp:127.0.0.1:${port}`, [["get", log, `${dir}/log`]]);
      assert.deepEqual(get, { error: 0 });
      await same(`${dir}/log`, files.bytes(log));
    }, {
      traffic: { attitude: 50, imu: 20 },
      link: { down: { ...LINK.down, loss: 0.01 }, up: { loss: 0.01 }, segment: { min: 1, max: 400 } },
    }),
);

for (const personality of ["px4-1.11", "px4-main", "ardupilot-4.5"] as const) {
  mavsdk(
    `everything on ${personality} over UDP`,
    () =>
      withAutopilot(personality, "udp", async ({ port, dir, files, root, day, log }) => {
        await Deno.mkdir(`${dir}/local`);
        await Deno.writeFile(`${dir}/up.bin`, noiseBytes(3000));
        await Deno.writeFile(`${dir}/log`, files.bytes(log));
        const [top, paged, ...rest] = await runMavsdk(`udpin://127.0.0.1:${port}`, `${dir}/local`, [
          ["list", root],
          ["list", day],
          ["get", log, true],
          ["get", `${day}/flight_number_29.ulg`, false],
          ["same", `${dir}/log`, log],
          ["same", `${dir}/up.bin`, log],
          ["put", `${dir}/up.bin`, root],
          ["rename", `${root}/up.bin`, `${root}/moved.bin`],
          ["remove", `${root}/moved.bin`],
          ["remove", `${root}/moved.bin`],
          ["mkdir", `${root}/new`],
          ["mkdir", `${root}/new`],
          ["rmdir", `${root}/new`],
        ]) as [unknown[][], unknown[][], ...unknown[]];
        assert.deepEqual(top, [["2026-11-21", "DIRECTORY", 0, 0], ["empty", "FILE", 0, 0]]);
        // It counts the second NUL of old ArduPilots as an entry, and misses files at each turn of a page.
        assert.equal(paged.length, personality === "ardupilot-4.5" ? 17 : 31);
        const gone = "FILE_DOES_NOT_EXIST";
        assert.deepEqual(rest.slice(0, 2), ["SUCCESS", "SUCCESS"]);
        assert.deepEqual(rest.slice(2, 4), [true, false]);
        assert.deepEqual(rest.slice(4, 9), ["SUCCESS", "SUCCESS", "SUCCESS", gone, "SUCCESS"]);
        assert.deepEqual(rest.slice(9), ["FILE_EXISTS", "SUCCESS"]);
        await same(`${dir}/local/${log.split("/").at(-1)}`, files.bytes(log));
        await same(`${dir}/local/flight_number_29.ulg`, files.bytes(`${day}/flight_number_29.ulg`));
      }),
  );
}

mavsdk("a download over TCP with losses", () =>
  withAutopilot("px4-main", "tcp", async ({ port, dir, files, log }) => {
    const outcome = await runMavsdk(`tcpout://127.0.0.1:${port}`, dir, [["get", log, true]]);
    assert.deepEqual(outcome, ["SUCCESS"]);
    await same(`${dir}/${log.split("/").at(-1)}`, files.bytes(log));
  }, { link: { down: { ...LINK.down, loss: 0.02 }, up: { loss: 0.02 } } }));

for (const personality of ["px4-1.11", "px4-main", "ardupilot-4.0", "ardupilot-4.5", "ardupilot-2026"] as const) {
  testNeeding(
    "MAVProxy",
    `MAVProxy's client: a listing and a download from ${personality}`,
    () =>
      withAutopilot(personality, "udp", async ({ port, dir, files, day, log }) => {
        const url = `udpin:127.0.0.1:${port}`;
        const listing = await runMavproxy(url, dir, `ftp list ${day}`, /Total size|timed out/);
        assert.match(listing, /flight_number_7\.ulg\s+700\n/);
        assert.equal(listing.match(/flight_number_\d+\.ulg/g)?.length, 30);
        const got = await runMavproxy(url, dir, `ftp get ${log} log`, /Wrote \d+ bytes|timed out/);
        // It takes answers under the session id of its own choice alone, and PX4's is always 0.
        if (personality.startsWith("px4")) assert.match(got, /request timed out/);
        else await same(`${dir}/log`, files.bytes(log));
      }),
    HAS_MAVPROXY,
  );
}

testNeeding("mavsdk", "MAVSDK's server can be started to test clients with", async () => {
  const dir = await Deno.makeTempDir({ prefix: "filesync-clients-" });
  await Deno.mkdir(`${dir}/card`);
  await Deno.mkdir(`${dir}/local`);
  await Deno.writeFile(`${dir}/card/a.ulg`, noiseBytes(50_000));
  try {
    const server = await startMavsdkServer(`${dir}/card`);
    try {
      assert.match(server.version, /^v\d/);
      const [list, get] = await runMavsdk(`udpout://127.0.0.1:${server.port}`, `${dir}/local`, [
        ["list", "/"],
        ["get", "a.ulg", true],
      ]) as [unknown[][], unknown];
      assert.deepEqual(list.map((entry) => entry.slice(0, 3)), [["a.ulg", "FILE", 50_000]]);
      assert.equal(get, "SUCCESS");
    } finally {
      await server.stop();
    }
    await same(`${dir}/local/a.ulg`, noiseBytes(50_000));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}, HAS_MAVSDK);

testNeeding("mavsdk", "our client fetches every awkward size from MAVSDK's server, to the byte", async () => {
  // Around one packet, its short last read, several bursts.
  const sizes = [0, 1, 238, 239, 240, 478, 479, 5000, 50_000, 250_001];
  await inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/card/2026-11-21`, { recursive: true });
    for (const size of sizes) await Deno.writeFile(`${dir}/card/2026-11-21/${size}.ulg`, noiseBytes(size));
    const server = await startMavsdkServer(`${dir}/card`);
    try {
      await Deno.writeTextFile(
        `${dir}/config.json`,
        JSON.stringify({
          state: "./filesync.db",
          jobs: [{
            name: "logs",
            source: { driver: "mavftp", args: { url: server.url, root: "/", settle_after_disarm: 0 } },
            target: { driver: "local", args: { dir: "./out" } },
            finder: { settle: "0s" },
          }],
        }),
      );
      const { code, stderr } = await filesync(dir, ["sync", "--once"]);
      assert.equal(code, 0, stderr);
    } finally {
      await server.stop();
    }
    for (const size of sizes) await same(`${dir}/out/2026-11-21/${size}.ulg`, noiseBytes(size));
  });
}, HAS_MAVSDK);

function noiseBytes(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  noise(size, 99).read(0, bytes);
  return bytes;
}
