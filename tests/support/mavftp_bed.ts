/** The client and a simulated autopilot in one process, under a clock that tests move: no socket, no file, no wait. */
import { DriverError } from "../../lib/driver/mod.ts";
import { AutopilotCore, type CoreOptions, VirtualClock } from "./autopilot/mod.ts";
import type { Clock } from "../../plugins/mavftp/clock.ts";
import type { Chunk } from "../../plugins/mavftp/assembly.ts";
import { FtpSession, type SessionJournal } from "../../plugins/mavftp/session.ts";
import { Station, type StationOptions } from "../../plugins/mavftp/station.ts";
import {
  type AheadStore,
  type Experience,
  type Landing,
  newExperience,
  OVERLAP_BYTES,
  transfer,
  type TransferOptions,
  type TransferResult,
} from "../../plugins/mavftp/transfer.ts";

/** Random numbers that a seed repeats (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A spool file in memory. */
export class MemoryLanding implements Landing {
  positionBytes: number;
  readonly overlap: Uint8Array;
  isReady = true;
  error: unknown;
  readonly #overlapAt: number;
  #pieces: Uint8Array[];
  /** Called with each piece before it lands. */
  onPush: (at: number, bytes: Uint8Array) => void = () => {};

  constructor(prefix: Uint8Array = new Uint8Array(0)) {
    this.#overlapAt = Math.max(0, prefix.length - OVERLAP_BYTES);
    this.overlap = prefix.slice(this.#overlapAt);
    this.positionBytes = this.#overlapAt;
    this.#pieces = prefix.length === 0 ? [] : [prefix];
  }

  push(bytes: Uint8Array): void {
    this.onPush(this.positionBytes, bytes);
    const inOverlap = this.positionBytes - this.#overlapAt;
    const compared = Math.max(0, Math.min(bytes.length, this.overlap.length - inOverlap));
    for (let at = 0; at < compared; at++) {
      if (bytes[at] !== this.overlap[inOverlap + at]) {
        throw new DriverError("corrupt", `Log differs from the part already held at byte ${this.positionBytes + at}`);
      }
    }
    this.positionBytes += bytes.length;
    if (compared < bytes.length) this.#pieces.push(bytes.slice(compared));
  }

  drain(): Promise<void> {
    return Promise.resolve();
  }

  bytes(): Uint8Array {
    const whole = new Uint8Array(this.#pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  async readAll(take: (bytes: Uint8Array) => void | Promise<void>): Promise<void> {
    await take(this.bytes());
  }

  readAt(at: number, length: number): Promise<Uint8Array> {
    return Promise.resolve(this.bytes().slice(at, at + length));
  }
}

/** A stash in memory. */
export class MemoryAhead implements AheadStore {
  chunks: Chunk[] = [];

  load(): Promise<Chunk[]> {
    return Promise.resolve(this.chunks);
  }

  add(chunks: readonly Chunk[]): Promise<void> {
    this.chunks.push(...chunks);
    return Promise.resolve();
  }

  replace(chunks: readonly Chunk[]): Promise<void> {
    this.chunks = [...chunks];
    return Promise.resolve();
  }
}

export interface BedOptions extends CoreOptions {
  kind?: "datagrams" | "stream";
  station?: Partial<StationOptions>;
}

/** One vehicle, one client. */
export class Bed {
  readonly virtual = new VirtualClock();
  readonly clock: Clock;
  readonly core: AutopilotCore;
  experience: Experience = newExperience();
  readonly journal: SessionJournal & { session: { systemId: number; session: number } | undefined };
  readonly random: () => number;
  readonly logs: string[] = [];
  station!: Station;
  session!: FtpSession;
  /** Frames that left us, with the time. */
  readonly sent: { atMs: number; frame: Uint8Array }[] = [];
  readonly #options: BedOptions;

  constructor(options: BedOptions) {
    const { virtual } = this;
    this.#options = options;
    this.clock = {
      nowMs: virtual.now,
      after(delayMs, run) {
        const id = virtual.setTimeout(run, delayMs);
        return () => virtual.clearTimeout(id);
      },
    };
    this.random = seeded(options.seed ?? 1);
    this.core = new AutopilotCore(
      { wallMs: () => 1.7e12 + virtual.now(), ...options },
      virtual.scheduler,
      options.kind,
    );
    const journal = {
      session: undefined as { systemId: number; session: number } | undefined,
      setSession(session: { systemId: number; session: number } | undefined) {
        journal.session = session;
      },
    };
    this.journal = journal;
    this.connect();
  }

  /** A new process of ours on the same link. */
  connect(): void {
    const { kind = "datagrams" } = this.#options;
    this.experience = newExperience();
    const station = new Station({
      clock: this.clock,
      random: this.random,
      ownSystemId: 245,
      settleMs: 0,
      port: {
        isOrdered: kind === "stream",
        isDatagram: kind === "datagrams",
        send: (frame) => {
          if (this.station !== station) return;
          this.sent.push({ atMs: this.clock.nowMs(), frame });
          this.core.receive(frame);
        },
      },
      ...this.#options.station,
    });
    this.station = station;
    this.core.onOutput = (bytes) => {
      if (this.station === station) station.receive(bytes);
    };
    this.session = new FtpSession(station, this.journal);
    station.start();
  }

  /** Waits for the vehicle. */
  async ready(): Promise<void> {
    await this.virtual.run(this.station.ready({ heardMs: 10_000, settleMs: 60_000 }));
  }

  /** The options of a transfer of `path`. */
  options(path: string, more: Partial<TransferOptions> = {}): TransferOptions {
    const { random, logs } = this;
    return {
      station: this.station,
      session: this.session,
      experience: this.experience,
      path: new TextEncoder().encode(path),
      sizeBytes: undefined,
      landing: new MemoryLanding(),
      ahead: new MemoryAhead(),
      takeover: false,
      signal: new AbortController().signal,
      throttle: () => Promise.resolve(),
      onLandingReady: () => {},
      progress: () => {},
      log: (level, message) => logs.push(`${level}: ${message}`),
      random,
      ...more,
    };
  }

  /** Fetches `path` in virtual time. */
  async fetch(
    path: string,
    more: Partial<TransferOptions> = {},
  ): Promise<{ bytes: Uint8Array; result: TransferResult; tookMs: number }> {
    const options = this.options(path, more);
    const startMs = this.clock.nowMs();
    const result = await this.virtual.run(transfer(options));
    return {
      bytes: (options.landing as MemoryLanding).bytes(),
      result,
      tookMs: this.clock.nowMs() - startMs,
    };
  }
}
