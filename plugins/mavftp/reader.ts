/**
 * Reads an open file: bursts, holes filled by reads in flight beside them, whatever is lost, doubled or out of order.
 * Each packet is placed by its offset. Promises that what it hands out is in order, without a gap, and, where another
 * ground station can put another file under our session, compared with what was read before.
 *
 * A machine without timers or sockets of its own: time comes from the channel's clock, packets from its `onData`.
 */
import { SEQ_JUMP } from "./channel.ts";
import { addSeq, DATA_BYTES_MAX, type FtpReply, NAK, nakCode, nakWords, OPCODE, seqDistance } from "./ftp_codec.ts";
import { AHEAD_BYTES_MAX, Assembly, type Chunk } from "./assembly.ts";
import { judgeProof, type Proof, proofBy } from "./proof.ts";
import type { Asked, Burst, ReadCounters, ReadEnd, ReaderOptions } from "./reading.ts";

/** Bursts wait while so much is held behind a hole, bytes. */
const AHEAD_BYTES_HIGH = 512 * 1024;
/** A comparison is asked for after so many bytes: what a theft may cost. */
const ANCHOR_BYTES = 16 * 1024;
/** Packets that must come after a gap before it counts as a loss, on links that may change the order. */
const REORDER_PACKETS = 3;
/** The time between packets is known after so many. */
const GAP_PACKETS = 16;
/** A hole of so many chunks is fetched by a burst of its own. */
const BIG_HOLE_CHUNKS = 24;
/** Sequence numbers between two bursts, so that their packets cannot be mixed up. */
const BURST_SEQ_JUMP = 1024;
/** PX4 closes a session after 10 s without a request; asked this often, milliseconds. */
const KEEP_ALIVE_MS = 3000;
/** Without a new byte for so long the session counts as lost, milliseconds. */
const STALL_MS = 30_000;
/** Refusals of one kind that are taken for an accident. */
const REFUSALS_MAX = 3;
/** How far behind the newest packet one may come: a quarter of the circle. */
const FLOOR_SEQS = 16_384;
const WINDOW_START = 4;
const WINDOW_MIN = 2;

export class Reader {
  readonly #options: ReaderOptions;
  readonly #assembly: Assembly;
  readonly #asked = new Map<number, Asked>();
  readonly #gaps: { start: number; confirmAt: number }[] = [];
  readonly #counters = { bursts: 0, reads: 0, repairs: 0, lostBursts: 0 };
  readonly finished: Promise<ReadEnd>;
  #finish!: (end: ReadEnd) => void;
  #end: ReadEnd | undefined;
  /** Bursts have come so far; what is missing below is a hole. */
  #front: number;
  #burst: Burst | undefined;
  #lastBurst: { seq: number; flaggedSeq: number | undefined } | undefined;
  #burstLies = 0;
  #packets = 0;
  #bytesSinceAnchor = 0;
  #isAnchoring = false;
  #readsOnly: boolean;
  /** Older numbers are not believed; it follows, since numbers wrap within one file. */
  #floorSeq: number;
  #window = WINDOW_START;
  #gapMs = 10;
  #silences = 0;
  #refusals = 0;
  #newByteMs: number;
  #cancelTimer: () => void = () => {};
  #timerAtMs = Infinity;

  constructor(options: ReaderOptions) {
    this.#options = options;
    const { startBytes, ahead = [], traits, channel } = options;
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
    this.#bytesSinceAnchor = ahead.length === 0 ? 0 : ANCHOR_BYTES;
    this.#readsOnly = options.readsOnly ?? false;
    if (this.#readsOnly) this.#window = traits.windowMax;
    this.#floorSeq = options.sinceSeq;
    // What an earlier reading left out is a hole; bursts go on behind all that is held.
    this.#front = this.#readsOnly ? options.sizeBytes : this.#assembly.heldEnd;
  }

  get counters(): ReadCounters {
    return { ...this.#counters, doubledBytes: this.#assembly.doubledBytes };
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
    if (seqDistance(reply.seq, this.#floorSeq) > FLOOR_SEQS) this.#floorSeq = addSeq(reply.seq, -FLOOR_SEQS);
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

  #onPacket(reply: FtpReply): void {
    const { sizeBytes, isOrdered, onReceived } = this.#options;
    const { data, offset } = reply;
    const end = Math.min(offset + data.length, sizeBytes);
    onReceived?.(data.length);
    const isBurst = reply.requestOpcode === OPCODE.BURST;
    if (isBurst && !this.#options.traits.isInterruptible && this.#asked.has(reply.seq)) {
      // ArduPilot's memory of its last packet answers our read: its bytes, but not its offset.
      this.#giveUpRead(this.#asked.get(reply.seq)!);
      return this.#options.channel.skip(SEQ_JUMP);
    }
    if (!isBurst && !this.#onReadReply(reply)) return;
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
    this.#onBurstPacket(reply, end);
  }

  #onBurstPacket(reply: FtpReply, end: number): void {
    const burst = this.#burst;
    const nowMs = this.#nowMs;
    const last = this.#lastBurst;
    if (burst === undefined || seqDistance(reply.seq, burst.seq) <= 0) {
      // A burst that said that it is over goes on: its word is worth nothing.
      if (last?.flaggedSeq !== undefined && seqDistance(reply.seq, last.flaggedSeq) > 0) {
        last.flaggedSeq = undefined;
        this.#burstLies++;
      }
      return;
    }
    if (burst.packets === 0) {
      if (reply.seq === addSeq(burst.seq, 1)) this.#options.channel.rtt.sample(nowMs - burst.sentMs);
    } else {
      this.#gapMs = Math.max(nowMs - burst.lastMs, this.#gapMs * 0.99);
    }
    burst.packets++;
    burst.lastMs = nowMs;
    burst.front = Math.max(burst.front, end);
    this.#silences = 0;
    const { burstBytes, burstBytesMin } = this.#options.traits;
    const saysComplete = reply.burstComplete === 1 && this.#burstLies < 2 && end - burst.start > burstBytesMin;
    const isLong = burstBytes > 0 && burst.front - burst.start > burstBytes;
    const isPast = burst.until !== undefined && end >= burst.until;
    if (saysComplete || isLong || isPast) return this.#endBurst(saysComplete ? reply.seq : undefined);
    if (!this.#options.traits.isBounded && this.#assembly.heldBackBytes > AHEAD_BYTES_HIGH) {
      this.#conclude({ kind: "lost", reason: "Burst does not end while a hole waits" });
    }
  }

  /** @returns whether the data is to be kept: that of a comparison is not */
  #onReadReply(reply: FtpReply): boolean {
    const asked = this.#asked.get(reply.seq);
    if (asked === undefined) return true;
    this.#asked.delete(reply.seq);
    this.#options.channel.rtt.sample(this.#nowMs - asked.sentMs);
    this.#overtake(asked);
    if (asked.proof !== undefined) {
      this.#isAnchoring = false;
      const end = judgeProof(asked.proof, reply, this.#options.sizeBytes);
      if (end === undefined) this.#assembly.prove(asked.proof.mark);
      else this.#conclude(end);
      return false;
    }
    this.#window = Math.min(this.#options.traits.windowMax, this.#window + 1 / this.#window);
    this.#uncover(asked, { start: reply.offset, end: reply.offset + reply.data.length });
    return true;
  }

  /** Reads are answered in their order: one whose later ones were answered is lost. */
  #overtake(answered: Asked): void {
    for (const other of this.#asked.values()) {
      if (seqDistance(other.seq, answered.seq) > 0) continue;
      other.passed++;
      if (this.#options.isOrdered || other.passed >= REORDER_PACKETS) this.#giveUpRead(other);
    }
  }

  #onNak(reply: FtpReply): void {
    const code = nakCode(reply);
    const asked = reply.requestOpcode === OPCODE.READ ? this.#asked.get(reply.seq) : undefined;
    const burst = this.#burst;
    const isOfBurst = reply.requestOpcode === OPCODE.BURST && burst !== undefined &&
      seqDistance(reply.seq, burst.seq) > 0;
    if (reply.requestOpcode === OPCODE.READ && asked === undefined) return;
    if (asked !== undefined) {
      this.#asked.delete(reply.seq);
      if (asked.proof !== undefined) this.#isAnchoring = false;
      this.#uncover(asked);
    }
    if (code === NAK.EOF) {
      if (asked !== undefined) return this.#conclude({ kind: "short" });
      // What the burst did not bring is a hole; the size says where the file ends.
      if (isOfBurst) {
        if (burst.packets === 0 && burst.start < this.#options.sizeBytes && ++this.#refusals > REFUSALS_MAX) {
          return this.#conclude({ kind: "short" });
        }
        if (this.#front < this.#options.sizeBytes && burst.until === undefined) {
          this.#gaps.push({ start: this.#front, confirmAt: 0 });
          this.#front = this.#options.sizeBytes;
        }
        this.#endBurst(undefined, true);
      }
      return;
    }
    if (reply.requestOpcode === OPCODE.BURST && !isOfBurst) return;
    if (code === NAK.SESSION || code === NAK.NOT_FOUND || code === NAK.NO_SESSIONS) {
      return this.#conclude({ kind: "lost", reason: nakWords(reply) });
    }
    if (isOfBurst) this.#endBurst(undefined);
    if (++this.#refusals > REFUSALS_MAX) this.#conclude({ kind: "refused", reason: nakWords(reply) });
  }

  #store(offset: number, data: Uint8Array): void {
    const newBytes = this.#assembly.place(offset, data);
    if (newBytes === 0) return;
    this.#newByteMs = this.#nowMs;
    this.#refusals = 0;
    this.#bytesSinceAnchor += newBytes;
    this.#dropFilledReads(offset, offset + data.length);
  }

  /** A read whose bytes came another way needs no answer. */
  #dropFilledReads(start: number, end: number): void {
    for (const [seq, asked] of this.#asked) {
      if (asked.proof !== undefined || asked.at < start - DATA_BYTES_MAX || asked.at >= end) continue;
      if (this.#assembly.has(asked.at, asked.at + asked.size)) this.#asked.delete(seq);
    }
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
    const { traits, chunkBytes = DATA_BYTES_MAX } = this.#options;
    if (this.#burst !== undefined && !traits.isInterruptible) return;
    const end = Math.min(this.#confirmedEnd, this.#assembly.outBytes + AHEAD_BYTES_MAX - DATA_BYTES_MAX);
    const window = Math.max(WINDOW_MIN, Math.floor(this.#window));
    while (this.#asked.size < window && this.#options.mayAsk()) {
      const hole = this.#assembly.firstMissing(end);
      if (hole === undefined) return;
      const size = Math.min(chunkBytes, hole.end - hole.start);
      this.#askRead(hole.start, size, undefined);
      this.#assembly.cover(hole.start, hole.start + size);
      if (!this.#readsOnly) this.#counters.repairs++;
    }
  }

  #askRead(at: number, size: number, proof: Proof | undefined): void {
    const { channel, session } = this.#options;
    const seq = addSeq(channel.post({ opcode: OPCODE.READ, session, offset: at, size }), 1);
    const nowMs = this.#nowMs;
    this.#asked.set(seq, {
      seq,
      at,
      size,
      sentMs: nowMs,
      deadlineMs: nowMs + channel.rtt.rtoMs,
      passed: 0,
      proof,
    });
    this.#counters.reads++;
  }

  #askForBurst(): void {
    const { traits, sizeBytes, chunkBytes = DATA_BYTES_MAX } = this.#options;
    if (this.#readsOnly || this.#burst !== undefined || this.#assembly.heldBackBytes > AHEAD_BYTES_HIGH) return;
    // A server with one queue takes the burst behind the reads; one of its places stays free.
    if (!traits.isInterruptible && this.#assembly.firstMissing(this.#confirmedEnd) !== undefined) return;
    const hole = traits.isInterruptible ? this.#bigHole() : undefined;
    if (hole !== undefined) {
      this.#assembly.cover(hole.start, hole.end);
      return this.#startBurst(hole.start, hole.end);
    }
    this.#front = Math.min(sizeBytes, this.#assembly.heldUntil(this.#front));
    if (this.#front >= sizeBytes) return;
    if (sizeBytes - this.#front <= 2 * chunkBytes) {
      // Too little for a burst.
      this.#gaps.push({ start: this.#front, confirmAt: 0 });
      this.#front = sizeBytes;
      return this.#askForHoles();
    }
    this.#startBurst(this.#front, undefined);
  }

  #bigHole(): { start: number; end: number } | undefined {
    const hole = this.#assembly.firstMissing(this.#confirmedEnd);
    return hole !== undefined && hole.end - hole.start > BIG_HOLE_CHUNKS * DATA_BYTES_MAX ? hole : undefined;
  }

  #startBurst(start: number, until: number | undefined): void {
    const { channel, session, chunkBytes = DATA_BYTES_MAX } = this.#options;
    const jump = this.#silences > 0 ? SEQ_JUMP : BURST_SEQ_JUMP;
    const seq = channel.post({ opcode: OPCODE.BURST, session, offset: start, size: chunkBytes }, jump);
    const nowMs = this.#nowMs;
    this.#burst = { seq, start, until, sentMs: nowMs, lastMs: nowMs, packets: 0, front: start };
    this.#counters.bursts++;
  }

  #endBurst(flaggedSeq: number | undefined, isSure: boolean = flaggedSeq !== undefined): void {
    const burst = this.#burst;
    if (burst === undefined) return;
    this.#burst = undefined;
    // The server may be ahead of what was heard, and answers a number that it knows from memory.
    if (!isSure) this.#options.channel.skip(SEQ_JUMP);
    this.#lastBurst = { seq: burst.seq, flaggedSeq };
    if (burst.packets > 0 && burst.lastMs - burst.sentMs > this.#options.traits.burstMsMax) this.#readOnly();
    if (burst.until !== undefined) this.#assembly.uncover(burst.start, burst.until);
    // Nothing of it comes any more: all gaps are losses.
    for (const gap of this.#gaps) gap.confirmAt = Math.min(gap.confirmAt, this.#packets);
  }

  #readOnly(): void {
    this.#readsOnly = true;
    if (this.#front < this.#options.sizeBytes) this.#gaps.push({ start: this.#front, confirmAt: 0 });
    this.#front = this.#options.sizeBytes;
  }

  /** Asks for what proves that all that came before the question is of this file. */
  #askForProof(isWhole: boolean): void {
    const { anchor, isUnproven, mark } = this.#assembly;
    if (this.#isAnchoring || !isUnproven) return;
    if (anchor !== undefined && !isWhole && this.#bytesSinceAnchor < ANCHOR_BYTES) return;
    if (this.#burst !== undefined && !this.#options.traits.isInterruptible) return;
    this.#isAnchoring = true;
    this.#bytesSinceAnchor = 0;
    const proof = proofBy(anchor, this.#options.sizeBytes, mark);
    this.#askRead(proof.at, proof.size, proof);
  }

  // Time.

  #uncover(asked: Asked, except?: { start: number; end: number }): void {
    if (asked.proof !== undefined) return;
    const end = asked.at + asked.size;
    if (except !== undefined && except.start <= asked.at && except.end >= end) return;
    this.#assembly.uncover(asked.at, end);
  }

  #giveUpRead(asked: Asked): void {
    this.#asked.delete(asked.seq);
    if (asked.proof !== undefined) {
      this.#isAnchoring = false;
      this.#bytesSinceAnchor = ANCHOR_BYTES;
    }
    this.#uncover(asked);
  }

  /** After how much silence a burst is over, milliseconds. */
  #silenceMs(burst: Burst): number {
    const { traits, channel } = this.#options;
    const { rtoMs } = channel.rtt;
    if (burst.packets === 0) return Math.max(rtoMs, traits.silenceMinMs) * 2 ** Math.min(this.#silences, 4);
    const isKnown = traits.isInterruptible && this.#packets >= GAP_PACKETS;
    return Math.max(traits.silenceMinMs, 3 * this.#gapMs, isKnown ? 0 : rtoMs);
  }

  #schedule(): void {
    const nowMs = this.#nowMs;
    let atMs = this.#newByteMs + STALL_MS;
    for (const asked of this.#asked.values()) atMs = Math.min(atMs, asked.deadlineMs);
    const burst = this.#burst;
    if (burst !== undefined) {
      atMs = Math.min(atMs, burst.lastMs + this.#silenceMs(burst));
      if (this.#options.traits.needsKeepAlive) {
        atMs = Math.min(atMs, this.#options.channel.sentMs + KEEP_ALIVE_MS);
      }
    }
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
    let lostCount = 0;
    for (const asked of this.#asked.values()) {
      if (asked.deadlineMs > nowMs) continue;
      this.#giveUpRead(asked);
      lostCount++;
    }
    if (lostCount > 0) {
      this.#window = Math.max(WINDOW_MIN, this.#window - lostCount / 2);
      if (this.#burst === undefined && nowMs - this.#newByteMs > channel.rtt.rtoMs) channel.rtt.backOff();
    }
    const burst = this.#burst;
    if (burst !== undefined && nowMs - burst.lastMs >= this.#silenceMs(burst)) {
      this.#silences++;
      this.#counters.lostBursts++;
      this.#endBurst(undefined);
    } else if (burst !== undefined && traits.needsKeepAlive && nowMs - channel.sentMs >= KEEP_ALIVE_MS) {
      try {
        channel.post({ opcode: OPCODE.NONE, session });
      } catch {
        return;
      }
    }
    this.#next();
  }
}
