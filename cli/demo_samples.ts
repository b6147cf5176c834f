/** Sample logs for the demo: the sizes and the names that real ones have, and the awkward ones. */
import { createHash } from "node:crypto";

/** A file that was made. */
export interface Sample {
  /** Relative to the directory, `/`-separated. */
  path: string;
  sizeBytes: number;
  sha256: string;
}

/** How every PX4 log starts. */
const ULOG_MAGIC = [0x55, 0x4c, 0x6f, 0x67, 0x01, 0x12, 0x35, 0x01];

const SAMPLES: [path: string, sizeBytes: number][] = [
  ["2026-11-21/09_14_07.ulg", 184_320],
  ["2026-11-21/09_52_33.ulg", 2_621_440],
  ["2026-11-22/16_03_58.ulg", 33_554_432],
  ["2026-11-22/16_40_00.ulg", 0],
  ['2026-11-22/Überflug "Nord" – copy (2).ulg', 65_537],
];

/** Writes the sample logs below `dir`. */
export async function writeSamples(dir: string): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (const [path, sizeBytes] of SAMPLES) {
    const bytes = new Uint8Array(sizeBytes);
    for (let at = 0; at < sizeBytes; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
    bytes.set(ULOG_MAGIC.slice(0, sizeBytes));
    await Deno.mkdir(`${dir}/${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
    await Deno.writeFile(`${dir}/${path}`, bytes);
    samples.push({ path, sizeBytes, sha256: createHash("sha256").update(bytes).digest("hex") });
  }
  return samples;
}
