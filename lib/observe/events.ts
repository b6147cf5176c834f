/**
 * What happens, as objects: the stations emit, and `sync --json`, the live lines and the log listen.
 */
import type { Receipt } from "../driver/mod.ts";

interface Common {
  /** ISO 8601, UTC. */
  time: string;
}

interface OfFile extends Common {
  job: string;
  path: string;
  sizeBytes?: number;
}

/** Everything that `sync --json` prints, one object a line. */
export type FilesyncEvent =
  | (Common & { event: "start"; version: string; pid: number; config: string; jobs: string[] })
  | (OfFile & { event: "found"; generation: number; modifiedMs?: number })
  | (OfFile & {
    event: "progress";
    /** Absent while the file is downloaded. */
    target?: string;
    doneBytes: number;
    bytesPerSecond?: number;
  })
  | (OfFile & { event: "downloaded"; sizeBytes: number; sha256: string; resumedBytes: number; note?: string })
  | (OfFile & {
    event: "delivered";
    target: string;
    receipt: Receipt;
    /** What the source's driver says of the file itself, which is whole as the source has it. */
    note?: string;
  })
  | (OfFile & { event: "parked"; target?: string; reason: string; hint?: string; code: string })
  | (OfFile & { event: "uncertain"; target: string; reason: string })
  | (OfFile & { event: "gone" })
  | (OfFile & { event: "removed" })
  | (Common & {
    event: "device";
    device: string;
    role: "source" | "target";
    available: boolean;
    held?: boolean;
    code?: string;
    reason?: string;
    hint?: string;
  })
  | (Common & { event: "safe_to_unplug"; device: string })
  | (Common & { event: "summary" } & Summary);

/** What a run came to. */
export interface Summary {
  found: number;
  downloaded: number;
  downloadedBytes: number;
  delivered: number;
  deliveredBytes: number;
  parked: number;
  uncertain: number;
  gone: number;
  /** Files that are not yet where they should be. */
  left: number;
  elapsedMs: number;
  exitCode: number;
}

type WithoutTime<E> = E extends unknown ? Omit<E, "time"> : never;

/** An event before it is stamped. */
export type EventBody = WithoutTime<FilesyncEvent>;

/** Spreads events to listeners. A listener must not throw and must not wait. */
export class EventBus {
  readonly #listeners = new Set<(event: FilesyncEvent) => void>();

  /** Starts listening; the returned function ends it. */
  listen(listener: (event: FilesyncEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(body: EventBody): void {
    const event = { ...body, time: new Date().toISOString() } as FilesyncEvent;
    for (const listener of this.#listeners) listener(event);
  }
}
