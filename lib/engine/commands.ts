/** What `why`, `retry`, `forget` and `manifest` ask of the engine, beside a process that syncs or without one. */
import type { Config, JobConfig } from "../config/mod.ts";
import { isTemporary, pathProblem } from "../driver/mod.ts";
import { compileRules } from "../finder/rules.ts";
import type { DeviceStatus, MovingFile } from "../observe/mod.ts";
import { findSpooled, Spool } from "../spool/mod.ts";
import {
  deviceStatuses,
  fileHistories,
  type FileHistory,
  lastListing,
  lockHolder,
  manifestEntries,
  type ManifestEntry,
  nearestPaths,
  StateError,
  Store,
  type StoredJob,
  storedJobs,
  storeExists,
} from "../state/mod.ts";
import {
  type AdminRequest,
  type AdminResult,
  forget,
  knownPath,
  retry,
  selectStored,
  unknownTarget,
} from "./administer.ts";
import { callDaemon } from "./control_client.ts";
import { asEngineError, EngineError, EXIT, isStoreThere } from "./errors.ts";

export type { DeliveryFacts, ErrorFacts, FileHistory, GenerationFacts } from "../state/mod.ts";

/** What a command came to, and through whom. */
export interface AdminOutcome extends AdminResult {
  /** The process that syncs and goes on with it; absent: the next one does. */
  pid?: number;
}

/** How long the daemon is waited for where its answer is one figure more, milliseconds. */
const QUICK_MS = 1000;

/** Runs `retry` or `forget`: through the process that syncs, or on the store itself when none does. */
export async function administer(
  config: Config,
  method: "retry" | "forget",
  request: AdminRequest,
): Promise<AdminOutcome> {
  try {
    const answer = await callDaemon<AdminOutcome>(config.statePath, method, request);
    if (answer !== undefined) return answer;
    if (!isStoreThere(config.statePath)) {
      const unknown = (request.paths ?? []).map((path) => ({ path, nearest: [] }));
      return { files: 0, deliveries: 0, older: 0, unknown, idle: [] };
    }
    using store = new Store(config.statePath);
    let spool: Spool | undefined;
    const context = { store, spool: () => spool ??= openSpool(config, store), running: [] };
    return method === "retry" ? await retry(request, context) : await forget(request, context);
  } catch (error) {
    throw asEngineError(error);
  }
}

function openSpool(config: Config, store: Store): Spool {
  const { dir, quotaBytes, minFreeBytes } = config.spool;
  return new Spool({ dir, quotaBytes, minFreeBytes, storeId: store.meta("store_id") ?? "" });
}

/** What the spool holds of one generation. */
export interface SpoolCopy {
  path: string;
  sizeBytes: number;
  /** `false`: more is to be fetched. */
  isWhole: boolean;
}

/** The answer of `why`. */
export interface WhyReport {
  histories: FileHistory[];
  /** Copies in the spool, by a generation's `id`. */
  copies: Map<number, SpoolCopy>;
  /** Devices of the jobs that are away or held, and so keep files waiting. */
  closed: DeviceStatus[];
  /** What may be the reason when nothing is known of the path. */
  reasons: string[];
  nearest: { job: string; path: string }[];
  /** The process that syncs. */
  pid?: number;
  /** That process's monotonic clock, milliseconds, when it could be asked. */
  nowMs?: number;
}

/** Everything that is known of one path. */
export async function readWhy(config: Config, path: string, job?: string): Promise<WhyReport> {
  if (job !== undefined && !config.jobs.some(({ name }) => name === job) && !isStoreThere(config.statePath)) {
    throw new EngineError(EXIT.usage, `Job "${job}" is not in ${config.file}`);
  }
  const pid = lockHolder(config.statePath);
  const report: WhyReport = {
    histories: [],
    copies: new Map(),
    closed: [],
    reasons: [],
    nearest: [],
    ...(pid === undefined ? {} : { pid }),
  };
  const jobs = config.jobs.filter(({ name }) => job === undefined || name === job);
  if (!isStoreThere(config.statePath)) return { ...report, reasons: ["Nothing has run yet", ...absence(jobs, path)] };
  try {
    using store = new Store(config.statePath, { readOnly: true });
    const isConfigured = jobs.length > 0 && storedJobs(store).every(({ name }) => name !== job);
    const jobIds = job !== undefined && isConfigured ? [] : selectStored(store, job).map(({ id }) => id);
    report.histories = fileHistories(store, jobIds, knownPath(store, jobIds, path));
    if (report.histories.length === 0) {
      report.nearest = nearestPaths(store, jobIds, path);
      report.reasons = [...absence(jobs, path), ...listingsOf(store, jobs)];
      return report;
    }
    report.closed = closedDevices(store, jobs, report.histories);
  } catch (error) {
    throw asEngineError(error);
  }
  for (const { id, deviceDir } of report.histories.flatMap(({ generations }) => generations)) {
    const copy = deviceDir === undefined ? undefined : findSpooled(config.spool.dir, deviceDir, id);
    if (copy !== undefined) report.copies.set(id, copy);
  }
  const waits = report.histories.some(({ generations }) =>
    generations.some((file) => file.retryAtMs !== undefined || file.deliveries.some((d) => d.retryAtMs !== undefined))
  );
  if (pid !== undefined && waits) {
    const nowMs = await daemonClock(config.statePath);
    if (nowMs !== undefined) report.nowMs = nowMs;
  }
  return report;
}

function closedDevices(store: Store, jobs: JobConfig[], histories: FileHistory[]): DeviceStatus[] {
  const concerned = jobs.filter(({ name }) => histories.some(({ job }) => job === name));
  const names = new Set(concerned.flatMap((job) => [job.source.name, ...job.targets.map(({ device }) => device.name)]));
  return deviceStatuses(store).filter(({ name, available, held }) => names.has(name) && (!available || held));
}

/** What the process that syncs moves now; empty when none does, or it does not answer. */
export async function readMoving(config: Config): Promise<MovingFile[]> {
  return await askQuickly<MovingFile[]>(config.statePath, "moving") ?? [];
}

async function daemonClock(statePath: string): Promise<number | undefined> {
  return (await askQuickly<{ nowMs: number }>(statePath, "clock"))?.nowMs;
}

/** Asks for what can be done without. */
async function askQuickly<T>(statePath: string, method: string): Promise<T | undefined> {
  try {
    return await callDaemon<T>(statePath, method, {}, { patienceMs: 0, timeoutMs: QUICK_MS });
  } catch (error) {
    // Another user's process, or one that just starts: what is in the store is told all the same.
    if (error instanceof EngineError) return undefined;
    throw error;
  }
}

/** Why the jobs would not take `path`. */
function absence(jobs: JobConfig[], path: string): string[] {
  if (isTemporary(path)) return ["Names like this one are our own unfinished uploads: they are never taken"];
  const problem = pathProblem(path);
  if (problem !== undefined) return [`No file can have this path: ${problem}`];
  return jobs.filter((job) => !compileRules(job.rules)(path)).map((job) =>
    `Rules of job "${job.name}" leave it out: include ${JSON.stringify(job.rules.include)}, exclude ${
      JSON.stringify(job.rules.exclude)
    }`
  );
}

/** When the sources of the jobs that would take it were listed. */
function listingsOf(store: Store, jobs: JobConfig[]): string[] {
  return jobs.map(({ name, source }) => {
    const listed = lastListing(store, name);
    return listed === undefined
      ? `Source "${source.name}" of job "${name}" was not listed yet`
      : `Last complete listing of "${source.name}" (job "${name}") ended about ${listed}`;
  });
}

/** Which receipts a manifest is of. */
export interface ManifestRequest {
  job?: string;
  target?: string;
  /** The names are of one directory, as `sha256sum -c` wants it. */
  oneTree: boolean;
}

/**
 * What was delivered and is the newest under its name, sorted by name.
 * @throws {EngineError} usage, when `oneTree` is asked for and the targets are several directories
 */
export function* readManifest(config: Config, request: ManifestRequest): Generator<ManifestEntry> {
  if (!isStoreThere(config.statePath)) return;
  try {
    using store = new Store(config.statePath, { readOnly: true });
    const jobs = selectStored(store, request.job);
    const all = jobs.flatMap((job) => job.targets.map((target) => ({ ...target, job: job.name })));
    const targets = all.filter(({ name, retired }) =>
      request.target === undefined ? !retired : name === request.target
    );
    if (request.target !== undefined && targets.length === 0) throw unknownTarget(request.target, jobs);
    const trees = new Set(targets.map((target) => treeOf(config, target.job, target.name)));
    if (request.oneTree && trees.size > 1) {
      const names = targets.map(({ job, name }) => `--job ${JSON.stringify(job)} --target ${JSON.stringify(name)}`);
      throw new EngineError(EXIT.usage, "Manifest is of one target, and several have been delivered to", {
        hint: `Choose one: ${names.join(", or ")}; --json takes all`,
      });
    }
    yield* manifestEntries(store, targets.map(({ id }) => id), request.oneTree);
  } catch (error) {
    throw asEngineError(error);
  }
}

/** Equal for targets that are the same device with the same arguments, and so the same directory. */
function treeOf(config: Config, jobName: string, targetName: string): string {
  const target = config.jobs.find(({ name }) => name === jobName)?.targets.find(({ name }) => name === targetName);
  if (target === undefined) return JSON.stringify([jobName, targetName]);
  return JSON.stringify([target.device.driver, target.device.args]);
}

/** Names that only the store knows, each with what ends it. */
export function storedOnly(config: Config): string[] {
  try {
    if (!storeExists(config.statePath)) return [];
    using store = new Store(config.statePath, { readOnly: true });
    return storedJobs(store).flatMap((stored) => storedOnlyOf(config, stored));
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    return [`${error.message}${error.hint === undefined ? "" : `: ${error.hint}`}`];
  }
}

function storedOnlyOf(config: Config, stored: StoredJob): string[] {
  if (config.disabledJobs?.includes(stored.name)) return [];
  const job = config.jobs.find(({ name }) => name === stored.name);
  if (job === undefined) {
    return [
      `Job "${stored.name}" is in the state store but not in the configuration: filesync forget --job ${
        argument(stored.name)
      } ends it`,
    ];
  }
  return stored.targets.filter(({ name }) => !job.targets.some((target) => target.name === name)).map(({ name }) =>
    `Target "${name}" of job "${stored.name}" is in the state store but not in the configuration: filesync forget --job ${
      argument(stored.name)
    } --target ${argument(name)} ends it`
  );
}

/** A word as a shell takes it. */
function argument(word: string): string {
  return /^[\w.,:@%+/-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
