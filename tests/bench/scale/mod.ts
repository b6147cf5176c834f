/** How far it goes: many known files, many listed ones, many jobs. `deno task bench scale`, or `scale-store` and so on. */
import { measureParts, type Part } from "../parts.ts";
import { jobs } from "./jobs.ts";
import { listing } from "./listing.ts";
import { store } from "./store.ts";

const PARTS: readonly Part[] = [
  {
    name: "store",
    title: "A store of 5,000,000 files",
    what: "The same commands with a store that knows 1,000 delivered files and one that knows 5,000,000; medians.",
    run: store,
  },
  {
    name: "listing",
    title: "A listing of 1,000,000 files",
    what: "A directory of 1,000 folders with 1,000 names each, by the driver `local`.",
    run: listing,
  },
  {
    name: "jobs",
    title: "50 jobs in one daemon",
    what: "Each job with a source and a target directory of its own, 20 files of 1 kB, `finder.interval` 10 s.",
    run: jobs,
  },
];

export async function benchScale(names: readonly string[], rounds: number): Promise<void> {
  await measureParts("scale", PARTS, { names, rounds });
}
