/** What can happen on the autopilot's own side: restarts, a card that changes, odd files and directories. */
import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import {
  type Content,
  Files,
  noise,
  PERSONALITIES,
  type PersonalityName,
  utf8Name,
} from "../../tests/support/autopilot/mod.ts";
import { Bed } from "../../tests/support/mavftp_bed.ts";
import { BOTH, content, fetchResumed, flown, rootOf } from "../../tests/support/mavftp_flight.ts";
import { Directories } from "./directory.ts";
import type { ListedName } from "./parse_listing.ts";
import { type Landing, transfer } from "./transfer.ts";

const ALL = Object.keys(PERSONALITIES) as PersonalityName[];
const encoder = new TextEncoder();
const FAST = { bytesPerSecond: 20_000_000, latencyMs: 1 };

/** Loses power at `atMs` and is back after `silentMs`; what `changes` does happens meanwhile. */
function restartsAt(bed: Bed, atMs: number, silentMs: number, changes: () => void = () => {}): void {
  const { vehicle } = bed.core;
  bed.virtual.setTimeout(() => {
    vehicle.down();
    changes();
    bed.virtual.setTimeout(() => vehicle.up(), silentMs);
  }, atMs);
}

Deno.test("a restart in the middle costs at most 64 kB, however long it is silent", async () => {
  for (const personality of BOTH) {
    // Shorter than the silence that shuts the gate, and as long as PX4 takes to start.
    for (const silentMs of [800, 8000]) {
      const whole = content(300_000);
      const { bed, path } = await flown(personality, whole);
      restartsAt(bed, 500, silentMs);
      const { bytes, codes } = await fetchResumed(bed, path, whole.length);
      const what = `${personality}, silent for ${silentMs} ms: ${codes}`;
      assert.deepEqual(bytes, whole, what);
      assert.deepEqual([...new Set(codes)], silentMs > 3000 ? ["unavailable"] : [], what);
      const { stats } = bed.core.vehicle;
      assert.ok(stats.happened("booted"), what);
      const twice = stats.dataBytes - whole.length;
      assert.ok(twice <= 64_000, `${what}: ${twice} bytes came twice`);
    }
  }
});

Deno.test("a card that is another after a restart never ends in a mixture", async () => {
  const other = content(300_000, 2);
  const changes: [string, (files: Files, path: string) => void, wanted: string | Uint8Array][] = [
    ["shorter", (files, path) => files.replace(path, other.slice(0, 100_000)), "changed"],
    ["longer", (files, path) => files.replace(path, content(310_000, 2)), "changed"],
    ["gone", (files, path) => files.delete(path), "not_found"],
    ["other bytes of the same size", (files, path) => files.replace(path, other), other],
  ];
  for (const personality of BOTH) {
    for (const silentMs of [800, 8000]) {
      for (const [what, change, wanted] of changes) {
        const whole = content(300_000);
        const { bed, path } = await flown(personality, whole);
        restartsAt(bed, 500, silentMs, () => change(bed.core.vehicle.files, path));
        const { bytes, codes } = await fetchResumed(bed, path, whole.length);
        const where = `${personality}, ${what}, silent for ${silentMs} ms: ${codes}`;
        if (typeof wanted === "string") assert.deepEqual([bytes, codes.at(-1)], [undefined, wanted], where);
        else assert.deepEqual(bytes, wanted, where);
      }
    }
  }
});

Deno.test("a log that grows, shrinks, vanishes or is written anew while it is read is never delivered as a mixture", async () => {
  const other = content(200_000, 2);
  const changes: [string, (files: Files, path: string) => void, wanted: string[]][] = [
    ["grows", (files, path) => files.grow(path, content(5000, 3)), ["changed"]],
    ["shrinks", (files, path) => files.shrink(path, 90_000), ["changed"]],
    ["vanishes", (files, path) => files.delete(path), ["changed", "not_found"]],
    ["is written anew", (files, path) => files.overwrite(path, other), []],
  ];
  for (const personality of ALL.filter((name) => name !== "mavsdk-3")) {
    for (const [what, change, wanted] of changes) {
      for (const atMs of [100, 350]) {
        const whole = content(200_000);
        const { bed, path } = await flown(personality, whole);
        bed.virtual.setTimeout(() => change(bed.core.vehicle.files, path), atMs);
        const { bytes, codes } = await fetchResumed(bed, path, whole.length);
        const where = `${personality}, ${what} at ${atMs} ms: ${codes}`;
        if (wanted.length > 0) assert.ok(bytes === undefined && wanted.includes(codes.at(-1)!), where);
        else assert.deepEqual(bytes, other, where);
      }
    }
  }
});

Deno.test("a file whose size is an estimate ends where it ends, and is refused with words", async () => {
  for (const personality of ["ardupilot-4.5", "ardupilot-2026"] as const) {
    const files = new Files();
    files.add("/@SYS/threads.txt", content(5000), { listedBytes: 100_000 });
    const { bed } = await flown(personality, content(10), { files });
    await assert.rejects(
      bed.fetch("/@SYS/threads.txt", { sizeBytes: 100_000 }),
      (error) => error instanceof DriverError && error.code === "failed" && /ends before its size/.test(error.message),
    );
  }
});

/** Lists `path` of a card to its end. */
async function listed(
  personality: PersonalityName,
  card: (files: Files, root: string) => void,
): Promise<{ names: ListedName[]; requests: number }> {
  const files = new Files();
  const root = `${PERSONALITIES[personality].logRoot.replace(/\/$/, "")}/day`;
  files.mkdirs(root);
  card(files, root);
  const { bed } = await flown(personality, content(10), { files, link: { down: FAST, up: FAST } });
  const names: ListedName[] = [];
  const directories = new Directories(bed.station);
  await bed.virtual.run(
    directories.list(encoder.encode(root), { take: (page) => void names.push(...page) }),
  );
  const { requestCounts } = bed.core.vehicle.stats;
  return { names, requests: (requestCounts["ListDirectory"] ?? 0) + (requestCounts["ListDirectoryWithTime"] ?? 0) };
}

for (const personality of ALL) {
  Deno.test(`a directory of 0, 1 and 1,000 entries of ${personality} is listed whole, each name once`, async () => {
    for (const count of [0, 1, 1000]) {
      const wanted = Array.from({ length: count }, (_, n) => `log${n}.ulg`);
      const { names, requests } = await listed(personality, (files, root) => {
        for (const [n, name] of wanted.entries()) files.add(`${root}/${name}`, noise(n));
      });
      assert.deepEqual(names.map(({ name }) => name), wanted);
      assert.deepEqual(names.map(({ sizeBytes }) => sizeBytes), wanted.map((_, n) => n));
      // A listing that asks again for what it has would not end on a radio.
      assert.ok(requests <= 5 + count / 9, `${requests} requests for ${count} entries`);
    }
  });

  Deno.test(`odd names of ${personality} are listed, and those that cannot be asked for say why`, async () => {
    const long = "n".repeat(196) + ".ulg";
    const umlauts = "Überflug – 2.ulg";
    const { names } = await listed(personality, (files, root) => {
      files.mkdirs(`${root}/folder`);
      files.add(`${root}/${long}`, noise(5));
      files.add(`${root}/${utf8Name(umlauts)}`, noise(6));
      files.add(`${root}/two\ttabs.ulg`, noise(7));
      files.add(`${root}/no\xffutf8.ulg`, noise(8));
      files.add(`${root}/large.ulg`, noise(2 ** 32 - 1));
    });
    const by = new Map(names.map((one) => [one.name, one]));
    assert.equal(by.get("folder")?.kind, "directory");
    assert.deepEqual([by.get(long)?.sizeBytes, by.get(long)?.problem], [5, undefined]);
    assert.deepEqual([by.get(umlauts)?.sizeBytes, by.get(umlauts)?.problem], [6, undefined]);
    assert.equal(by.get("large.ulg")?.sizeBytes, 4_294_967_295);
    assert.match(by.get("no\ufffdutf8.ulg")?.problem ?? "", /not valid UTF-8/);
    assert.ok(by.get("two\ttabs.ulg")?.problem !== undefined);
    assert.equal(names.length, 6);
  });
}

Deno.test("a card that cannot be read any more in the middle of a directory is told so", async () => {
  for (const brokenAfter of [0, 40]) {
    await assert.rejects(
      listed("px4-main", (files, root) => {
        for (let n = 0; n < 100; n++) files.add(`${root}/log${n}.ulg`, noise(n));
        files.mkdirs(root).brokenAfter = brokenAfter;
      }),
      (error) =>
        error instanceof DriverError && error.code === "failed" && /cannot read its directory/.test(error.message),
    );
  }
});

/** The end of a file that is too large for this machine's memory: what is below `startBytes` is there already. */
class TailLanding implements Landing {
  positionBytes: number;
  readonly overlap = new Uint8Array(0);
  readonly isReady = true;
  readonly error = undefined;

  constructor(readonly content: Content, startBytes: number) {
    this.positionBytes = startBytes;
  }

  push(bytes: Uint8Array): void {
    assert.deepEqual(bytes, this.#wanted(this.positionBytes, bytes.length), `bytes from ${this.positionBytes}`);
    this.positionBytes += bytes.length;
  }

  drain(): Promise<void> {
    return Promise.resolve();
  }

  readAll(): Promise<void> {
    return Promise.resolve();
  }

  readAt(at: number, length: number): Promise<Uint8Array> {
    return Promise.resolve(this.#wanted(at, length));
  }

  #wanted(at: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.content.read(at, bytes);
    return bytes;
  }
}

Deno.test("a file is fetched around the turn of a burst, the offset's fourth byte, its sign, and the last offset of all", async () => {
  const cases: [sizeBytes: number, fromBytes: number][] = [
    [478_000 - 1, 0],
    [478_000, 0],
    [478_000 + 1, 0],
    [2 ** 24 + 100_000, 2 ** 24 - 100_000],
    [2 ** 31 + 100_000, 2 ** 31 - 100_000],
    [2 ** 32 - 1, 2 ** 32 - 100_000],
  ];
  for (const personality of ["px4-1.11", ...BOTH] as const) {
    for (const [sizeBytes, fromBytes] of cases) {
      const whole = noise(sizeBytes, 3);
      const path = `${rootOf(personality)}/large.ulg`;
      // Reading all of it for a checksum would take the simulator minutes: it says that it has none.
      const { bed } = await flown(personality, content(10), {
        files: new Files({ [path]: whole }),
        link: { down: FAST, up: FAST },
        faults: [{ on: "request:CalcFileCRC32", act: { nak: 7 } }],
      });
      const landing = new TailLanding(whole, fromBytes);
      const result = await bed.virtual.run(transfer(bed.options(path, { landing, sizeBytes })));
      assert.deepEqual(
        [landing.positionBytes, result.sizeBytes],
        [sizeBytes, sizeBytes],
        `${personality}, ${sizeBytes}`,
      );
    }
  }
});
