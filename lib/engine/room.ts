/**
 * A dead target must not starve a live one: when the spool is full, files that only absent targets still need, and that
 * the source still has unchanged, leave it and are fetched again when one of those targets is back.
 */
import { DriverError, sameFingerprint } from "../driver/mod.ts";
import type { Log } from "../observe/mod.ts";
import { removeFile, type Spool } from "../spool/mod.ts";
import { fileById, shelvableFiles, shelveFile, type Store, unshelveFiles } from "../state/mod.ts";
import type { DeviceGate } from "./device_gate.ts";

export interface RoomOptions {
  store: Store;
  spool: Spool;
  log: Log;
  /** Targets of all jobs that run, by row. */
  targets: () => Map<number, DeviceGate>;
  /** The source that has a job's files now, when it can be asked. */
  source: (jobId: number, sourceId: number) => DeviceGate | undefined;
}

/** Files that are looked at for one call. */
const PAGE = 32;

/** Makes room in the spool, one caller at a time. */
export class RoomMaker {
  readonly #options: RoomOptions;
  #running: Promise<boolean> | undefined;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /**
   * Tries to free `bytes`.
   * @returns whether anything was freed
   */
  make(bytes: number, signal: AbortSignal): Promise<boolean> {
    this.#running ??= this.#make(bytes, signal).finally(() => this.#running = undefined);
    return this.#running;
  }

  /** Targets changed: files that wait for one that is back go into the queue again. */
  restore(): number {
    return unshelveFiles(this.#options.store, this.#targetRows((gate) => gate.isOpen));
  }

  async #make(bytes: number, signal: AbortSignal): Promise<boolean> {
    const { store, spool, log, source } = this.#options;
    const absent = this.#targetRows((gate) => !gate.isOpen);
    if (absent.length === 0) return false;
    let freed = 0;
    for (const candidate of shelvableFiles(store, absent, PAGE)) {
      if (freed >= bytes || signal.aborted) break;
      const gate = source(candidate.jobId, candidate.sourceId);
      if (gate === undefined || !await this.#isUnchanged(candidate.id, gate, signal)) continue;
      if (!shelveFile(store, candidate.id)) continue;
      await store.durable();
      await removeFile(spool.filePath(candidate.deviceDir, candidate.id));
      spool.free(candidate.sizeBytes);
      freed += candidate.sizeBytes;
      log.info(`"${candidate.path}" leaves the full spool for others: it is fetched again when its target is back`);
    }
    return freed > 0;
  }

  async #isUnchanged(fileId: number, gate: DeviceGate, signal: AbortSignal): Promise<boolean> {
    const file = fileById(this.#options.store, fileId);
    if (file === undefined) return false;
    const turn = await gate.turn("spool", { signal });
    try {
      const entry = await turn.client.stat(file.path, { signal });
      turn.end();
      return entry.kind === "file" && sameFingerprint(file.fingerprint, entry, file.precisionMs);
    } catch (error) {
      turn.end(error instanceof DriverError ? error : undefined);
      return false;
    }
  }

  #targetRows(wanted: (gate: DeviceGate) => boolean): number[] {
    return [...this.#options.targets()].filter(([, gate]) => wanted(gate)).map(([row]) => row);
  }
}
