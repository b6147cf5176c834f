/**
 * `sync --rebuild-state`: a new store in the place of a damaged one, which is kept beside it. The spool is taken over when
 * it provably is that store's; a file in it when its bytes are what its row says. All else is found again.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Config } from "../config/mod.ts";
import type { Log } from "../observe/mod.ts";
import {
  hashFile,
  makeDirectory,
  readSpool,
  removeFile,
  type SpoolFile,
  spoolOwner,
  statSpoolFile,
} from "../spool/mod.ts";
import { type AdoptedFile, findDamage, replaceStore, Salvage, takeLock, wasStore } from "../state/mod.ts";
import { EngineError, EXIT, isStoreThere } from "./errors.ts";

/** Where whole files of the spool go whose rows cannot be read: they may be all that is left of them. */
const KEPT_DIR = "kept";

/** Makes the store anew when it is damaged; a sound one stays as it is. */
export async function rebuildState(config: Config, log: Log): Promise<void> {
  const { statePath } = config;
  makeDirectory(dirname(statePath));
  const lock = takeLock(`${statePath}.lock`, statePath);
  try {
    const owner = spoolOwner(config.spool.dir);
    if (!isStoreThere(statePath) && owner === undefined) return;
    const damage = findDamage(statePath);
    if (damage === undefined) {
      log.info(`State store "${statePath}" is sound: there is nothing to rebuild`);
      return;
    }
    log.warning(damage.message);
    if (owner !== undefined && !wasStore(statePath, owner)) throw strangeSpool(config);
    await rebuild(config, owner ?? crypto.randomUUID(), log);
  } finally {
    lock.close();
  }
}

/**
 * Nothing is made in the place of a store whose spool is still there.
 * @throws {EngineError} 7
 */
export function checkNotLost({ statePath, spool }: Config): void {
  if (isStoreThere(statePath) || existsSync(`${statePath}.rebuilt`) || spoolOwner(spool.dir) === undefined) return;
  throw new EngineError(EXIT.state, `State store "${statePath}" is missing, and its spool "${spool.dir}" is there`, {
    hint: "Restore it from a backup, or have a new one made from what source and targets hold: " +
      "filesync sync --rebuild-state",
  });
}

function strangeSpool({ spool, statePath }: Config): EngineError {
  return new EngineError(
    EXIT.state,
    `Cannot rebuild "${statePath}": nothing shows that the spool "${spool.dir}" belonged to it`,
    { hint: `Look what it holds, and move it away: mv "${spool.dir}" "${spool.dir}.old"` },
  );
}

async function rebuild(config: Config, storeId: string, log: Log): Promise<void> {
  const { statePath, spool } = config;
  const jobs = config.jobs.map(({ name, targets }) => ({ name, targets: targets.map((target) => target.name) }));
  const names = new Set(jobs.map(({ name }) => name));
  using salvage = new Salvage(statePath);
  const receipts = salvage.receipts().filter(({ job }) => names.has(job));
  const files = existsSync(spool.dir) ? readSpool(spool.dir).files : [];
  const adopted: AdoptedFile[] = [];
  const strays: SpoolFile[] = [];
  for (const file of files) {
    if (file.kind !== "spool") continue;
    const proven = await prove(file, salvage);
    if (proven !== undefined && names.has(proven.job)) adopted.push(proven);
    else strays.push(file);
  }
  const aside = replaceStore(statePath, { storeId, jobs, receipts, adopted });
  // Drivers' private folders are named by rows that are gone.
  rmSync(`${statePath}.devices`, { recursive: true, force: true });
  for (const file of files) {
    // Only its row knew what it is the beginning of; a loan is a second name.
    if (file.kind !== "spool") await removeFile(file.path);
  }
  keep(spool.dir, strays, log);
  const known = aside === undefined ? "" : `; the damaged one is now "${aside}"`;
  log.warning(
    `State store is made anew${known}. Taken over: ${adopted.length} files in the spool, ${receipts.length} receipts. ` +
      "What the sources hold is fetched again, and targets are asked before anything is sent",
  );
}

async function prove(file: SpoolFile, salvage: Salvage): Promise<AdoptedFile | undefined> {
  const row = salvage.spooled(file.fileId);
  const stat = statSpoolFile(file.path);
  if (row === undefined || stat === undefined || row.deviceDir !== file.device) return undefined;
  if (stat.sizeBytes !== row.sizeBytes) return undefined;
  const { sha256 } = await hashFile(file.path, stat.sizeBytes);
  return sha256 === row.sha256 ? { ...row, inode: stat.inode, ctimeMs: stat.ctimeMs } : undefined;
}

function keep(dir: string, strays: SpoolFile[], log: Log): void {
  if (strays.length === 0) return;
  const folder = join(dir, KEPT_DIR);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const { path, device, fileId } of strays) {
    let to = join(folder, `${device}-${fileId}`);
    for (let n = 2; existsSync(to); n++) to = join(folder, `${device}-${fileId}~${n}`);
    renameSync(path, to);
  }
  log.warning(
    `${strays.length} whole files of the spool are of unknown name: they are kept in "${folder}". What the sources ` +
      "still hold is fetched again; look at them, then remove them",
  );
}
