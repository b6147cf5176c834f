/**
 * A dead target must not starve a live one: when the spool is full, files that only absent targets still need, and that
 * the source still has unchanged, leave it and are fetched again when one of those targets is back.
 */
import { DriverError, sameFingerprint } from "../driver/mod.ts";
import type { Log } from "../observe/mod.ts";
import type { Spool } from "../spool/mod.ts";
import { fileById, type Shelvable, shelvableFiles, shelveFile, type Store, unshelveFiles } from "../state/mod.ts";
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

/** Files that are read at once. */
const PAGE = 32;

/** Makes room in the spool, one caller at a time. */
export class RoomMaker {
  readonly #options: RoomOptions;
  #running: Promise<boolean> | undefined;
  /** Said once: with a dead target every file of a live one makes room so. */
  #isTold = false;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /**
   * Frees `bytes`, or nothing where so many cannot be freed: what leaves the spool has to be fetched again.
   * @returns whether anything was freed
   */
  make(bytes: number, signal: AbortSignal): Promise<boolean> {
    this.#running ??= this.#make(bytes, signal).finally(() => this.#running = undefined);
    return this.#running;
  }

  /**
   * Targets changed: files that wait for one that is back go into the queue again. Of one that only may be back it is a
   * single file: all would be fetched for nothing each time that it turns out to be still full.
   */
  restore(): number {
    const { store } = this.#options;
    const back = unshelveFiles(store, this.#targetRows((gate) => gate.isOpen && !gate.isOnTrial));
    return back + unshelveFiles(store, this.#targetRows((gate) => gate.isOnTrial), 1);
  }

  async #make(bytes: number, signal: AbortSignal): Promise<boolean> {
    const { store, spool, log } = this.#options;
    const chosen = await this.#choose(bytes, signal);
    let freed = 0;
    for (const { id, path, deviceDir, sizeBytes } of chosen) {
      if (!shelveFile(store, id)) continue;
      await store.durable();
      await spool.remove(spool.filePath(deviceDir, id));
      spool.free(sizeBytes);
      freed += sizeBytes;
      log.debug(`"${path}" leaves the full spool: it is fetched again when its target is back`);
    }
    if (freed > 0 && !this.#isTold) {
      log.info("Files that only absent targets need leave the full spool: they are fetched again when these are back");
      this.#isTold = true;
    }
    return freed > 0;
  }

  /** Files that may leave and have `bytes` together; none when there are not as many. */
  async #choose(bytes: number, signal: AbortSignal): Promise<Shelvable[]> {
    const { store, source } = this.#options;
    const absent = this.#targetRows((gate) => !gate.isOpen);
    const chosen: Shelvable[] = [];
    let chosenBytes = 0;
    for (let afterId = 0;;) {
      const page = absent.length === 0 ? [] : shelvableFiles(store, absent, { limit: PAGE, afterId });
      for (const candidate of page) {
        if (signal.aborted) return [];
        const gate = source(candidate.jobId, candidate.sourceId);
        if (gate === undefined || !await this.#isUnchanged(candidate.id, gate, signal)) continue;
        chosen.push(candidate);
        chosenBytes += candidate.sizeBytes;
        if (chosenBytes >= bytes) return chosen;
      }
      if (page.length < PAGE) return [];
      afterId = page.at(-1)!.id;
    }
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
