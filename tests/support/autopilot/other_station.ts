/** Another ground station on the same link of the vehicle: it holds the only session, steals it, or resets it. */
import type { Vehicle } from "./vehicle.ts";
import { ACK, fromLatin1, FtpPacket, type OpcodeName, OPCODES } from "./wire/ftp.ts";

export interface OtherScript {
  /** `hold`: opens a file and keeps it open; `steal`: resets and opens another file; `reset`: ResetSessions. */
  does: "hold" | "steal" | "reset";
  path?: string;
  /** Milliseconds since the start. Default: 0. */
  atMs?: number;
  /** When so many file bytes were sent; wins over `atMs`. */
  atDataBytes?: number;
  /** How long it holds. Default: for ever. */
  forMs?: number;
  /** Default: 255/190, a ground station. */
  systemId?: number;
  componentId?: number;
  /** Which vehicle, by its place in the list. */
  vehicle?: number;
}

/** A station that holds a session asks for something this often. */
const KEEP_ALIVE_MS = 2500;

export class OtherStation {
  readonly replies: FtpPacket[] = [];
  #seq: number;
  #isHolding = false;
  #waiting: ((reply: FtpPacket) => void)[] = [];

  constructor(readonly vehicle: Vehicle, readonly systemId = 255, readonly componentId = 190) {
    this.#seq = vehicle.random.between(0, 0xffff);
  }

  /** Sends a request past the link; the reply comes in {@linkcode replies}. */
  request(opcode: OpcodeName, fields: { path?: string; session?: number; offset?: number; size?: number } = {}): void {
    const { path, ...numbers } = fields;
    const packet = FtpPacket.of({ seq: this.#seq, opcode: OPCODES[opcode] });
    this.#seq = (this.#seq + 2) & 0xffff;
    if (path !== undefined) packet.data = fromLatin1(path);
    Object.assign(packet, numbers);
    this.vehicle.ftp(packet, { systemId: this.systemId, componentId: this.componentId });
  }

  receive(packet: FtpPacket): void {
    this.replies.push(packet.copy());
    this.#seq = (packet.seq + 1) & 0xffff;
    for (const tell of this.#waiting.splice(0)) tell(packet);
  }

  run(script: OtherScript): void {
    const { scheduler } = this.vehicle;
    const act = () => this.#act(script);
    if (script.atDataBytes !== undefined) this.vehicle.whenSent(script.atDataBytes, act);
    else scheduler.at(script.atMs ?? 0, act);
  }

  #act({ does, path = "/", forMs }: OtherScript): void {
    this.vehicle.event(`other-${does}`, path);
    if (does !== "hold") this.request("ResetSessions");
    if (does === "reset") return;
    // The reset's answer comes first where requests wait in a queue.
    if (does === "steal") this.vehicle.scheduler.after(5, () => this.request("OpenFileRO", { path }));
    else this.#hold(path, forMs);
  }

  #hold(path: string, forMs: number | undefined): void {
    const { scheduler } = this.vehicle;
    let session = 0;
    this.#waiting.push((reply) => {
      if (reply.opcode !== ACK) return;
      session = reply.session;
      this.#isHolding = true;
      const again = () => {
        if (!this.#isHolding) return;
        this.request("ReadFile", { session, offset: 0, size: 4 });
        scheduler.after(KEEP_ALIVE_MS, again);
      };
      scheduler.after(KEEP_ALIVE_MS, again);
    });
    this.request("OpenFileRO", { path });
    if (forMs === undefined) return;
    scheduler.after(forMs, () => {
      this.#isHolding = false;
      this.request("TerminateSession", { session });
    });
  }
}
