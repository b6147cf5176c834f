/** The ratios that later runs are held against: `tests/bench/guard.json`, written by `--record` alone. */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Ratios } from "./compare.ts";

/** Where they are kept. */
export const RECORD = fileURLToPath(new URL("../guard.json", import.meta.url));

const ratioSchema = z.strictObject({
  low: z.number().positive(),
  median: z.number().positive(),
  high: z.number().positive(),
});
const ratiosSchema = z.strictObject({
  peer: z.string(),
  rounds: z.int().positive(),
  wall: ratioSchema,
  cpu: ratioSchema,
});
const recordSchema = z.strictObject({
  /** The machine that they were measured on: ratios differ less than seconds, but they differ. */
  machine: z.string(),
  workloads: z.record(z.string(), ratiosSchema),
});

export type Recorded = z.infer<typeof recordSchema>;

/** What was recorded. @throws {Error} when the file is not what {@linkcode writeRecord} writes */
export function readRecord(path: string = RECORD): Recorded {
  return recordSchema.parse(JSON.parse(readFileSync(path, "utf8")));
}

/** Records the ratios of some workloads and leaves those of the others. */
export function writeRecord(machine: string, workloads: Record<string, Ratios>, path: string = RECORD): void {
  const rounded = Object.entries(workloads).map(([name, ratios]) => [name, roundedRatios(ratios)] as const);
  const all = { ...readRecord(path).workloads, ...Object.fromEntries(rounded) };
  const record: Recorded = { machine, workloads: all };
  writeFileSync(path, `${JSON.stringify(recordSchema.parse(record), undefined, 2)}\n`);
}

/** More digits would only say that runs differ. */
function roundedRatios({ peer, rounds, wall, cpu }: Ratios): Ratios {
  const rounded = ({ low, median, high }: Ratios["wall"]) => ({
    low: Number(low.toPrecision(3)),
    median: Number(median.toPrecision(3)),
    high: Number(high.toPrecision(3)),
  });
  return { peer, rounds, wall: rounded(wall), cpu: rounded(cpu) };
}
