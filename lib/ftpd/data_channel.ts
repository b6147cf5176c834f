/** One data connection: moves bytes, notices a stall, and can be aborted at any moment. */
import { full, type Quota } from "./quota.ts";
import { Refusal } from "./refusal.ts";
import type { Wire } from "./types.ts";

/** Bytes that are moved at a time. */
export const BLOCK_BYTES = 256 * 1024;

/** What can be ended from outside while a transfer runs. */
export interface Abortable {
  abort(reason: string): void;
}

/** A connection that can say where its bytes end: TLS says it with a word of its own, TCP by closing. */
type DataWire = Wire & { finish?(): Promise<void> };

/** A data connection under a watchdog. Its own failures are `Refusal`s of code 426. */
export class DataChannel implements Abortable {
  /** Bytes moved so far. */
  bytes = 0;
  /** When the last byte moved, by `performance.now()`. */
  movedAt = performance.now();
  readonly #wire: DataWire;
  readonly #watchdog: ReturnType<typeof setInterval>;
  #ended: string | undefined;
  #closed = false;

  /** @param stallMs without a byte for so long the connection is closed */
  constructor(wire: DataWire, stallMs: number) {
    this.#wire = wire;
    this.#watchdog = setInterval(() => {
      if (performance.now() - this.movedAt > stallMs) this.abort("Data connection stalled");
    }, Math.max(10, stallMs / 4));
  }

  /** Fills a part of `buffer`; `null` at the end. */
  async read(buffer: Uint8Array): Promise<number | null> {
    const count = await this.#do(() => this.#wire.read(buffer));
    if (count !== null) this.#moved(count);
    return count;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const count = await this.#do(() => this.#wire.write(bytes.subarray(at)));
      at += count;
      this.#moved(count);
    }
  }

  /** Resolves when nothing of the connection is left, where that takes longer than `close()`. */
  get ended(): Promise<unknown> | undefined {
    return this.#wire.ended;
  }

  /** Says that all was written, when it has left; before `close()`, which on TLS would say nothing. */
  async finish(): Promise<void> {
    await this.#do(async () => await this.#wire.finish?.());
  }

  /** Ends the transfer: a pending read or write fails with `reason`. */
  abort(reason: string): void {
    this.#ended ??= reason;
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#watchdog);
    this.#wire.close();
  }

  #moved(count: number): void {
    this.bytes += count;
    this.movedAt = performance.now();
  }

  async #do<T>(action: () => Promise<T>): Promise<T> {
    if (this.#ended !== undefined) throw new Refusal(426, this.#ended);
    let result: T;
    try {
      result = await action();
    } catch (error) {
      throw new Refusal(426, this.#ended ?? "Data connection broke", { cause: error });
    }
    // Closing a connection lets a pending read end as if the peer had ended it.
    if (this.#ended !== undefined) throw new Refusal(426, this.#ended);
    return result;
  }
}

/** Sends `file` from where it stands to its end, or so many bytes of it. */
export async function sendFile(file: Deno.FsFile, data: DataChannel, bytesMax = Infinity): Promise<void> {
  const buffer = new Uint8Array(BLOCK_BYTES);
  for (let left = bytesMax; left > 0;) {
    const count = await file.read(buffer.subarray(0, Math.min(buffer.length, left)));
    if (count === null) return;
    await data.write(buffer.subarray(0, count));
    left -= count;
  }
}

/**
 * Writes what comes until the peer ends it to `file`.
 * @throws {Refusal} 552 when the quota is used up; what fits is written
 */
export async function receiveFile(file: Deno.FsFile, data: DataChannel, quota: Quota): Promise<void> {
  const buffer = new Uint8Array(BLOCK_BYTES);
  for (let count = await data.read(buffer); count !== null; count = await data.read(buffer)) {
    const granted = quota.take(count);
    let at = 0;
    try {
      while (at < granted) at += await file.write(buffer.subarray(at, granted));
    } finally {
      quota.free(granted - at);
    }
    if (granted < count) throw full();
  }
}

/** Gathers lines into blocks of 64 KiB before they are sent. */
export class LineSender {
  readonly #data: DataChannel;
  readonly #encoder = new TextEncoder();
  #text = "";

  constructor(data: DataChannel) {
    this.#data = data;
  }

  async line(line: string): Promise<void> {
    this.#text += `${line}\r\n`;
    if (this.#text.length > 65_536) await this.flush();
  }

  async flush(): Promise<void> {
    const text = this.#text;
    this.#text = "";
    if (text !== "") await this.#data.write(this.#encoder.encode(text));
  }
}
