/**
 * Reads an open file: bursts, holes filled by reads in flight beside them, whatever is lost, doubled or out of order.
 * Each packet is placed by its offset. Promises that what it hands out is in order, without a gap, and, where another
 * ground station can put another file under our session, compared with what was read before.
 *
 * A machine without timers or sockets of its own: time comes from the channel's clock, packets from its `onData`.
 */
import { type BurstEnd, Bursts } from "./bursts.ts";
import { SEQ_JUMP } from "./channel.ts";
import { addSeq, DATA_BYTES_MAX, type FtpReply, NAK, nakCode, nakWords, OPCODE, seqDistance } from "./ftp_codec.ts";
import { AHEAD_BYTES_MAX, Assembly, type Chunk } from "./assembly.ts";
import { judgeProof, proofBy } from "./proof.ts";
import type { ReadCounters, ReadEnd, ReaderOptions } from "./reading.ts";
import { type Asked, Reads, REORDER_PACKETS } from "./reads.ts";

/** Bursts wait while so much is held behind a hole, bytes. */
const AHEAD_BYTES_HIGH = 512 * 1024;
/** A proof is asked for after so many bytes of bursts: what a theft or a kill may cost. */
const PROOF_BYTES = 8 * 1024;
/** And of reads, where little is under way and each request takes its share of the link. */
const PROOF_BYTES_OF_READS = 16 * 1024;
/** A hole of so many chunks is fetched by a burst of its own. */
const BIG_HOLE_CHUNKS = 24;
/** A burst that has less left of the file is not replaced, bytes. */
const RELAY_REST_BYTES = 4 * DATA_BYTES_MAX;
/** PX4 closes a session after 10 s without a request; asked this often, milliseconds. */
const KEEP_ALIVE_MS = 3000;
/** Without a new byte for so long the session counts as lost, milliseconds. */
const STALL_MS = 30_000;
/** Refusals of one kind that are taken for an accident. */
const REFUSALS_MAX = 3;
/** How far behind the newest packet one may come: a quarter of the circle. */
const FLOOR_SEQS = 16_384;

export class Reader {
  readonly #options: ReaderOptions;
  readonly #assembly: Assembly;
  readonly #bursts: Bursts;
  readonly #reads: Reads;
  readonly #gaps: { start: number; confirmAt: number }[] = [];
  #repairs = 0;
  readonly finished: Promise<ReadEnd>;
  #finish!: (end: ReadEnd) => void;
  #end: ReadEnd | undefined;
  /** Bursts have come so far; what is missing below is a hole. */
  #front: number;
  #packets = 0;
  #bytesSinceAnchor = 0;
  #isAnchoring = false;
  #readsOnly: boolean;
  /** Bytes of one read. */
  #chunkBytes: number;
  /** Older numbers are not believed; it follows, since numbers wrap within one file. */
  #floorSeq: number;
  #refusals = 0;
  #newByteMs: number;
  #cancelTimer: () => void = () => {};
  #timerAtMs = Infinity;

  constructor(options: ReaderOptions) {
    this.#options = options;
    const { startBytes, ahead = [], traits, channel, session, isOrdered, chunkBytes = DATA_BYTES_MAX } = options;
    this.finished = new Promise((resolve) => this.#finish = resolve);
    this.#newByteMs = channel.clock.nowMs();
    this.#assembly = new Assembly({
      startBytes,
      ahead,
      anchor: options.anchor,
      isCompared: traits.isStealable,
      onBytes: options.onBytes,
      onAhead: options.onAhead,
      onLevel: options.onLevel,
    });
    this.#bytesSinceAnchor = ahead.length === 0 ? 0 : Infinity;
    this.#readsOnly = options.readsOnly ?? false;
    this.#chunkBytes = chunkBytes;
    this.#bursts = new Bursts({ channel, traits, session, chunkBytes, onEnd: (end) => this.#onBurstEnd(end) });
    this.#reads = new Reads({
      channel,
      session,
      windowMax: traits.windowMax,
      patienceMs: traits.isInterruptible ? 0 : traits.silenceMinMs,
      isWide: this.#readsOnly,
      isOrdered,
      onLost: (asked) => this.#onReadLost(asked),
    });
    this.#floorSeq = options.sinceSeq;
    // What an earlier reading left out is a hole; bursts go on behind all that is held.
    this.#front = this.#readsOnly ? options.sizeBytes : this.#assembly.heldEnd;
  }

  get counters(): ReadCounters {
    const { doubledBytes } = this.#assembly;
    const { count: bursts, lostCount: lostBursts } = this.#bursts;
    return { bursts, reads: this.#reads.count, repairs: this.#repairs, lostBursts, doubledBytes };
  }

  /** Pieces that were received and not handed out, the last one received at the end. */
  get ahead(): Chunk[] {
    return this.#assembly.ahead;
  }

  /** The newest piece that was handed out, or that was given to compare with. */
  get anchor(): Chunk | undefined {
    return this.#assembly.lastOut;
  }

  /** Whether bursts were given up, since they take too long to be stopped when the vehicle is armed. */
  get readsOnly(): boolean {
    return this.#readsOnly;
  }

  start(): void {
    this.#options.channel.onData = (reply) => this.#receive(reply);
    this.#next();
  }

  /** More may be asked for. */
  poke(): void {
    if (this.#end === undefined) this.#next();
  }

  /** Asks for nothing more. */
  stop(): void {
    this.#conclude({ kind: "stopped" });
  }

  #conclude(end: ReadEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#cancelTimer();
    this.#options.channel.onData = undefined;
    this.#finish(end);
  }

  get #nowMs(): number {
    return this.#options.channel.clock.nowMs();
  }

  // What comes in.

  #receive(reply: FtpReply): void {
    const { session, sizeBytes } = this.#options;
    // Packets of an earlier file carry the same session on PX4: their numbers are older.
    if (reply.session !== session || seqDistance(reply.seq, this.#floorSeq) <= 0) return;
    this.#raiseFloor(reply.seq);
    if (!reply.isAck) {
      this.#onNak(reply);
    } else if (reply.size > 0 && reply.size <= DATA_BYTES_MAX) {
      if (reply.offset < sizeBytes) this.#onPacket(reply);
      else if (this.#options.traits.isStealable) {
        this.#conclude({ kind: "stolen", reason: `Byte ${reply.offset} came of a file of ${sizeBytes}` });
      }
    }
    if (this.#end === undefined) this.#next();
  }

  /** Numbers that are far behind `seq`, which was sent or heard, are old: sent ones count, for answers may all be lost. */
  #raiseFloor(seq: number): void {
    if (seqDistance(seq, this.#floorSeq) > FLOOR_SEQS) this.#floorSeq = addSeq(seq, -FLOOR_SEQS);
  }

  #onPacket(reply: FtpReply): void {
    const { sizeBytes, isOrdered, onReceived } = this.#options;
    const { data, offset } = reply;
    const end = Math.min(offset + data.length, sizeBytes);
    onReceived?.(data.length);
    const isBurst = reply.requestOpcode === OPCODE.BURST;
    const asked = this.#reads.get(reply.seq);
    if (isBurst && !this.#options.traits.isInterruptible && asked !== undefined) {
      // ArduPilot's memory of its last packet answers our read: its bytes, but not its offset.
      this.#reads.lose(asked);
      return this.#options.channel.skip(SEQ_JUMP);
    }
    if (!isBurst && asked !== undefined && !this.#onReadReply(reply, asked)) return;
    // Too far ahead to be kept: as if it had never come.
    if (end > this.#assembly.outBytes + AHEAD_BYTES_MAX) return;
    this.#store(offset, data.subarray(0, end - offset));
    if (!isBurst) return;
    this.#packets++;
    if (!this.#readsOnly && end > this.#front) {
      if (offset > this.#front) {
        this.#gaps.push({ start: this.#front, confirmAt: this.#packets + (isOrdered ? 0 : REORDER_PACKETS) });
      }
      this.#front = end;
    }
    this.#bursts.take(reply, end);
    if (!this.#options.traits.isBounded && this.#assembly.heldBackBytes > AHEAD_BYTES_HIGH) {
      this.#conclude({ kind: "lost", reason: "Burst does not end while a hole waits" });
    }
  }

  /** @returns whether the data is to be kept: that of a comparison is not */
  #onReadReply(reply: FtpReply, asked: Asked): boolean {
    this.#reads.answer(asked);
    if (asked.proof !== undefined) {
      this.#isAnchoring = false;
      const end = judgeProof(asked.proof, reply, this.#options.sizeBytes);
      if (end === undefined) this.#assembly.prove(asked.proof.mark);
      else this.#conclude(end);
      return false;
    }
    // PX4 before 1.17 sends what fits, whatever was asked for: small reads would only bring it twice.
    if (reply.data.length > asked.size && asked.size === this.#chunkBytes) this.#chunkBytes = DATA_BYTES_MAX;
    this.#uncover(asked, { start: reply.offset, end: reply.offset + reply.data.length });
    return true;
  }

  #onNak(reply: FtpReply): void {
    const code = nakCode(reply);
    const asked = reply.requestOpcode === OPCODE.READ ? this.#reads.get(reply.seq) : undefined;
    const burst = reply.requestOpcode === OPCODE.BURST ? this.#bursts.of(reply) : undefined;
    if (asked === undefined && burst === undefined) return;
    if (asked !== undefined) {
      this.#reads.drop(asked);
      if (asked.proof !== undefined) this.#isAnchoring = false;
      this.#uncover(asked);
    }
    if (code === NAK.EOF) {
      if (asked !== undefined) return this.#conclude({ kind: "short" });
      // What the burst did not bring is a hole; the size says where the file ends.
      if (burst !== undefined) {
        if (burst.packets === 0 && burst.start < this.#options.sizeBytes && ++this.#refusals > REFUSALS_MAX) {
          return this.#conclude({ kind: "short" });
        }
        if (this.#front < this.#options.sizeBytes && burst.until === undefined) {
          this.#gaps.push({ start: this.#front, confirmAt: 0 });
          this.#front = this.#options.sizeBytes;
        }
        this.#bursts.end(undefined, true);
      }
      return;
    }
    if (code === NAK.SESSION || code === NAK.NOT_FOUND || code === NAK.NO_SESSIONS) {
      return this.#conclude({ kind: "lost", reason: nakWords(reply) });
    }
    if (burst !== undefined) this.#bursts.end(undefined);
    if (++this.#refusals > REFUSALS_MAX) this.#conclude({ kind: "refused", reason: nakWords(reply) });
  }

  #store(offset: number, data: Uint8Array): void {
    const newBytes = this.#assembly.place(offset, data);
    if (newBytes === 0) return;
    this.#newByteMs = this.#nowMs;
    this.#refusals = 0;
    this.#bytesSinceAnchor += newBytes;
    this.#reads.dropFilled(offset, offset + data.length, (start, end) => this.#assembly.has(start, end));
  }

  // What goes out.

  #next(): void {
    const { sizeBytes, mayAsk } = this.#options;
    if (this.#assembly.outBytes >= sizeBytes) return this.#conclude({ kind: "done" });
    try {
      const isWhole = this.#assembly.has(this.#assembly.outBytes, sizeBytes);
      if (mayAsk()) {
        if (!isWhole) {
          this.#askForHoles();
          this.#askForBurst();
          this.#askForNextBurst();
        }
        this.#askForProof(isWhole);
      }
    } catch {
      // The gate shut or the link broke meanwhile: whoever owns the reader hears of it and stops it.
      return;
    }
    this.#schedule();
  }

  /** Below this, what is missing was lost. */
  get #confirmedEnd(): number {
    while (this.#gaps.length > 0 && this.#gaps[0]!.confirmAt <= this.#packets) this.#gaps.shift();
    return this.#gaps[0]?.start ?? this.#front;
  }

  #askForHoles(): void {
    const { traits } = this.#options;
    if (this.#bursts.current !== undefined && !traits.isInterruptible) return;
    const end = Math.min(this.#confirmedEnd, this.#assembly.outBytes + AHEAD_BYTES_MAX - DATA_BYTES_MAX);
    while (this.#reads.hasRoom && this.#options.mayAsk()) {
      const hole = this.#assembly.firstMissing(end);
      if (hole === undefined) return;
      const size = Math.min(this.#chunkBytes, hole.end - hole.start);
      this.#raiseFloor(this.#reads.ask(hole.start, size));
      this.#assembly.cover(hole.start, hole.start + size);
      if (!this.#readsOnly) this.#repairs++;
    }
  }

  #askForBurst(): void {
    const { traits, sizeBytes } = this.#options;
    if (this.#readsOnly || this.#bursts.current !== undefined || this.#assembly.heldBackBytes > AHEAD_BYTES_HIGH) {
      return;
    }
    // A server with one queue takes the burst behind the reads; one of its places stays free.
    if (!traits.isInterruptible && this.#assembly.firstMissing(this.#confirmedEnd) !== undefined) return;
    const hole = traits.isInterruptible ? this.#bigHole() : undefined;
    if (hole !== undefined) {
      this.#assembly.cover(hole.start, hole.end);
      return this.#raiseFloor(this.#bursts.start(hole.start, hole.end));
    }
    this.#front = Math.min(sizeBytes, this.#assembly.heldUntil(this.#front));
    if (this.#front >= sizeBytes) return;
    if (sizeBytes - this.#front <= 2 * this.#chunkBytes) {
      // Too little for a burst.
      this.#gaps.push({ start: this.#front, confirmAt: 0 });
      this.#front = sizeBytes;
      return this.#askForHoles();
    }
    this.#raiseFloor(this.#bursts.start(this.#front));
  }

  #bigHole(): { start: number; end: number } | undefined {
    const hole = this.#assembly.firstMissing(this.#confirmedEnd);
    return hole !== undefined && hole.end - hole.start > BIG_HOLE_CHUNKS * DATA_BYTES_MAX ? hole : undefined;
  }

  /** So that nothing waits for the way there and back between two bursts. */
  #askForNextBurst(): void {
    const start = this.#bursts.relayAt;
    if (start === undefined || this.#readsOnly || this.#assembly.heldBackBytes > AHEAD_BYTES_HIGH) return;
    if (start + RELAY_REST_BYTES < this.#options.sizeBytes) this.#raiseFloor(this.#bursts.relay(start));
  }

  #onBurstEnd({ burst, isRelayed }: BurstEnd): void {
    if (burst.until !== undefined) this.#assembly.uncover(burst.start, burst.until);
    if (isRelayed) return;
    if (burst.packets > 0 && burst.lastMs - burst.firstMs > this.#options.traits.burstMsMax) this.#readOnly();
    // Nothing comes any more: all gaps are losses.
    for (const gap of this.#gaps) gap.confirmAt = Math.min(gap.confirmAt, this.#packets);
  }

  #readOnly(): void {
    this.#readsOnly = true;
    this.#chunkBytes = DATA_BYTES_MAX;
    if (this.#front < this.#options.sizeBytes) this.#gaps.push({ start: this.#front, confirmAt: 0 });
    this.#front = this.#options.sizeBytes;
  }

  /** Asks for what proves that all that came before the question is of this file. */
  #askForProof(isWhole: boolean): void {
    const { anchor, isUnproven, mark } = this.#assembly;
    if (this.#isAnchoring || !isUnproven) return;
    const everyBytes = this.#readsOnly ? PROOF_BYTES_OF_READS : PROOF_BYTES;
    if (anchor !== undefined && !isWhole && this.#bytesSinceAnchor < everyBytes) return;
    if (this.#bursts.current !== undefined && !this.#options.traits.isInterruptible) return;
    this.#isAnchoring = true;
    this.#bytesSinceAnchor = 0;
    const proof = proofBy(anchor, this.#options.sizeBytes, mark);
    this.#raiseFloor(this.#reads.ask(proof.at, proof.size, proof));
  }

  // Time.

  #uncover(asked: Asked, except?: { start: number; end: number }): void {
    if (asked.proof !== undefined) return;
    const end = asked.at + asked.size;
    if (except !== undefined && except.start <= asked.at && except.end >= end) return;
    this.#assembly.uncover(asked.at, end);
  }

  #onReadLost(asked: Asked): void {
    if (asked.proof !== undefined) {
      this.#isAnchoring = false;
      this.#bytesSinceAnchor = Infinity;
    }
    this.#uncover(asked);
  }

  #schedule(): void {
    const nowMs = this.#nowMs;
    const { channel, traits } = this.#options;
    const { silentAtMs } = this.#bursts;
    let atMs = Math.min(this.#newByteMs + STALL_MS, this.#reads.deadlineMs, silentAtMs ?? Infinity);
    if (silentAtMs !== undefined && traits.needsKeepAlive) atMs = Math.min(atMs, channel.sentMs + KEEP_ALIVE_MS);
    // A timer that is early looks again; only an earlier one has to be set.
    if (this.#timerAtMs <= atMs && this.#timerAtMs > nowMs) return;
    this.#cancelTimer();
    this.#timerAtMs = atMs;
    this.#cancelTimer = this.#options.channel.clock.after(Math.max(0.5, atMs - nowMs), () => this.#onTimer());
  }

  #onTimer(): void {
    this.#timerAtMs = Infinity;
    if (this.#end !== undefined) return;
    const nowMs = this.#nowMs;
    const { channel, traits, session } = this.#options;
    if (nowMs - this.#newByteMs >= STALL_MS) {
      if (this.#options.mayAsk()) return this.#conclude({ kind: "stalled" });
      this.#newByteMs = nowMs;
    }
    const lostCount = this.#reads.expire();
    const { current, silentAtMs } = this.#bursts;
    if (lostCount > 0 && current === undefined && nowMs - this.#newByteMs > channel.rtt.rtoMs) channel.rtt.backOff();
    if (silentAtMs !== undefined && nowMs >= silentAtMs) {
      this.#bursts.giveUp();
    } else if (current !== undefined && traits.needsKeepAlive && nowMs - channel.sentMs >= KEEP_ALIVE_MS) {
      try {
        channel.post({ opcode: OPCODE.NONE, session });
      } catch {
        return;
      }
    }
    this.#next();
  }
}
