/** The reads that are under way at once: how many may be, which of them are lost, and how long their answers take. */
import type { FtpChannel } from "./channel.ts";
import { addSeq, DATA_BYTES_MAX, OPCODE, seqDistance } from "./ftp_codec.ts";
import type { Proof } from "./proof.ts";

/** Packets that must come after a missing one before it counts as lost, on links that may change the order. */
export const REORDER_PACKETS = 3;
const WINDOW_START = 4;
const WINDOW_MIN = 2;

/** A read that is under way. */
export interface Asked {
  /** Of the answer. */
  readonly seq: number;
  readonly at: number;
  readonly size: number;
  readonly sentMs: number;
  readonly deadlineMs: number;
  /** Answers to later reads that came before this one's. */
  passed: number;
  /** For a proof that the file is ours. */
  readonly proof: Proof | undefined;
}

export interface ReadsOptions {
  channel: FtpChannel;
  session: number;
  /** Most of them at once. */
  windowMax: number;
  /** How much later than others an answer may come, since the server waits for room on its link, milliseconds. */
  patienceMs: number;
  /** As many as that from the start: where there is nothing but reads. */
  isWide: boolean;
  /** Nothing changes the order on this link. */
  isOrdered: boolean;
  /** Called with each read that gets no answer any more. */
  onLost: (asked: Asked) => void;
}

export class Reads {
  readonly #options: ReadsOptions;
  readonly #asked = new Map<number, Asked>();
  #window: number;
  /** Reads asked for. */
  count = 0;

  constructor(options: ReadsOptions) {
    this.#options = options;
    this.#window = options.isWide ? options.windowMax : WINDOW_START;
  }

  get hasRoom(): boolean {
    return this.#asked.size < Math.max(WINDOW_MIN, Math.floor(this.#window));
  }

  /** The read that the answer with this number belongs to. */
  get(seq: number): Asked | undefined {
    return this.#asked.get(seq);
  }

  /** @returns the number of the request */
  ask(at: number, size: number, proof?: Proof): number {
    const { channel, session, patienceMs } = this.#options;
    const requestSeq = channel.post({ opcode: OPCODE.READ, session, offset: at, size });
    const seq = addSeq(requestSeq, 1);
    const sentMs = channel.clock.nowMs();
    this.#asked.set(seq, {
      seq,
      at,
      size,
      sentMs,
      deadlineMs: sentMs + channel.rtt.rtoMs + patienceMs,
      passed: 0,
      proof,
    });
    this.count++;
    return requestSeq;
  }

  /** It was answered with data. */
  answer(asked: Asked): void {
    const { channel, windowMax } = this.#options;
    this.#asked.delete(asked.seq);
    channel.rtt.sample(channel.clock.nowMs() - asked.sentMs);
    this.#overtake(asked);
    if (asked.proof === undefined) this.#window = Math.min(windowMax, this.#window + 1 / this.#window);
  }

  /** Reads are answered in their order: one whose later ones were answered is lost. */
  #overtake(answered: Asked): void {
    for (const other of this.#asked.values()) {
      if (seqDistance(other.seq, answered.seq) > 0) continue;
      other.passed++;
      if (this.#options.isOrdered || other.passed >= REORDER_PACKETS) this.lose(other);
    }
  }

  /** It was refused, or is of no use any more. */
  drop(asked: Asked): void {
    this.#asked.delete(asked.seq);
  }

  lose(asked: Asked): void {
    this.#asked.delete(asked.seq);
    this.#options.onLost(asked);
  }

  /** Reads of `[start, end)` whose bytes came another way need no answer. */
  dropFilled(start: number, end: number, isHeld: (start: number, end: number) => boolean): void {
    for (const asked of this.#asked.values()) {
      if (asked.proof !== undefined || asked.at < start - DATA_BYTES_MAX || asked.at >= end) continue;
      if (isHeld(asked.at, asked.at + asked.size)) this.#asked.delete(asked.seq);
    }
  }

  /** When the first of them counts as lost. */
  get deadlineMs(): number {
    let atMs = Infinity;
    for (const { deadlineMs } of this.#asked.values()) atMs = Math.min(atMs, deadlineMs);
    return atMs;
  }

  /** Gives up those that are overdue. @returns how many */
  expire(): number {
    const nowMs = this.#options.channel.clock.nowMs();
    let count = 0;
    for (const asked of this.#asked.values()) {
      if (asked.deadlineMs > nowMs) continue;
      this.lose(asked);
      count++;
    }
    this.#window = Math.max(WINDOW_MIN, this.#window - count / 2);
    return count;
  }
}
