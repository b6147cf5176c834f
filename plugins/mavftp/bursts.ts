/**
 * The bursts of one reading, one after another. Where a server lets a burst be replaced, the next one is asked for while
 * the last still comes, from where that will be by then: nothing waits for the way there and back.
 */
import { type FtpChannel, SEQ_JUMP } from "./channel.ts";
import { addSeq, type FtpReply, OPCODE, seqDistance } from "./ftp_codec.ts";
import type { ServerTraits } from "./traits.ts";

/** Sequence numbers between two bursts, so that their packets cannot be mixed up. */
const BURST_SEQ_JUMP = 1024;
/** The time between packets is known after so many. */
const GAP_PACKETS = 16;
/** A burst that has brought fewer packets tells too little about the link to be replaced. */
const RELAY_PACKETS = 8;
/** So much before its end a burst is replaced, bytes: its server must not have come to it. */
const RELAY_MARGIN_BYTES = 4000;
/** The next burst begins so much before the place where the last one will be: twice is cheaper than a hole. */
const RELAY_OVERLAP_BYTES = 2000;

/** A burst that is under way. */
export interface Burst {
  readonly seq: number;
  readonly start: number;
  /** Where it has done its work, when it fills a hole. */
  readonly until: number | undefined;
  readonly sentMs: number;
  /** Where the one before it was when this one was asked for; `undefined` when there was none. */
  readonly askedAt: number | undefined;
  /** When its first packet came. */
  firstMs: number;
  lastMs: number;
  packets: number;
  /** Offset behind its last packet. */
  front: number;
}

/** How a burst ended. */
export interface BurstEnd {
  burst: Burst;
  /** Another one is on its way. */
  isRelayed: boolean;
}

export interface BurstsOptions {
  channel: FtpChannel;
  traits: ServerTraits;
  session: number;
  /** Bytes of a packet that are asked for. */
  chunkBytes: number;
  /** Called when a burst is over. */
  onEnd: (end: BurstEnd) => void;
}

export class Bursts {
  readonly #options: BurstsOptions;
  #burst: Burst | undefined;
  /** Asked for while `#burst` still comes. */
  #next: Burst | undefined;
  #last: { seq: number; flaggedSeq: number | undefined } | undefined;
  /** Bursts that went on after they had said that they were over. */
  #lies = 0;
  /** How far a server gets before a request reaches it, bytes. */
  #leadBytes: number | undefined;
  /** The longest of the last times between two packets, milliseconds. */
  #gapMs = 10;
  #packets = 0;
  /** Bursts that were given up one after another. */
  #silences = 0;
  /** Bursts asked for. */
  count = 0;
  /** Bursts that fell silent before they were over. */
  lostCount = 0;

  constructor(options: BurstsOptions) {
    this.#options = options;
  }

  /** The burst that comes, or is asked for. */
  get current(): Burst | undefined {
    return this.#burst;
  }

  /** Asks for one from `start` on. @returns the number of the request */
  start(start: number, until?: number): number {
    this.#burst = this.#ask(start, until, undefined, this.#silences > 0 ? SEQ_JUMP : BURST_SEQ_JUMP);
    return this.#burst.seq;
  }

  #ask(start: number, until: number | undefined, askedAt: number | undefined, jump: number): Burst {
    const { channel, session, chunkBytes } = this.#options;
    const seq = channel.post({ opcode: OPCODE.BURST, session, offset: start, size: chunkBytes }, jump);
    const nowMs = channel.clock.nowMs();
    this.count++;
    return { seq, start, until, askedAt, sentMs: nowMs, firstMs: nowMs, lastMs: nowMs, packets: 0, front: start };
  }

  /**
   * Where the next burst should begin if it is to be asked for now, before the last one is over; `undefined` when it is
   * too early, or when the server does not let a burst be replaced.
   */
  get relayAt(): number | undefined {
    const { traits, channel } = this.#options;
    const { rtt, clock } = channel;
    const burst = this.#burst;
    if (!traits.isInterruptible || burst === undefined || burst.until !== undefined) return undefined;
    const nowMs = clock.nowMs();
    // Whether a slow burst is to be followed by another one is seen at its end.
    if (burst.packets < RELAY_PACKETS || nowMs - burst.sentMs > traits.burstMsMax / 2) return undefined;
    // One that was asked for and not heard was lost.
    if (this.#next !== undefined && nowMs - this.#next.sentMs < rtt.rtoMs) return undefined;
    const bytesPerMs = (burst.front - burst.start) / Math.max(1, burst.lastMs - burst.sentMs);
    const leadBytes = this.#leadBytes ?? bytesPerMs * (rtt.smoothedMs ?? 0);
    const start = burst.front + Math.max(0, Math.floor(leadBytes) - RELAY_OVERLAP_BYTES);
    return start - burst.start < traits.burstBytesMin - RELAY_MARGIN_BYTES ? undefined : start;
  }

  /** Asks for the next burst while the last one still comes. @returns the number of the request */
  relay(start: number): number {
    this.#next = this.#ask(start, undefined, this.#burst!.front, BURST_SEQ_JUMP);
    return this.#next.seq;
  }

  /** The burst that a packet, data or NAK, is of; `undefined` when that is over. The first one of the next burst ends the last. */
  of(reply: FtpReply): Burst | undefined {
    if (this.#next !== undefined && seqDistance(reply.seq, this.#next.seq) > 0) this.end(undefined, true);
    const burst = this.#burst;
    return burst !== undefined && seqDistance(reply.seq, burst.seq) > 0 ? burst : undefined;
  }

  /** Takes a packet of data that ends at `end`. */
  take(reply: FtpReply, end: number): void {
    this.#packets++;
    const burst = this.of(reply);
    if (burst === undefined) return this.#takeLate(reply);
    const { channel, traits } = this.#options;
    const nowMs = channel.clock.nowMs();
    if (burst.packets > 0) this.#gapMs = Math.max(nowMs - burst.lastMs, this.#gapMs * 0.99);
    else if (reply.seq === addSeq(burst.seq, 1) && burst.askedAt === undefined) {
      channel.rtt.sample(nowMs - burst.sentMs);
    }
    if (burst.packets++ === 0) burst.firstMs = nowMs;
    burst.lastMs = nowMs;
    burst.front = Math.max(burst.front, end);
    this.#silences = 0;
    const saysComplete = reply.burstComplete === 1 && this.#lies < 2 && end - burst.start > traits.burstBytesMin;
    const isLong = traits.burstBytes > 0 && burst.front - burst.start > traits.burstBytes;
    const isPast = burst.until !== undefined && end >= burst.until;
    if (saysComplete || isLong || isPast) this.end(saysComplete ? reply.seq : undefined);
  }

  /** A burst that said that it is over goes on: its word is worth nothing. */
  #takeLate({ seq }: FtpReply): void {
    const last = this.#last;
    if (last?.flaggedSeq === undefined || seqDistance(seq, last.flaggedSeq) <= 0) return;
    last.flaggedSeq = undefined;
    this.#lies++;
  }

  /** The burst is over. @param isSure it is known where the server's numbers are */
  end(flaggedSeq: number | undefined, isSure: boolean = flaggedSeq !== undefined): void {
    const burst = this.#burst;
    if (burst === undefined) return;
    const next = this.#next;
    this.#burst = next;
    this.#next = undefined;
    if (next?.askedAt !== undefined && isSure) this.#learnLead(burst.front - next.askedAt);
    // The server may be ahead of what was heard, and answers a number that it knows from memory.
    if (next === undefined && !isSure) this.#options.channel.skip(SEQ_JUMP);
    this.#last = { seq: burst.seq, flaggedSeq };
    this.#options.onEnd({ burst, isRelayed: next !== undefined });
  }

  #learnLead(leadBytes: number): void {
    const known = this.#leadBytes ?? leadBytes;
    // Down faster than up: a hole costs requests.
    this.#leadBytes = known + (leadBytes - known) / (leadBytes < known ? 2 : 4);
  }

  /** When the burst counts as over for its silence; `undefined` when none comes. */
  get silentAtMs(): number | undefined {
    const burst = this.#burst;
    return burst === undefined ? undefined : burst.lastMs + this.#silenceMs(burst);
  }

  #silenceMs(burst: Burst): number {
    const { traits, channel } = this.#options;
    const { rtoMs } = channel.rtt;
    if (burst.packets === 0) return Math.max(rtoMs, traits.silenceMinMs) * 2 ** Math.min(this.#silences, 4);
    const isKnown = traits.isInterruptible && this.#packets >= GAP_PACKETS;
    return Math.max(traits.silenceMinMs, 3 * this.#gapMs, isKnown ? 0 : rtoMs);
  }

  /** Gives up a burst that is silent. */
  giveUp(): void {
    this.#silences++;
    this.lostCount++;
    this.end(undefined);
  }
}
