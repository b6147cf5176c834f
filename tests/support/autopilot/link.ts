/**
 * One direction of a link: packets go in, and come out late, lost, twice, in another order or damaged, as the model
 * says and the seed repeats.
 */
import type { Random } from "./random.ts";
import type { Due, Scheduler } from "./scheduler.ts";

export interface LinkModel {
  /** Bytes a second on the wire (a serial line: baud / 10). Default: no limit. */
  bytesPerSecond?: number;
  /** One way, milliseconds. */
  latencyMs?: number;
  /** Each packet takes up to this much longer; without `reorder` packets stay in order all the same. */
  jitterMs?: number;
  /** Probability that a packet is lost. */
  loss?: number;
  /** Losses in bursts: a chain of a good and a bad state, one step a packet. */
  gilbertElliott?: { toBad: number; toGood: number; lossBad?: number; lossGood?: number };
  /** Probability that a packet comes twice. */
  duplicate?: number;
  /** With `probability`, a packet comes after the next 1 to `depth` packets. */
  reorder?: { probability: number; depth: number };
  /** Probability that a packet has one to three wrong bytes. */
  corrupt?: number;
  /** Probability that a byte is missing (a serial line without flow control). */
  byteLoss?: number;
  /** Bytes of an air frame: a longer packet takes several, each of which may be lost (SiK: 252). */
  frameBytes?: number;
  /** Spans in which everything is lost, milliseconds since the start. */
  blackouts?: { fromMs: number; toMs: number }[];
  /** Bytes that may wait for the wire; what comes on top is dropped (a router). Default: no limit. */
  queueBytes?: number;
}

export interface LinkCounts {
  packets: number;
  bytes: number;
  lost: number;
  duplicated: number;
  reordered: number;
  corrupted: number;
  overflowed: number;
}

/** A packet that overtakes nothing within this time comes anyway. */
const REORDER_WAIT_MS = 30;

export class LinkDirection {
  readonly counts: LinkCounts = {
    packets: 0,
    bytes: 0,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    corrupted: 0,
    overflowed: 0,
  };
  #busyUntilMs = 0;
  #lastDeliveryMs = 0;
  #isBad = false;
  #held: { bytes: Uint8Array; packetsLeft: number; due: Due }[] = [];

  constructor(
    public model: LinkModel,
    readonly scheduler: Scheduler,
    readonly random: Random,
    readonly deliver: (bytes: Uint8Array) => void,
  ) {}

  /** Bytes that wait for the wire now. */
  get backlogBytes(): number {
    const { bytesPerSecond } = this.model;
    if (bytesPerSecond === undefined) return 0;
    return Math.max(0, this.#busyUntilMs - this.scheduler.nowMs) * bytesPerSecond / 1000;
  }

  /** Takes a packet. `isLost` has it take its time on the wire and vanish. */
  send(bytes: Uint8Array, { isLost = false, delayMs = 0, copies = 1 } = {}): void {
    const { model, scheduler, random, counts } = this;
    const nowMs = scheduler.nowMs;
    if (model.queueBytes !== undefined && this.backlogBytes + bytes.length > model.queueBytes) {
      counts.overflowed++;
      return;
    }
    counts.packets++;
    counts.bytes += bytes.length;
    this.#busyUntilMs = Math.max(this.#busyUntilMs, nowMs);
    if (model.bytesPerSecond !== undefined) this.#busyUntilMs += bytes.length * 1000 / model.bytesPerSecond;
    const lost = this.#isLost(bytes.length);
    if (lost || isLost) {
      counts.lost++;
      return;
    }
    let out = bytes;
    if (random.chance(model.corrupt ?? 0)) out = this.#corrupt(out);
    if (model.byteLoss !== undefined && model.byteLoss > 0) out = this.#loseBytes(out, model.byteLoss);
    let atMs = this.#busyUntilMs + (model.latencyMs ?? 0) + delayMs;
    if (model.jitterMs !== undefined) atMs += random.next() * model.jitterMs;
    if (delayMs === 0) {
      atMs = Math.max(atMs, this.#lastDeliveryMs);
      this.#lastDeliveryMs = atMs;
    }
    if (model.duplicate !== undefined && random.chance(model.duplicate)) copies++;
    counts.duplicated += copies - 1;
    for (let n = 0; n < copies; n++) {
      if (model.reorder !== undefined && random.chance(model.reorder.probability)) this.#hold(out, atMs);
      else scheduler.at(atMs, () => this.#arrive(out));
    }
  }

  #hold(bytes: Uint8Array, atMs: number): void {
    this.counts.reordered++;
    const packetsLeft = this.random.between(1, this.model.reorder!.depth);
    const held = {
      bytes,
      packetsLeft,
      due: this.scheduler.at(atMs + REORDER_WAIT_MS, () => {
        this.#held.splice(this.#held.indexOf(held), 1);
        this.deliver(bytes);
      }),
    };
    this.#held.push(held);
  }

  #arrive(bytes: Uint8Array): void {
    this.deliver(bytes);
    if (this.#held.length === 0) return;
    for (const held of [...this.#held]) {
      if (--held.packetsLeft > 0) continue;
      held.due.cancel();
      this.#held.splice(this.#held.indexOf(held), 1);
      this.deliver(held.bytes);
    }
  }

  #isLost(length: number): boolean {
    const { model, random, scheduler } = this;
    const frames = model.frameBytes === undefined ? 1 : Math.ceil(length / model.frameBytes);
    let lost = false;
    for (let n = 0; n < frames; n++) if (random.chance(model.loss ?? 0)) lost = true;
    const chain = model.gilbertElliott;
    if (chain !== undefined) {
      this.#isBad = this.#isBad ? !random.chance(chain.toGood) : random.chance(chain.toBad);
      if (random.chance(this.#isBad ? chain.lossBad ?? 1 : chain.lossGood ?? 0)) lost = true;
    }
    const nowMs = scheduler.nowMs;
    return lost || (model.blackouts?.some(({ fromMs, toMs }) => nowMs >= fromMs && nowMs < toMs) ?? false);
  }

  #corrupt(bytes: Uint8Array): Uint8Array {
    this.counts.corrupted++;
    const out = bytes.slice();
    for (let n = this.random.between(1, 3); n > 0; n--) {
      out[this.random.between(0, out.length - 1)]! ^= this.random.between(1, 255);
    }
    return out;
  }

  #loseBytes(bytes: Uint8Array, probability: number): Uint8Array {
    const out = bytes.filter(() => !this.random.chance(probability));
    if (out.length < bytes.length) this.counts.corrupted++;
    return out;
  }
}
