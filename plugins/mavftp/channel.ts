/**
 * Requests and answers of MAVLink FTP with one autopilot: sequence numbers, repeats, time-outs. Nothing is sent while
 * the flight gate is shut.
 *
 * Sequence numbers start at random and always stay above all that was sent and received: PX4 answers a request whose
 * number plus one is that of its last small reply with that reply, whatever was asked.
 */
import { DriverError } from "../../lib/driver/mod.ts";
import type { Clock } from "./clock.ts";
import { addSeq, type FtpReply, type FtpRequest, nakCode, OPCODE, parseReply, seqDistance } from "./ftp_codec.ts";
import { RttEstimator } from "./rtt.ts";

/** Asked so often before the autopilot counts as mute. */
const TRIES = 8;
/** An SD card may take so long to find a file, milliseconds. */
const FILE_TIMEOUT_MIN_MS = 400;
/** After a silence the server may be ahead of what was heard: so far that no answer of then is met again. */
export const SEQ_JUMP = 4096;
/** PX4 compares sequence numbers without wrapping: a repeat of the last one is never recognized. */
const SEQ_LAST = 65535;

/** What a request needs beside its fields. */
export interface AskOptions {
  signal?: AbortSignal | undefined;
  /** Time-out of the first try, milliseconds. @default {the link's} */
  timeoutMs?: number;
  /** @default {8} */
  tries?: number;
  /**
   * Repeats keep their number, so that the server answers from its memory: for requests that have an effect or are
   * costly. Others get a new one, so that each try measures the link.
   */
  keepSeq?: boolean;
}

interface Pending {
  opcode: number;
  sentMs: Map<number, number>;
  isRepeated: boolean;
  resolve: (reply: FtpReply) => void;
  reject: (error: unknown) => void;
  askAgain: () => void;
}

export interface FtpChannelOptions {
  clock: Clock;
  /** A number in [0, 1). */
  random: () => number;
  /** Sends a request; throws when the gate is shut or the link is gone. */
  send: (request: FtpRequest) => void;
  rtt?: RttEstimator;
}

export class FtpChannel {
  readonly clock: Clock;
  readonly rtt: RttEstimator;
  /** Gets each answer to a read, but those that {@linkcode ask} waits for. */
  onData: ((reply: FtpReply) => void) | undefined;
  readonly #send: (request: FtpRequest) => void;
  readonly #pending = new Map<number, Pending>();
  #lastSent: number;
  #lastReceived: number;
  /** Requests sent. */
  sentCount = 0;
  /** When the last request went out. */
  sentMs = -Infinity;

  constructor({ clock, random, send, rtt }: FtpChannelOptions) {
    this.clock = clock;
    this.rtt = rtt ?? new RttEstimator();
    this.#send = send;
    this.#lastSent = Math.floor(random() * SEQ_LAST);
    this.#lastReceived = this.#lastSent;
  }

  /** The number that the next request gets, `jump` beyond what is known of both sides. */
  #nextSeq(jump: number): number {
    const ahead = seqDistance(this.#lastReceived, this.#lastSent) > 0 ? this.#lastReceived : this.#lastSent;
    const seq = addSeq(ahead, 1 + jump);
    return seq === SEQ_LAST ? 0 : seq;
  }

  /** Sends a request whose answer goes to `onData`. @returns its number; the answer has the next one */
  post(request: Omit<FtpRequest, "seq">, jump: number = 0): number {
    const seq = this.#nextSeq(jump);
    this.#transmit({ ...request, seq });
    return seq;
  }

  /** The next number is at least `count` further on. */
  skip(count: number): void {
    this.#lastSent = this.#nextSeq(count);
  }

  /** A number for a request that is sent past this channel. */
  takeSeq(): number {
    this.#lastSent = this.#nextSeq(0);
    return this.#lastSent;
  }

  #transmit(request: FtpRequest): void {
    this.#send(request);
    this.#lastSent = request.seq;
    this.sentCount++;
    this.sentMs = this.clock.nowMs();
  }

  /**
   * Asks and waits for the answer, ACK or NAK.
   * @throws {DriverError} `unavailable` when none comes; whatever ends the conversation
   */
  async ask(request: Omit<FtpRequest, "seq">, options: AskOptions = {}): Promise<FtpReply> {
    const { signal, tries = TRIES, keepSeq = false } = options;
    signal?.throwIfAborted();
    const { clock } = this;
    let cancelTimer = () => {};
    let onAbort = () => {};
    const seqs: number[] = [];
    try {
      return await new Promise<FtpReply>((resolve, reject) => {
        let tryCount = 0;
        const pending: Pending = {
          opcode: request.opcode,
          sentMs: new Map(),
          isRepeated: false,
          resolve,
          reject,
          askAgain: () => attempt(SEQ_JUMP, true),
        };
        onAbort = () => reject(signal?.reason);
        signal?.addEventListener("abort", onAbort, { once: true });
        const attempt = (jump: number, isNew: boolean): void => {
          cancelTimer();
          if (tryCount === tries) {
            reject(new DriverError("unavailable", `Autopilot does not answer ${opcodeWord(request.opcode)}`));
            return;
          }
          try {
            const seq = isNew || !keepSeq ? this.#nextSeq(jump) : seqs.at(-1)!;
            if (tryCount > 0 && !isNew && keepSeq) pending.isRepeated = true;
            this.#transmit({ ...request, seq });
            seqs.push(seq);
            this.#pending.set(addSeq(seq, 1), pending);
            pending.sentMs.set(addSeq(seq, 1), clock.nowMs());
          } catch (error) {
            return reject(error);
          }
          const baseMs = options.timeoutMs ??
            (isQuick(request.opcode) ? this.rtt.rtoMs : Math.max(this.rtt.rtoMs, FILE_TIMEOUT_MIN_MS));
          const waitMs = Math.min(baseMs * 2 ** Math.min(tryCount, 4), Math.max(baseMs, 5000));
          tryCount++;
          cancelTimer = clock.after(waitMs, () => attempt(keepSeq ? 0 : 1, false));
        };
        attempt(0, true);
      });
    } finally {
      cancelTimer();
      signal?.removeEventListener("abort", onAbort);
      for (const seq of seqs) this.#pending.delete(addSeq(seq, 1));
    }
  }

  /** Takes message 110. */
  receive(message: Uint8Array): void {
    const reply = parseReply(message);
    if (reply === undefined) return;
    if (seqDistance(reply.seq, this.#lastReceived) > 0 || this.sentCount === 0) this.#lastReceived = reply.seq;
    this.rtt.hear();
    const pending = this.#pending.get(reply.seq);
    if (pending !== undefined) {
      if (pending.opcode === reply.requestOpcode) {
        const sentMs = pending.sentMs.get(reply.seq);
        if (sentMs !== undefined && !pending.isRepeated && isQuick(pending.opcode)) {
          this.rtt.sample(this.clock.nowMs() - sentMs);
        }
        pending.resolve(reply);
        return;
      }
      // Another opcode under our number: PX4's memory of its last reply speaks.
      if (reply.requestOpcode !== OPCODE.BURST && reply.requestOpcode !== OPCODE.READ) return pending.askAgain();
    }
    if (reply.requestOpcode === OPCODE.READ || reply.requestOpcode === OPCODE.BURST) this.onData?.(reply);
  }

  /** Ends all that waits: the gate is shut, the link is gone. */
  abort(error: DriverError): void {
    for (const pending of new Set(this.#pending.values())) pending.reject(error);
    this.#pending.clear();
  }
}

/** Answered from memory or an open file, so that its time is that of the link. */
function isQuick(opcode: number): boolean {
  return opcode === OPCODE.READ || opcode === OPCODE.TERMINATE || opcode === OPCODE.RESET || opcode === OPCODE.NONE;
}

const WORDS: Readonly<Record<number, string>> = {
  [OPCODE.TERMINATE]: "the end of a session",
  [OPCODE.RESET]: "the reset of sessions",
  [OPCODE.LIST]: "a listing",
  [OPCODE.LIST_WITH_TIME]: "a listing",
  [OPCODE.OPEN]: "the opening of a file",
  [OPCODE.READ]: "a read",
  [OPCODE.REMOVE]: "the removal of a file",
  [OPCODE.CRC]: "a checksum",
};

function opcodeWord(opcode: number): string {
  return WORDS[opcode] ?? `file transfer request ${opcode}`;
}

/** Whether `reply` is a NAK of one of `codes`. */
export function isNak(reply: FtpReply, ...codes: number[]): boolean {
  return !reply.isAck && (codes.length === 0 || codes.includes(nakCode(reply)));
}
