/**
 * The simulator without the world: bytes in, bytes out, and a scheduler for time. Real transports feed it by the clock
 * on the wall, tests in one process by a clock of their own.
 */
import type { Address } from "./ftp/server.ts";
import { LinkDirection } from "./link.ts";
import type { CoreOptions } from "./options.ts";
import { OtherStation } from "./other_station.ts";
import { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";
import { Vehicle } from "./vehicle.ts";
import { radioStatus } from "./vehicle_messages.ts";
import { encodeFrame, FrameReader, PacketCutter } from "./wire/frame.ts";
import type { FtpPacket } from "./wire/ftp.ts";

/** What one datagram may hold. */
const DATAGRAM_BYTES = 1400;
/** A piece of a stream that gets no company within so long goes alone. */
const SEGMENT_WAIT_MS = 1;
/** A SiK radio is system 51, component 68. */
const RADIO = { systemId: 51, componentId: 68 };

export class AutopilotCore {
  readonly random: Random;
  readonly vehicles: Vehicle[];
  readonly down: LinkDirection;
  readonly up: LinkDirection;
  /** Called with what reaches the client: a datagram, or a piece of a stream. */
  onOutput: (bytes: Uint8Array) => void = () => {};
  readonly #cutter = new PacketCutter();
  readonly #reader = new FrameReader();
  readonly #stations = new Map<string, OtherStation>();
  readonly #peers = new Set<string>();
  #outbox: Uint8Array[] = [];
  #isFlushing = false;

  constructor(
    readonly options: CoreOptions,
    readonly scheduler: Scheduler = new Scheduler(),
    readonly kind: "datagrams" | "stream" = "datagrams",
  ) {
    this.random = new Random(options.seed ?? 1);
    const { link = {} } = options;
    this.down = new LinkDirection(link.down ?? {}, scheduler, this.random.fork("down"), (bytes) => this.#out(bytes));
    this.up = new LinkDirection(link.up ?? {}, scheduler, this.random.fork("up"), (bytes) => this.#in(bytes));
    const core = this as AutopilotCore;
    const wire = {
      get backlogBytes() {
        return core.down.backlogBytes;
      },
      get bytesPerSecond() {
        return core.down.model.bytesPerSecond;
      },
      send: (frame: Uint8Array, how: { isLost?: boolean; delayMs?: number; copies?: number }) =>
        this.down.send(frame, how),
      divert: (packet: FtpPacket, to: Address) => this.#divert(packet, to),
    };
    const wallMs = options.wallMs ?? (() => Date.now());
    this.vehicles = (options.vehicles ?? [options]).map((vehicle, n) =>
      new Vehicle(vehicle, scheduler, this.random.fork(`vehicle ${n}`), wire, wallMs)
    );
    for (const script of options.others ?? []) {
      this.station(script.systemId, script.componentId, script.vehicle).run(script);
    }
    if (link.radio !== undefined) this.#startRadio(link.radio);
  }

  /** The first vehicle, which is the only one as a rule. */
  get vehicle(): Vehicle {
    return this.vehicles[0]!;
  }

  /** Another ground station; the same one for the same ids. */
  station(systemId = 255, componentId = 190, vehicle = 0): OtherStation {
    const id = `${systemId}/${componentId}`;
    let station = this.#stations.get(id);
    if (station === undefined) {
      station = new OtherStation(this.vehicles[vehicle]!, systemId, componentId);
      this.#stations.set(id, station);
    }
    return station;
  }

  /** Bytes from the client. */
  receive(chunk: Uint8Array): void {
    for (const packet of this.#cutter.push(chunk)) this.up.send(packet);
    if (this.kind === "datagrams") { for (const rest of this.#cutter.flush()) this.up.send(rest); }
  }

  /** Forgets half packets: the cable was pulled. */
  disconnect(): void {
    for (const _ of this.#cutter.flush());
    this.#reader.reset();
    this.#outbox = [];
  }

  #in(bytes: Uint8Array): void {
    const frames = this.#reader.push(bytes, (byte) => {
      for (const vehicle of this.vehicles) vehicle.junk(byte);
    });
    for (const frame of frames) {
      this.#peers.add(`${frame.systemId}/${frame.componentId}`);
      for (const vehicle of this.vehicles) vehicle.receive(frame);
    }
  }

  #divert(packet: FtpPacket, to: Address): "only" | "too" | "not" {
    const id = `${to.systemId}/${to.componentId}`;
    const station = this.#stations.get(id);
    if (station === undefined) return "not";
    const copy = packet.copy();
    this.scheduler.after(0, () => station.receive(copy));
    return this.#peers.has(id) ? "too" : "only";
  }

  #out(bytes: Uint8Array): void {
    const { pack, segment } = this.options.link ?? {};
    if (this.kind === "stream" ? segment === undefined : pack === undefined) return this.onOutput(bytes);
    if (this.kind === "stream") {
      this.#outbox.push(bytes);
      this.#cutSegments();
    } else {
      const held = this.#outbox.reduce((sum, { length }) => sum + length, 0);
      if (held + bytes.length > DATAGRAM_BYTES) this.#flush();
      this.#outbox.push(bytes);
      if (this.#outbox.length >= pack!.packets) this.#flush();
    }
    if (this.#outbox.length === 0 || this.#isFlushing) return;
    this.#isFlushing = true;
    this.scheduler.after(this.kind === "stream" ? SEGMENT_WAIT_MS : pack!.withinMs, () => {
      this.#isFlushing = false;
      this.#flush();
    });
  }

  #cutSegments(): void {
    const { min, max } = this.options.link!.segment!;
    let bytes = joined(this.#outbox);
    for (let size = this.random.between(min, max); bytes.length >= size; size = this.random.between(min, max)) {
      this.onOutput(bytes.subarray(0, size));
      bytes = bytes.slice(size);
    }
    this.#outbox = bytes.length === 0 ? [] : [bytes];
  }

  #flush(): void {
    if (this.#outbox.length === 0) return;
    const bytes = joined(this.#outbox);
    this.#outbox = [];
    this.onOutput(bytes);
  }

  #startRadio({ bufferBytes, everyMs = 1000, txbuf }: { bufferBytes: number; everyMs?: number; txbuf?: number }): void {
    let seq = 0;
    this.scheduler.every(everyMs, () => {
      const free = Math.max(0, Math.min(100, Math.round(100 - 100 * this.down.backlogBytes / bufferBytes)));
      const { message, payload } = radioStatus(txbuf ?? free);
      const frame = encodeFrame({ version: 2, seq, ...RADIO }, message, payload);
      seq = (seq + 1) & 0xff;
      // The radio at each end tells it at once, past what waits for the air.
      this.#out(frame);
      this.#in(frame);
    });
  }
}

function joined(pieces: Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
