/** The LOG_* protocol of both stacks, on the same files as FTP. */
import type { FileNode, Files } from "./files.ts";
import type { Traits } from "./personality.ts";
import type { Due, Scheduler } from "./scheduler.ts";
import { logData, logEntry, type Said, statusText } from "./vehicle_messages.ts";
import type { Frame } from "./wire/frame.ts";
import { MESSAGES } from "./wire/messages.ts";

const DATA_BYTES = 90;
const FRAME_BYTES = 12 + 97;

export interface LogHost {
  readonly scheduler: Scheduler;
  readonly files: Files;
  readonly traits: Traits;
  readonly freeBytes: number;
  readonly isArmed: boolean;
  /** Another link has a download that it has not ended (ArduPilot). */
  readonly logsHeldElsewhere: boolean;
  say(said: Said): boolean;
  event(name: string, detail?: string): void;
  sentLogData(count: number): void;
}

export class LogServer {
  #logs: FileNode[] = [];
  #listing: { next: number; last: number } | undefined;
  #sending: { id: number; node: FileNode; at: number; end: number } | undefined;
  #turn: Due | undefined;
  #isListed = false;

  constructor(readonly host: LogHost) {}

  restart(): void {
    this.#stop();
    this.#isListed = false;
    this.#logs = [];
  }

  receive({ messageId, payload }: Frame): void {
    const view = new DataView(payload.buffer, payload.byteOffset);
    const { host } = this;
    const isArduPilot = host.traits.stack === "ardupilot";
    if (messageId === MESSAGES.LOG_REQUEST_END.id) return this.#stop();
    if (messageId === MESSAGES.LOG_ERASE.id) {
      host.event("log-erase");
      for (const path of this.#paths()) host.files.delete(path);
      return;
    }
    if (isArduPilot && host.isArmed) return void host.say(statusText("Disarm for log download"));
    if (isArduPilot && host.logsHeldElsewhere) return void host.say(statusText("Log download in progress"));
    if (messageId === MESSAGES.LOG_REQUEST_LIST.id) {
      this.#logs = this.#paths().map((path) => host.files.file(path)!);
      this.#isListed = true;
      this.#sending = undefined;
      const first = isArduPilot ? 1 : 0;
      const newest = this.#logs.length - 1 + first;
      const from = Math.max(view.getUint16(0, true), first);
      this.#listing = { next: from, last: Math.min(view.getUint16(2, true), newest) };
      if (this.#logs.length === 0) {
        host.say(logEntry({ id: 0, count: 0, last: 0, sizeBytes: 0, utcS: 0 }));
        this.#listing = undefined;
      }
      return this.#watch();
    }
    if (messageId !== MESSAGES.LOG_REQUEST_DATA.id) return;
    // PX4 knows ids only of a list that it was asked for.
    if (isArduPilot && !this.#isListed) this.#logs = this.#paths().map((path) => host.files.file(path)!);
    const id = view.getUint16(8, true);
    const node = this.#logs[isArduPilot ? id - 1 : id];
    if (node === undefined) return;
    const at = view.getUint32(0, true);
    const { sizeBytes } = node.content;
    if (at >= sizeBytes && !isArduPilot) return;
    this.#listing = undefined;
    this.#sending = { id, node, at, end: Math.min(sizeBytes, at + view.getUint32(4, true)) };
    this.#watch();
  }

  #paths(): string[] {
    const { files, traits } = this.host;
    const root = traits.logRoot.endsWith("/") ? traits.logRoot : `${traits.logRoot}/`;
    return files.paths().filter((path) => path.startsWith(root) && /\.(ulg|bin)$/i.test(path)).sort();
  }

  #stop(): void {
    this.#listing = undefined;
    this.#sending = undefined;
    this.#turn?.cancel();
    this.#turn = undefined;
  }

  #watch(): void {
    if (this.#turn !== undefined) return;
    this.#turn = this.host.scheduler.after(this.host.traits.tickMs, () => {
      this.#turn = undefined;
      this.#work();
      if (this.#listing !== undefined || this.#sending !== undefined) this.#watch();
    });
  }

  #work(): void {
    const { host } = this;
    let room = host.freeBytes;
    const isArduPilot = host.traits.stack === "ardupilot";
    // ArduPilot sends so many packets a call, PX4 what fits.
    for (let n = isArduPilot ? 10 : 1000; n > 0 && room >= 2 * FRAME_BYTES; n--) {
      if (this.#listing !== undefined) {
        this.#entry(isArduPilot ? 1 : 0);
        return;
      }
      if (this.#sending === undefined) return;
      room -= FRAME_BYTES;
      this.#data(this.#sending);
    }
  }

  #entry(first: number): void {
    const listing = this.#listing!;
    if (listing.next > listing.last) {
      this.#listing = undefined;
      return;
    }
    const id = listing.next++;
    const node = this.#logs[id - first]!;
    this.host.say(logEntry({
      id,
      count: this.#logs.length,
      last: this.#logs.length - 1 + first,
      sizeBytes: node.content.sizeBytes,
      utcS: node.modifiedS,
    }));
    if (listing.next > listing.last) this.#listing = undefined;
  }

  #data(sending: { id: number; node: FileNode; at: number; end: number }): void {
    const target = new Uint8Array(Math.max(0, Math.min(DATA_BYTES, sending.end - sending.at)));
    const count = sending.node.content.read(sending.at, target);
    this.host.say(logData(sending.id, sending.at, target.subarray(0, count)));
    this.host.sentLogData(count);
    sending.at += count;
    if (count < DATA_BYTES || sending.at >= sending.end) this.#sending = undefined;
  }
}
