/** Looking without moving: `status`, `ls`, and `sync --dry-run`. */
import { mkdtempSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import type { Config, DeviceConfig, JobConfig } from "../config/mod.ts";
import { asDriverError, type Entry, type ErrorCode, isTemporary, pathProblem, type Role } from "../driver/mod.ts";
import { checkCircles } from "./circles.ts";
import { compileRules } from "../finder/rules.ts";
import { HostedDevice, type PluginSet } from "../host/mod.ts";
import { logFor, type StatusReport } from "../observe/mod.ts";
import {
  deniedCount,
  deviceStatuses,
  jobStatuses,
  lockHolder,
  newEntries,
  notedCount,
  notedFiles,
  parkedItems,
  resentBytes,
  resentUploadBytes,
  spooledBytes,
  Store,
} from "../state/mod.ts";
import { targetPath } from "../upload/target_path.ts";
import { readSecrets, usablePlugin } from "./devices.ts";
import { selectJobs } from "./engine.ts";
import { asEngineError, EngineError, EXIT, isStoreThere } from "./errors.ts";
import { spoolPause } from "./spool_pause.ts";
import { isDateWrong } from "./wall_clock.ts";
import { formatWindows, isInWindow } from "./window.ts";
import { exitOfCode } from "./exit_codes.ts";

/** A file that a run would move. */
export interface PlannedFile {
  job: string;
  path: string;
  sizeBytes?: number;
  modifiedMs?: number;
  targets: { name: string; path: string }[];
  why: "new" | "changed" | "problem";
  problem?: string;
}

/** What looking needs. */
export interface InspectOptions {
  plugins: PluginSet;
  signal: AbortSignal;
}

/** Codes of a device that no time mends. */
const FOR_A_PERSON: readonly ErrorCode[] = ["denied", "invalid_config", "unsupported"];

/** The state of things, without disturbing a daemon that runs. */
export function readStatus(config: Config): StatusReport {
  const pid = lockHolder(config.statePath);
  const base = {
    schema: 1 as const,
    time: new Date().toISOString(),
    state: config.statePath,
    ...(pid === undefined ? {} : { pid }),
  };
  if (!isStoreThere(config.statePath)) {
    const spool = { dir: config.spool.dir, usedBytes: 0, quotaBytes: config.spool.quotaBytes };
    return {
      ...base,
      word: "ok",
      jobs: [],
      devices: [],
      parked: [],
      parkedTotal: 0,
      noted: [],
      notedTotal: 0,
      spool,
      resentBytes: 0,
      resentUploadBytes: 0,
    };
  }
  try {
    using store = new Store(config.statePath, { readOnly: true });
    const windows = new Map(config.jobs.map((job) => [job.name, job.windows]));
    const now = new Date();
    const isWrong = isDateWrong(store);
    const jobs = jobStatuses(store).map((job) => {
      const mine = windows.get(job.name) ?? [];
      if (isInWindow(mine, now)) return job;
      return { ...job, [isWrong ? "ignoresWindow" : "waitsForWindow"]: formatWindows(mine) };
    });
    const used = new Set(
      config.jobs.flatMap(({ source, targets }) => [source, ...targets.map(({ device }) => device)]),
    );
    const names = new Set([...used].map(({ name }) => name));
    // Others are of a job that left the configuration, and nobody looks at them any more.
    const devices = deviceStatuses(store).filter(({ name }) => names.has(name));
    const attention = sum(jobs.flatMap((job) => [job.parked, ...job.targets.flatMap((t) => [t.parked, t.uncertain])]));
    const left = sum(
      jobs.flatMap((job) => [job.found, job.downloading, ...job.targets.flatMap((t) => [t.waiting, t.uploading])]),
    );
    const closed = devices.filter((device) => !device.available || device.held);
    const needsPerson = closed.some(({ code }) => code !== undefined && FOR_A_PERSON.includes(code as ErrorCode));
    const denied = deniedCount(store);
    // Nobody knows what is on a source that was never listed.
    const isUnseen = jobs.some(({ name, lastListing }) =>
      lastListing === undefined && config.jobs.some((job) => job.name === name)
    );
    const isFetching = jobs.some((job) => job.found.count + job.downloading.count > 0);
    const pause = isFetching ? spoolPause(store, config, pid !== undefined) : undefined;
    const isUploading = jobs.some((job) =>
      job.spooled.count > 0 || job.targets.some((target) => target.uploading.count > 0)
    );
    return {
      ...base,
      word: attention + denied > 0 || needsPerson
        ? "attention"
        : pause !== undefined && !isUploading
        ? "waiting"
        : (closed.length > 0 || jobs.some((job) => job.waitsForWindow !== undefined)) && (left > 0 || isUnseen)
        ? "waiting"
        : left > 0 || isUnseen && pid !== undefined
        ? "working"
        : isUnseen
        ? "waiting"
        : "ok",
      jobs,
      devices,
      parked: parkedItems(store),
      parkedTotal: attention + denied,
      noted: notedFiles(store),
      notedTotal: notedCount(store),
      spool: {
        dir: config.spool.dir,
        usedBytes: spooledBytes(store),
        quotaBytes: config.spool.quotaBytes,
        ...(pause === undefined ? {} : { pause }),
      },
      resentBytes: resentBytes(store),
      resentUploadBytes: resentUploadBytes(store),
    };
  } catch (error) {
    throw asEngineError(error);
  }
}

function sum(tallies: { count: number }[]): number {
  return tallies.reduce((total, tally) => total + tally.count, 0);
}

/** Entries of a configured device below `path`, as they come. */
export async function* listDevice(
  config: Config,
  name: string,
  path: string,
  options: InspectOptions & { recursive?: boolean },
): AsyncGenerator<Entry> {
  const candidates = [
    ...config.devices,
    ...config.jobs.flatMap((job) => [job.source, ...job.targets.map((target) => target.device)]),
  ];
  const device = candidates.find((candidate) => candidate.name === name);
  if (device === undefined) {
    const known = [...new Set(candidates.map((candidate) => candidate.name))].join(", ");
    throw new EngineError(EXIT.usage, `Device "${name}" is not in ${config.file}`, { hint: `Devices are ${known}` });
  }
  const isTarget = config.jobs.some((job) => job.targets.some((target) => target.device.name === name));
  const isSource = config.jobs.some((job) => job.source.name === name);
  yield* withDevice(
    device,
    isTarget && !isSource ? "target" : "source",
    config,
    options,
    async function* (hosted) {
      yield* walk(hosted, path, options.recursive === true, options.signal);
    },
  );
}

/** What a run would move, without moving or recording anything. */
export async function* planSync(
  config: Config,
  options: InspectOptions & { jobs?: string[] },
): AsyncGenerator<PlannedFile> {
  checkCircles(config, options.plugins);
  const store = isStoreThere(config.statePath) ? new Store(config.statePath, { readOnly: true }) : undefined;
  try {
    for (const job of selectJobs(config, options.jobs)) yield* planJob(job, config, store, options);
  } catch (error) {
    throw asEngineError(error);
  } finally {
    store?.close();
  }
}

async function* planJob(
  job: JobConfig,
  config: Config,
  store: Store | undefined,
  options: InspectOptions,
): AsyncGenerator<PlannedFile> {
  const isWanted = compileRules(job.rules);
  yield* withDevice(job.source, "source", config, options, async function* (hosted) {
    const { modifiedPrecisionMs = 1 } = await hosted.capabilities({ signal: options.signal });
    const sourceId = store?.get<{ id: number }>(
      "SELECT s.id FROM source s JOIN job j ON j.id = s.job_id WHERE j.name = ? AND s.device_id = ?",
      job.name,
      hosted.deviceId ?? job.source.name,
    )?.id;
    const plan = (entry: Entry, why: "new" | "changed") => planned(job, hosted.deviceId ?? job.source.name, entry, why);
    for await (const batch of batches(walk(hosted, "", true, options.signal))) {
      const files = batch.filter((entry) =>
        entry.kind === "file" && !isTemporary(entry.path) && isWanted(entry.path, entry.sizeBytes)
      );
      if (store === undefined || sourceId === undefined) {
        for (const entry of files) yield plan(entry, "new");
        continue;
      }
      for (const [entry, why] of newEntries(store, sourceId, modifiedPrecisionMs, files)) yield plan(entry, why);
    }
  });
}

function planned(job: JobConfig, deviceId: string, entry: Entry, why: "new" | "changed"): PlannedFile {
  const file: PlannedFile = { job: job.name, path: entry.path, targets: [], why };
  if (entry.sizeBytes !== undefined) file.sizeBytes = entry.sizeBytes;
  if (entry.modifiedMs !== undefined) file.modifiedMs = entry.modifiedMs;
  const problem = entry.problem ?? pathProblem(entry.path);
  if (problem !== undefined) return { ...file, why: "problem", problem };
  const facts = {
    path: entry.path,
    job: job.name,
    device: deviceId,
    host: hostname(),
    timeMs: entry.modifiedMs ?? Date.now(),
  };
  try {
    file.targets = job.targets.map((target) => ({ name: target.name, path: targetPath(job.path, facts) }));
    return file;
  } catch (error) {
    return { ...file, why: "problem", problem: asDriverError(error).message };
  }
}

/** A plugin for looking only: its spool and state folders are temporary. */
async function* withDevice<T>(
  device: DeviceConfig,
  role: Role,
  config: Config,
  options: InspectOptions,
  use: (hosted: HostedDevice) => AsyncGenerator<T>,
): AsyncGenerator<T> {
  const plugin = usablePlugin(options.plugins, device);
  const pid = plugin.exclusive ? lockHolder(config.statePath) : undefined;
  if (pid !== undefined) {
    throw new EngineError(EXIT.unavailable, `Device "${device.name}" is in use by filesync process ${pid}`, {
      hint: "Only one process may have it: stop that one first, or look with filesync status",
    });
  }
  const args = await readSecrets(device, plugin, config.file);
  const folder = mkdtempSync(join(tmpdir(), "filesync-"));
  const log = logFor(device.name);
  const hosted = new HostedDevice({
    plugin,
    name: device.name,
    role,
    args,
    spoolDir: folder,
    spoolRoot: folder,
    stateDir: folder,
    log: (level, message) => log[level](message),
  });
  try {
    yield* use(hosted);
  } catch (error) {
    throw deviceFailure(error, device.name);
  } finally {
    await hosted.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function deviceFailure(error: unknown, name: string): unknown {
  if (error instanceof EngineError) return error;
  const failure = asDriverError(error);
  return new EngineError(exitOfCode(failure.code), `Device "${name}": ${failure.message}`, {
    cause: error,
    ...(failure.details.hint === undefined ? {} : { hint: failure.details.hint }),
  });
}

/** Entries below `directory`; folders come before what they hold. */
async function* walk(
  hosted: HostedDevice,
  directory: string,
  recursive: boolean,
  signal: AbortSignal,
): AsyncGenerator<Entry> {
  const directories = [directory];
  for (let next = directories.pop(); next !== undefined; next = directories.pop()) {
    // One directory's names at a time: a person looks at them, or they are counted.
    const entries: Entry[] = [];
    await hosted.list({ directory: next }, (batch) => void entries.push(...batch), { signal });
    for (const entry of entries) {
      yield entry;
      if (recursive && entry.kind === "directory" && entry.problem === undefined) directories.push(entry.path);
    }
  }
}

async function* batches(entries: AsyncGenerator<Entry>): AsyncGenerator<Entry[]> {
  let batch: Entry[] = [];
  for await (const entry of entries) {
    batch.push(entry);
    if (batch.length === 500) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}
