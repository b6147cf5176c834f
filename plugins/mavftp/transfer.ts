/**
 * One log from the autopilot's card to where it lands: opened, read with whatever interrupts it, proven, closed.
 * Promises that what has landed is in order and of this file, and that the session is ended on every way out.
 */
import { DriverError } from "../../lib/driver/mod.ts";
import { burstRate, PROBE_BYTES } from "./burst_probe.ts";
import { boundedChunk, radioChunk } from "./chunk.ts";
import { isNak } from "./channel.ts";
import { sleep } from "./clock.ts";
import { fileCrc } from "./crc.ts";
import { DATA_BYTES_MAX, dataU32, NAK, OPCODE } from "./ftp_codec.ts";
import type { Chunk } from "./assembly.ts";
import { Credit } from "./credit.ts";
import { Reader } from "./reader.ts";
import type { ReadCounters, ReadEnd } from "./reading.ts";
import type { FtpSession, OpenFile } from "./session.ts";
import { AUTOPILOT } from "./messages.ts";
import type { Station } from "./station.ts";
import { StructureCheck, type StructureFinding } from "./structure.ts";
import { type ServerTraits, traitsOf } from "./traits.ts";

/** Of the prefix that is held, so much is fetched again and compared, bytes. */
export const OVERLAP_BYTES = 8 * 1024;
/** Sessions that may be lost one after another without a new byte. */
const LOSSES_MAX = 4;
/** A server that lost a session may be starting: wait before it is asked again, milliseconds. */
const LOSS_WAIT_MS = 500;
/** A checksum may take the autopilot so long, milliseconds: PX4 hears nothing on the link meanwhile. */
const CRC_MS_MAX = { PX4: 2500, ArduPilot: 20_000, unknown: 20_000 } as const;
/** How fast an autopilot is thought to compute it before it was seen, bytes a millisecond. */
const CRC_BYTES_PER_MS = 1000;
/** A checksum is asked for again after so long, then after twice that and so on, milliseconds. */
const CRC_REPEAT_MS = 500;
const CRC_REPEAT_MS_MAX = 5000;
const CRC_TRIES_MIN = 3;
/** Pieces that are read once more where the autopilot computes no checksum, the first and the last among them. */
const SAMPLES = 10;
/** Below this rate a burst of 35 kB would be too coarse, bytes a second. */
const BURST_RATE_MIN = 64 * 1024;
const RADIO_WINDOW = 8;

/** Where the bytes go. */
export interface Landing {
  /** Where the next byte belongs. */
  readonly positionBytes: number;
  /** What is compared with the first bytes that come. */
  readonly overlap: Uint8Array;
  /** Whether more may come now. */
  readonly isReady: boolean;
  readonly error: unknown;
  push(bytes: Uint8Array): void;
  drain(): Promise<void>;
  /** All bytes that landed, in order, in pieces. */
  readAll(take: (bytes: Uint8Array) => void | Promise<void>): Promise<void>;
  /** Some of them. */
  readAt(at: number, length: number): Promise<Uint8Array>;
}

/** Where bytes beyond a hole outlive an interruption. */
export interface AheadStore {
  load(): Promise<Chunk[]>;
  add(chunks: readonly Chunk[]): Promise<void>;
  replace(chunks: readonly Chunk[]): Promise<void>;
}

/** What is learned of one autopilot and used for its next file. */
export interface Experience {
  crcBytesPerMs: number;
  hasCrc: boolean;
  prefersReads: boolean;
  /** How fast it sends a burst, where nothing stops one; `undefined` until it was measured. */
  burstBytesPerMs: number | undefined;
  /** How its server is, once it was asked. */
  traits: ServerTraits | undefined;
}

export function newExperience(): Experience {
  return {
    crcBytesPerMs: CRC_BYTES_PER_MS,
    hasCrc: true,
    prefersReads: false,
    burstBytesPerMs: undefined,
    traits: undefined,
  };
}

export interface TransferOptions {
  station: Station;
  session: FtpSession;
  experience: Experience;
  /** Bytes as they are on the autopilot. */
  path: Uint8Array;
  /** As it was found; `undefined` when nothing is known. */
  sizeBytes: number | undefined;
  landing: Landing;
  ahead: AheadStore;
  takeover: boolean;
  signal: AbortSignal;
  /** Waits until so many bytes may come. */
  throttle: (bytes: number) => Promise<void>;
  /** Least of the limits that are known at the start, bytes a second. */
  rateMax?: number | undefined;
  /** The link's own limit, bytes a second. */
  linkRate?: number | undefined;
  /** Called as soon as the landing can take more again. */
  onLandingReady: (poke: () => void) => void;
  progress: (doneBytes: number, waitMs?: number) => void;
  log: (level: "debug" | "info" | "warning", message: string) => void;
  random: () => number;
}

/** How well the whole is proven. */
export type Proof = "checksum" | "samples";

export interface TransferResult {
  sizeBytes: number;
  proof: Proof;
  structure: StructureFinding | undefined;
  counters: ReadCounters;
  /** Bytes that were thrown away as another file's. */
  stolenBytes: number;
}

/** Fetches one file. @throws {DriverError} with the consequence as its code; what has landed is a true prefix */
export async function transfer(options: TransferOptions): Promise<TransferResult> {
  const work = new Transfer(options);
  try {
    return await work.run();
  } finally {
    await work.leave();
  }
}

class Transfer {
  readonly #options: TransferOptions;
  #traits: ServerTraits;
  readonly #credit: Credit;
  readonly #counters: ReadCounters = { bursts: 0, reads: 0, doubledBytes: 0, repairs: 0, lostBursts: 0 };
  #reader: Reader | undefined;
  #ahead: Chunk[] = [];
  /** A piece that landed: what an opening brings is compared with it. */
  #anchor: Chunk | undefined;
  #stolenBytes = 0;
  #isDone = false;

  constructor(options: TransferOptions) {
    this.#options = options;
    this.#traits = traitsOf(options.station.vehicle!.autopilot);
    this.#credit = new Credit({ ...options, clock: options.station.clock }, () => this.#reader?.poke());
  }

  async run(): Promise<TransferResult> {
    const { landing, ahead, path, session, signal, takeover, progress } = this.#options;
    const openOptions = {
      signal,
      takeover,
      onWait: (waitMs: number) => progress(landing.positionBytes, waitMs + 10_000),
    };
    await this.#meetServer();
    let open = await session.open(path, openOptions);
    const { sizeBytes } = open;
    this.#checkSize(sizeBytes, this.#options.sizeBytes);
    if (landing.positionBytes + landing.overlap.length > sizeBytes) {
      throw new DriverError("changed", `Log has ${sizeBytes} bytes now, less than what is held of it`);
    }
    this.#ahead = await ahead.load();
    progress(landing.positionBytes);
    for (let losses = 0;;) {
      const startBytes = landing.positionBytes;
      const startPieces = this.#ahead.length;
      const end = sizeBytes === landing.positionBytes ? { kind: "done" as const } : await this.#read(open);
      if (end.kind === "done") break;
      // What came of a session that is another's is thrown away, and no progress.
      const isAhead = end.kind !== "stolen" && this.#ahead.length > startPieces;
      losses = landing.positionBytes > startBytes || isAhead ? 1 : losses + 1;
      await this.#consider(end, losses);
      open = await session.open(path, openOptions);
      this.#checkSize(open.sizeBytes, sizeBytes);
    }
    await landing.drain();
    this.#isDone = true;
    const { structure, crc } = await this.#look(sizeBytes);
    const proof = await this.#prove(sizeBytes, crc, openOptions);
    return { sizeBytes, proof, structure, counters: this.#counters, stolenBytes: this.#stolenBytes };
  }

  /** A server that does not answer the empty request is not PX4's, whatever its heartbeat says: MAVSDK's is so. */
  async #meetServer(): Promise<void> {
    const { experience, station, signal } = this.#options;
    // Nobody puts MAVSDK behind a radio, where a question costs half a second.
    if (experience.traits === undefined && this.#traits.name === "PX4" && !station.hasRadio) {
      try {
        await station.channel.ask({ opcode: OPCODE.NONE }, { tries: 4, signal });
      } catch (error) {
        if (!(error instanceof DriverError) || error.code !== "unavailable" || !station.gate.isOpen) throw error;
        this.#traits = traitsOf(AUTOPILOT.GENERIC);
      }
    }
    this.#traits = experience.traits ??= this.#traits;
    if (station.hasRadio && this.#traits.name === "PX4") this.#traits = { ...this.#traits, windowMax: RADIO_WINDOW };
  }

  /** Whatever happened: keeps what came, ends the session. */
  async leave(): Promise<void> {
    const { ahead, landing, session, station } = this.#options;
    this.#credit.stop();
    this.#takeFromReader();
    try {
      await landing.drain();
    } catch {
      // The reason is thrown already.
    }
    await ahead.replace(this.#isDone ? [] : this.#ahead);
    if (station.gate.isOpen) await session.close();
  }

  /** One reading of the open file, until it is whole or the session is. */
  async #read(open: OpenFile): Promise<ReadEnd> {
    const { station, landing, ahead, signal, experience, rateMax = Infinity, linkRate = Infinity } = this.#options;
    const { channel } = station;
    const startBytes = landing.positionBytes;
    const isSlow = station.hasRadio || Math.min(rateMax, linkRate) < BURST_RATE_MIN;
    const burstChunk = isSlow || experience.prefersReads ? undefined : await this.#burstChunk(open, startBytes);
    const readsOnly = burstChunk === undefined;
    const pieces = this.#ahead.filter(({ at, bytes }) => at + bytes.length > startBytes && at < open.sizeBytes);
    const reader = new Reader({
      channel,
      traits: this.#traits,
      session: open.session,
      sinceSeq: open.sinceSeq,
      sizeBytes: open.sizeBytes,
      startBytes,
      ahead: pieces,
      anchor: this.#anchor,
      chunkBytes: station.hasRadio ? radioChunk(this.#traits) : burstChunk ?? DATA_BYTES_MAX,
      readsOnly,
      isOrdered: station.port.isOrdered,
      onBytes: (bytes) => this.#land(bytes),
      onAhead: (chunks) => void ahead.add(chunks),
      onLevel: () => void ahead.replace([]),
      mayAsk: () => this.#credit.isAvailable && landing.isReady && station.gate.isOpen,
      onReceived: (bytes) => this.#credit.take(bytes),
    });
    this.#ahead = [];
    this.#reader = reader;
    this.#options.onLandingReady(() => this.#onLandingReady());
    const onAbort = () => this.#fail(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const offGate = station.onGate(() => {
      if (!station.gate.isOpen) this.#fail(station.reason);
    });
    try {
      if (signal.aborted) throw signal.reason;
      if (!station.gate.isOpen) throw station.reason;
      reader.start();
      const end = await reader.finished;
      if (end.kind === "stopped") throw this.#failure ?? station.reason;
      return end;
    } finally {
      signal.removeEventListener("abort", onAbort);
      offGate();
      experience.prefersReads ||= reader.readsOnly && !readsOnly;
      this.#takeFromReader();
    }
  }

  /** Bytes of a packet of a burst; `undefined` where reads are better. */
  async #burstChunk(open: OpenFile, startBytes: number): Promise<number | undefined> {
    const { station: { channel }, experience, signal } = this.#options;
    const { session, sizeBytes } = open;
    const traits = this.#traits;
    const restBytes = sizeBytes - startBytes;
    if (Math.min(traits.unstoppableBytes, restBytes) <= PROBE_BYTES) return DATA_BYTES_MAX;
    experience.burstBytesPerMs ??= await burstRate({ channel, session, sizeBytes, traits, signal });
    return boundedChunk(traits, restBytes, experience.burstBytesPerMs ?? 0, channel.rtt.smoothedMs ?? 0);
  }

  #failure: unknown;

  #fail(reason: unknown): void {
    this.#failure ??= reason;
    this.#reader?.stop();
  }

  #land(bytes: Uint8Array): void {
    const { landing, progress } = this.#options;
    try {
      landing.push(bytes);
    } catch (error) {
      return this.#fail(error);
    }
    progress(landing.positionBytes);
  }

  #onLandingReady(): void {
    const { landing } = this.#options;
    if (landing.error !== undefined) this.#fail(landing.error);
    else this.#reader?.poke();
  }

  #takeFromReader(): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    this.#reader = undefined;
    reader.stop();
    this.#ahead = reader.ahead;
    this.#anchor = reader.anchor;
    for (const key of Object.keys(this.#counters) as (keyof ReadCounters)[]) {
      this.#counters[key] += reader.counters[key];
    }
  }

  /** What a reading that did not reach the end means. */
  async #consider(end: ReadEnd, losses: number): Promise<void> {
    const { session, station, log, signal, landing } = this.#options;
    const words = "reason" in end ? end.reason : end.kind;
    log("info", `Reading stopped at byte ${landing.positionBytes}: ${end.kind} (${words})`);
    if (end.kind === "stolen") {
      this.#stolenBytes += this.#ahead.reduce((sum, { bytes }) => sum + bytes.length, 0);
      this.#ahead = [];
    }
    // A server that sends faster than the link takes it: asked for each piece it cannot.
    if (end.kind === "lost" && !this.#traits.isBounded) this.#options.experience.prefersReads = true;
    // The session is another's now, or may be where the file is shorter at once: ending it would end theirs.
    const isTheirs = end.kind === "stolen" || (end.kind === "short" && losses === 1 && this.#traits.isStealable);
    if (isTheirs || (end.kind === "lost" && this.#traits.isBounded)) session.forget();
    else await session.close(signal);
    if (losses < LOSSES_MAX) {
      if (losses > 1) await sleep(station.clock, LOSS_WAIT_MS * losses, signal);
      if (!station.gate.isOpen) throw station.reason;
      return;
    }
    switch (end.kind) {
      case "refused":
        throw new DriverError("failed", `Autopilot cannot read the log at byte ${landing.positionBytes}: ${words}`, {
          hint: "Check the SD card",
        });
      case "short":
        throw new DriverError("failed", `Log ends before its size, at byte ${landing.positionBytes} or later`, {
          hint: "Check the SD card",
        });
      case "stolen":
        throw new DriverError("held", "Another ground station keeps opening files in our session", {
          retryAfterMs: 30_000,
        });
      default:
        throw new DriverError("unavailable", `Autopilot loses the session again and again: ${words}`);
    }
  }

  #checkSize(sizeBytes: number, expected: number | undefined): void {
    if (expected !== undefined && sizeBytes !== expected) {
      throw new DriverError("changed", `Log has ${sizeBytes} bytes now: expected ${expected}`);
    }
  }

  /** One look at all that landed: its checksum, and whether it is a whole log. */
  async #look(sizeBytes: number): Promise<{ structure: StructureFinding | undefined; crc: number }> {
    const { landing, progress, signal } = this.#options;
    const check = new StructureCheck(new TextDecoder().decode(this.#options.path));
    let crc = 0;
    await landing.readAll((bytes) => {
      signal.throwIfAborted();
      crc = fileCrc(bytes, crc);
      check.push(bytes);
      progress(sizeBytes);
    });
    return { structure: check.finish(), crc };
  }

  async #prove(
    sizeBytes: number,
    crc: number,
    openOptions: { signal: AbortSignal; takeover: boolean; onWait: (waitMs: number) => void },
  ): Promise<Proof> {
    if (sizeBytes === 0) return "checksum";
    const { session, path, signal, landing } = this.#options;
    const remote = await this.#askCrc(sizeBytes);
    if (remote === crc) return "checksum";
    await session.close(signal);
    const open = await session.open(path, openOptions);
    this.#checkSize(open.sizeBytes, sizeBytes);
    if (remote !== undefined) {
      throw new DriverError("corrupt", `Autopilot's checksum is ${hex(remote)}: what came has ${hex(crc)}`);
    }
    for (const at of samplePlaces(sizeBytes, this.#options.random)) {
      const wanted = await landing.readAt(at, Math.min(DATA_BYTES_MAX, sizeBytes - at));
      const got = await this.#readOnce(open, at, wanted.length);
      if (wanted.some((byte, index) => byte !== got[index])) {
        throw new DriverError("corrupt", `Log opened anew has other bytes from ${at} on`);
      }
    }
    return "samples";
  }

  async #readOnce(open: OpenFile, at: number, size: number): Promise<Uint8Array> {
    const { channel } = this.#options.station;
    const got = new Uint8Array(size);
    for (let done = 0; done < size;) {
      const reply = await channel.ask(
        { opcode: OPCODE.READ, session: open.session, offset: at + done, size: size - done },
        { signal: this.#options.signal },
      );
      if (!reply.isAck || reply.offset !== at + done || reply.data.length === 0) {
        throw new DriverError("unavailable", "Autopilot lost the session while the log was proven");
      }
      got.set(reply.data.subarray(0, size - done), done);
      done += reply.data.length;
    }
    return got;
  }

  /** The autopilot's own checksum; `undefined` where it would take too long, or is not to be had. */
  async #askCrc(sizeBytes: number): Promise<number | undefined> {
    const { station, experience, path, signal, progress } = this.#options;
    const expectedMs = sizeBytes / experience.crcBytesPerMs;
    if (!experience.hasCrc || expectedMs > CRC_MS_MAX[this.#traits.name]) return undefined;
    const waitMs = 3 * (2000 + sizeBytes / 300);
    progress(sizeBytes, waitMs + 10_000);
    const startMs = station.clock.nowMs();
    try {
      // A repeat has the number of the first: a server that computes or has computed answers it from its memory.
      const reply = await station.channel.ask({ opcode: OPCODE.CRC, data: path }, {
        keepSeq: true,
        tries: CRC_TRIES_MIN + Math.ceil(waitMs / CRC_REPEAT_MS_MAX),
        timeoutMs: Math.max(CRC_REPEAT_MS, 2 * station.channel.rtt.rtoMs),
        signal,
      });
      if (!reply.isAck) {
        if (isNak(reply, NAK.NOT_FOUND)) throw new DriverError("changed", "Log vanished while it was fetched");
        experience.hasCrc = false;
        return undefined;
      }
      const tookMs = Math.max(1, station.clock.nowMs() - startMs);
      if (sizeBytes > 100_000) experience.crcBytesPerMs = sizeBytes / tookMs;
      return dataU32(reply);
    } catch (error) {
      // It was too much for it: the next proof is by samples.
      const isOurs = error instanceof DriverError && error.code === "unavailable";
      if (isOurs) experience.hasCrc = false;
      if (isOurs && station.gate.isOpen) return undefined;
      throw error;
    }
  }
}

function samplePlaces(sizeBytes: number, random: () => number): number[] {
  const last = Math.max(0, sizeBytes - DATA_BYTES_MAX);
  const places = [0, last];
  while (places.length < SAMPLES && last > 0) places.push(Math.floor(random() * last));
  return places;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
