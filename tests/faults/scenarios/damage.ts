/** The state store is damaged in the middle of the work: it is told, and only when asked for made anew, and nothing comes twice. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { FTP_SERVER_KINDS } from "../../support/ftp_servers.ts";
import { mixedFiles, Pipeline } from "../pipeline.ts";
import { addOutcome, emptyOutcome, type Outcome, type RunOptions, type Scenario, seededRandom } from "../scenario.ts";
import { filesBelow } from "../verifier.ts";

/** Damages for one protocol. */
const COUNT = { ci: 2, full: 60 };
/** Slow enough that something is left to do. */
const LIMITS = { download: "4MiB/s", upload: "4MiB/s" };
const PAGE_BYTES = 4096;

const DAMAGES: Record<string, (store: string, random: () => number) => void> = {
  "cut short": (store, random) => truncateSync(store, Math.floor(random() * statSync(store).size)),
  "its header": (store, random) => overwrite(store, 0, noise(100, random)),
  "its pages": (store, random) => {
    const pages = Math.floor(statSync(store).size / PAGE_BYTES);
    for (let page = 1; page < pages; page++) overwrite(store, page * PAGE_BYTES, noise(PAGE_BYTES, random));
  },
  "its log": (store, random) => overwrite(`${store}-wal`, 0, noise(PAGE_BYTES, random)),
  "its log is gone": (store) => rmSync(`${store}-wal`),
  "all is gone": (store) => ["", "-wal", "-shm"].forEach((end) => rmSync(store + end, { force: true })),
};

export const DAMAGED_STORES: readonly Scenario[] = [{
  fault: "damaged state store, made anew with --rebuild-state",
  name: "damaged-store",
  protocols: ["local->local", "local->ftp", "ftp->local"],
  needs: FTP_SERVER_KINDS,
  async run(protocol, options) {
    const sum = emptyOutcome();
    const random = seededRandom(options.seed);
    for (let at = 0; at < COUNT[options.scale]; at++) {
      addOutcome(sum, await damaged(protocol, random, options));
      options.tell(`${at + 1} damages`);
    }
    return sum;
  },
}];

async function damaged(protocol: string, random: () => number, { signal }: RunOptions): Promise<Outcome> {
  const kind = FTP_SERVER_KINDS[Math.floor(random() * FTP_SERVER_KINDS.length)]!;
  await using pipeline = await Pipeline.open({
    protocol,
    seed: Math.floor(random() * 2 ** 31),
    signal,
    files: mixedFiles(random, { small: 20, big: 1 }),
    source: { ftp: { kind } },
    target: { ftp: { kind } },
    job: { attempts: 50, limits: LIMITS },
  });
  pipeline.start();
  // Somewhere between the first and the last file.
  const enough = 1 + Math.floor(random() * (Object.keys(pipeline.sizes).length - 2));
  await pipeline.until(() => pipeline.delivered.size >= enough, 60_000);
  await pipeline.kill();
  const store = join(pipeline.dir, "work/filesync.db");
  const names = Object.keys(DAMAGES);
  const what = names[Math.floor(random() * names.length)]!;
  DAMAGES[what]!(store, random);
  // The damage was done when the program refuses it.
  const refused = await pipeline.start({ once: true }).exit;
  const rebuilt = pipeline.start({ env: { FILESYNC_REBUILD_STATE: "1" } });
  await pipeline.untilDelivered();
  await pipeline.until(() => rebuilt.events.filter(({ event }) => event === "delivered").length > 0, 20_000);
  removeKept(pipeline);
  await pipeline.until(() => isEmpty(pipeline), 60_000);
  return await pipeline.finish({
    runs: refused === 7 ? 1 : 0,
    resentLimitBytes: null,
    notes: protocol === "local->local" ? [] : [kind],
  });
}

/** Whole files of the spool whose rows could not be read are kept for a person, who finds that they are of the source. */
function removeKept(pipeline: Pipeline): void {
  const kept = join(pipeline.spoolDir, "kept");
  if (!existsSync(kept)) return;
  const known = new Set([...pipeline.verifier.expected.values()].map(({ sha256 }) => sha256));
  for (const name of filesBelow(kept)) {
    const path = join(kept, name);
    if (known.has(createHash("sha256").update(readFileSync(path)).digest("hex"))) rmSync(path);
  }
}

function isEmpty(pipeline: Pipeline): boolean {
  return filesBelow(pipeline.spoolDir).every((name) => name === "store.id");
}

function noise(length: number, random: () => number): Uint8Array {
  return Uint8Array.from({ length }, () => random() * 256);
}

function overwrite(path: string, at: number, bytes: Uint8Array): void {
  using file = Deno.openSync(path, { write: true });
  file.seekSync(at, Deno.SeekMode.Start);
  for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
}
