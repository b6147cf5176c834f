/** One card, one client, and what happens between them: the flights of the scenarios of `plugins/mavftp`. */
import assert from "node:assert/strict";
import { DriverError } from "../../lib/driver/mod.ts";
import type { PersonalityName } from "./autopilot/mod.ts";
import { Bed, type BedOptions, MemoryAhead, MemoryLanding, seeded } from "./mavftp_bed.ts";

/** Where each stack keeps its logs. */
export const ROOTS = { px4: "/fs/microsd/log", ardupilot: "/APM/LOGS" };
/** One of each stack. */
export const BOTH: readonly PersonalityName[] = ["px4-main", "ardupilot-2026"];
/** An engine gives a file up sooner. */
const ATTEMPTS_MAX = 12;

/** Bytes that a seed repeats. */
export function content(sizeBytes: number, seed = 1): Uint8Array<ArrayBuffer> {
  const random = seeded(seed);
  return Uint8Array.from({ length: sizeBytes }, () => random() * 256);
}

export const rootOf = (personality: PersonalityName) => ROOTS[personality.startsWith("px4") ? "px4" : "ardupilot"];

/** A vehicle that has `whole` as its log `a.ulg` beside another one, and a client that may ask it. */
export async function flown(
  personality: PersonalityName,
  whole: Uint8Array<ArrayBuffer>,
  options: BedOptions = {},
): Promise<{ bed: Bed; path: string }> {
  const path = `${rootOf(personality)}/a.ulg`;
  const way = { bytesPerSecond: 400_000, latencyMs: 8 };
  const bed = new Bed({
    personality,
    traffic: { attitude: 0, position: 0 },
    link: { down: way, up: way },
    files: { [path]: whole, [`${rootOf(personality)}/b.ulg`]: content(90_000, 77) },
    ...options,
  });
  await bed.ready();
  return { bed, path };
}

/** Fetches in as many attempts as an engine would make; every attempt ends, and what lands is the file. */
export async function fetchAll(bed: Bed, path: string, whole: Uint8Array, what: string): Promise<string[]> {
  const codes: string[] = [];
  for (let attempt = 0; attempt < 8; attempt++) {
    const landing = new MemoryLanding();
    landing.onPush = (at, bytes) =>
      assert.ok(bytes.every((byte, index) => byte === whole[at + index]), `${what}: wrong bytes land at ${at}`);
    try {
      const { bytes } = await bed.fetch(path, { landing });
      assert.equal(bytes.length, whole.length, what);
      return codes;
    } catch (error) {
      if (!(error instanceof DriverError)) throw error;
      codes.push(error.code);
      await bed.virtual.pass(4000);
      await bed.ready();
    }
  }
  throw new Error(`${what}: never fetched: ${codes.join(" ")}`);
}

/** How attempts that go on from one another ended. */
export interface Resumed {
  /** Absent when it was given up. */
  bytes?: Uint8Array;
  /** Of the attempts that failed. */
  codes: string[];
}

/** Fetches as an engine does: keeps what landed and what came beyond it, and drops both where it is not of the file. */
export async function fetchResumed(bed: Bed, path: string, sizeBytes: number): Promise<Resumed> {
  let prefix: Uint8Array = new Uint8Array(0);
  let ahead = new MemoryAhead();
  const codes: string[] = [];
  while (codes.length < ATTEMPTS_MAX) {
    const landing = new MemoryLanding(prefix);
    try {
      const { bytes } = await bed.fetch(path, { landing, ahead, sizeBytes });
      return { bytes, codes };
    } catch (error) {
      if (!(error instanceof DriverError)) throw error;
      codes.push(error.code);
      if (error.code === "changed" || error.code === "not_found") return { codes };
      prefix = landing.bytes();
      if (error.code === "corrupt") {
        prefix = new Uint8Array(0);
        ahead = new MemoryAhead();
      }
      await bed.virtual.pass(2000);
      await bed.ready();
    }
  }
  return { codes };
}
