/**
 * What `retry` and `forget` do, with the store and the spool in hand: in the process that syncs, or in a command of its
 * own when none does.
 */
import { type Spool, statSpoolFile } from "../spool/mod.ts";
import {
  type Changed,
  endDeliveries,
  endFiles,
  endJob,
  endTarget,
  fetchOlderFiles,
  filesToEnd,
  forgetRows,
  nearestPaths,
  oweOlderFiles,
  type Part,
  pathStates,
  type Released,
  retireTarget,
  retryRows,
  type Selection,
  type Store,
  type StoredJob,
  storedJobs,
} from "../state/mod.ts";
import { EngineError, EXIT } from "./errors.ts";

/** Which files and deliveries a command is about. */
export interface AdminRequest {
  /** Exactly these paths; absent: all that the rest names. */
  paths?: string[];
  job?: string;
  target?: string;
  parked?: boolean;
  uncertain?: boolean;
  /** `retry`: everything that does not move, and for a named target what was found before it was added. */
  all?: boolean;
  /** `forget`: end the job, or its target, with all that is known of it. */
  end?: boolean;
}

/** What a command came to. */
export interface AdminResult extends Changed {
  /** Files that are fetched again for a target that was added later. */
  older: number;
  /** Paths that nothing is known of, with names like them. */
  unknown: { path: string; nearest: string[] }[];
  /** Paths that there was nothing to do for, with the states of their files. */
  idle: { path: string; states: string[] }[];
}

/** What the commands work on. */
export interface AdminContext {
  store: Store;
  /** Asked for only when something leaves the spool. */
  spool: () => Spool;
  /** Jobs that this process runs, with their targets. */
  running: { job: string; targets: string[] }[];
  /** Aborted: stop between two parts. */
  signal?: AbortSignal;
}

/** Puts files and deliveries back into the queues, and says whether a new listing is needed for some. */
export async function retry(
  request: AdminRequest,
  context: AdminContext,
): Promise<AdminResult & { relist: boolean }> {
  const { store } = context;
  const selection = select(store, request);
  const wants = { ...selection, ...kinds(request, "retry") };
  const result = { ...emptyResult(), relist: false };
  await forEachPart(context, request, wants, result, (part) => {
    const changed = retryRows(store, part);
    result.relist ||= changed.relist;
    return Promise.resolve(changed);
  });
  if (request.all === true && request.target !== undefined) {
    for (const targetId of selection.targetIds) {
      result.deliveries += oweOlderFiles(store, targetId);
      for (let last: number | undefined = 0; last !== undefined;) {
        const page = fetchOlderFiles(store, targetId, last);
        result.older += page.files;
        last = page.lastId;
        await pause(context);
      }
    }
  }
  await store.durable();
  return result;
}

/** Gives files and deliveries up, or ends a job or a target. */
export async function forget(request: AdminRequest, context: AdminContext): Promise<AdminResult> {
  const { store } = context;
  if (request.end === true) return await end(request, context);
  const wants = { ...select(store, request), ...kinds(request, "forget") };
  const result = emptyResult();
  await forEachPart(context, request, wants, result, async (part) => {
    const { released, ...changed } = forgetRows(store, part);
    await release(context, released);
    return changed;
  });
  await store.durable();
  return result;
}

function emptyResult(): AdminResult {
  return { files: 0, deliveries: 0, older: 0, unknown: [], idle: [] };
}

/** Lets others work between two parts. */
async function pause({ store, signal }: AdminContext): Promise<void> {
  await store.durable();
  if (signal?.aborted === true) {
    throw new EngineError(EXIT.state, `Process ${Deno.pid} stops: only a part is done`, {
      hint: "Run the command again",
    });
  }
  await new Promise((resolve) => setTimeout(resolve, 0));
}

async function forEachPart(
  context: AdminContext,
  request: AdminRequest,
  wants: Selection,
  result: AdminResult,
  change: (part: Selection) => Promise<Part>,
): Promise<void> {
  const { store } = context;
  const add = ({ files, deliveries }: Changed): boolean => {
    result.files += files;
    result.deliveries += deliveries;
    return files + deliveries > 0;
  };
  if (request.paths === undefined) {
    // Ever on: what fails again meanwhile is not taken a second time.
    for (let part = wants;;) {
      const changed = await change(part);
      if (!add(changed)) return;
      part = { ...part, afterFile: changed.lastFile, afterDelivery: changed.lastDelivery };
      await pause(context);
    }
  }
  for (const path of new Set(request.paths.map((typed) => knownPath(store, wants.jobIds, typed)))) {
    const states = pathStates(store, wants.jobIds, path);
    if (states.length === 0) {
      const nearest = nearestPaths(store, wants.jobIds, path).map((near) => near.path);
      result.unknown.push({ path, nearest });
    } else if (!add(await change({ ...wants, path }))) result.idle.push({ path, states });
    await pause(context);
  }
}

/** The path that a person means: as it is, else as `status` shows it, with escapes for what must not reach a terminal. */
export function knownPath(store: Store, jobIds: number[], typed: string): string {
  if (!typed.includes("\\") || pathStates(store, jobIds, typed).length > 0) return typed;
  const meant = typed.replace(/\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|([nrt]))/g, (_, x, u, short) => {
    const shorts: Record<string, string> = { n: "\n", r: "\r", t: "\t" };
    return shorts[short] ?? String.fromCharCode(parseInt(x ?? u, 16));
  });
  return pathStates(store, jobIds, meant).length > 0 ? meant : typed;
}

function kinds(request: AdminRequest, what: "retry" | "forget"): Pick<Selection, "parked" | "uncertain" | "waiting"> {
  const { paths, all, parked = false, uncertain = false } = request;
  if (parked || uncertain) return { parked, uncertain, waiting: false };
  // Who names a file, or a target to be given up, knows which; sending what may be there already must be asked for.
  const isSure = paths !== undefined || all === true || what === "forget";
  return { parked: true, uncertain: isSure, waiting: what === "retry" };
}

function select(store: Store, { job, target }: AdminRequest): Pick<Selection, "jobIds" | "targetIds" | "sources"> {
  const jobs = selectStored(store, job);
  const targets = jobs.flatMap((stored) => stored.targets.filter(({ retired }) => !retired));
  const wanted = target === undefined ? targets : targets.filter(({ name }) => name === target);
  if (target !== undefined && wanted.length === 0) throw unknownTarget(target, jobs);
  return {
    jobIds: jobs.map(({ id }) => id),
    targetIds: wanted.map(({ id }) => id),
    sources: target === undefined,
  };
}

/**
 * The jobs of the store, or the one that is named.
 * @throws {EngineError} usage, when there is none of that name
 */
export function selectStored(store: Store, name: string | undefined): StoredJob[] {
  const jobs = storedJobs(store);
  if (name === undefined) return jobs;
  const job = jobs.find((stored) => stored.name === name);
  if (job !== undefined) return [job];
  throw new EngineError(EXIT.usage, `Job "${name}" is not in the state store "${store.path}"`, {
    hint: jobs.length === 0 ? "Nothing has run yet" : `Jobs are ${quoted(jobs)}`,
  });
}

/** There is no target of that name in `jobs`. */
export function unknownTarget(name: string, jobs: StoredJob[]): EngineError {
  const targets = jobs.flatMap((job) => job.targets);
  return new EngineError(EXIT.usage, `Target "${name}" is not in the state store`, {
    hint: targets.length === 0 ? "Nothing has run yet" : `Targets are ${quoted(targets)}`,
  });
}

function quoted(named: { name: string }[]): string {
  return [...new Set(named.map(({ name }) => `"${name}"`))].join(", ");
}

/** Removes what nobody needs any more, after the rows say so on disk. */
async function release({ store, spool }: AdminContext, released: Released[]): Promise<void> {
  if (released.length === 0) return;
  await store.durable();
  for (const { id, deviceDir } of released) await removeSpooled(spool(), deviceDir, id);
}

async function removeSpooled(spool: Spool, deviceDir: number, id: number): Promise<void> {
  for (const path of [spool.filePath(deviceDir, id), spool.partialPath(deviceDir, id)]) {
    const stat = statSpoolFile(path);
    if (stat === undefined) continue;
    await spool.remove(path);
    spool.free(stat.sizeBytes);
  }
}

async function end(request: AdminRequest, context: AdminContext): Promise<AdminResult> {
  const { store, running } = context;
  const result = emptyResult();
  const jobs = selectStored(store, request.job);
  if (request.target === undefined) {
    const [job] = jobs;
    if (job === undefined || request.job === undefined) return result;
    if (running.some((active) => active.job === job.name)) throw stillRuns(`Job "${job.name}"`);
    for (let page = filesToEnd(store, job.id); page.length > 0; page = filesToEnd(store, job.id)) {
      for (const { id, deviceDir } of page) {
        if (deviceDir !== null) await removeSpooled(context.spool(), deviceDir, id);
      }
      endFiles(store, page.map(({ id }) => id));
      result.files += page.length;
      await pause(context);
    }
    endJob(store, job.id);
    await store.durable();
    return result;
  }
  const owners = jobs.filter((job) => job.targets.some(({ name }) => name === request.target));
  if (owners.length === 0) throw unknownTarget(request.target, jobs);
  for (const job of owners) {
    if (running.some((active) => active.job === job.name && active.targets.includes(request.target!))) {
      throw stillRuns(`Target "${request.target}" of job "${job.name}"`);
    }
    const target = job.targets.find(({ name }) => name === request.target)!;
    await release(context, retireTarget(store, target.id));
    for (let last: number | undefined = 0; last !== undefined;) {
      const before = last;
      last = endDeliveries(store, target.id, before);
      await pause(context);
    }
    endTarget(store, target.id);
    result.deliveries++;
  }
  await store.durable();
  return result;
}

function stillRuns(what: string): EngineError {
  return new EngineError(EXIT.state, `${what} runs in process ${Deno.pid}`, {
    hint: "Take it out of the configuration and restart filesync sync first",
  });
}
