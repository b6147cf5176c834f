/**
 * A stream of this process that must never stop it: a reader that does not read, a terminal that Ctrl-S has stopped.
 * Text waits in a bounded queue and is written beside the work; what finds no room is dropped and counted.
 */
import { writeAllSync } from "./write_all.ts";

/** The part of a standard stream that is used. */
export interface OutletStream {
  /** Beside the work: resolves when some of it was taken. */
  write(bytes: Uint8Array): Promise<number>;
  /** At once, only where that cannot take long. */
  writeSync(bytes: Uint8Array): number;
}

/** How an outlet treats its stream. */
export interface OutletOptions {
  /** Most characters that wait. */
  waitingMax: number;
  /** Whether a write may wait for a reader: not so for a regular file. */
  mayWait: boolean;
  /** What is written when there is room again, for what was dropped meanwhile; absent: nothing. */
  apology?: (dropped: number) => string;
}

/** A non-blocking stream that is full is tried again after, ms. */
const NAP_MS = 5;

/** Writes to one stream. */
export class Outlet {
  readonly #stream: OutletStream;
  readonly #options: OutletOptions;
  #waiting = "";
  #dropped = 0;
  #isOpen = true;
  #pumping: Promise<void> | undefined;
  /** Writes that came through: shows {@linkcode flush} that somebody reads. */
  #writes = 0;

  constructor(stream: OutletStream, options: OutletOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  /** `false` when nobody reads any more. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Characters that wait to be written. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Texts that found no room and are not told yet. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes a text whole or drops it whole. */
  write(text: string): void {
    if (!this.#isOpen) return;
    if (!this.#options.mayWait) {
      this.#isOpen = writeAllSync(this.#stream, text, Infinity);
      return;
    }
    if (this.#waiting !== "" && this.#waiting.length + text.length > this.#options.waitingMax) {
      this.#dropped++;
      return;
    }
    this.#waiting += text;
    this.#pumping ??= this.#pump();
  }

  /** Waits until all is written, or until nothing was taken for `patienceMs`. */
  async flush(patienceMs: number): Promise<void> {
    while (this.#pumping !== undefined) {
      const before = this.#writes;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const patience = new Promise<void>((resolve) => timer = setTimeout(resolve, patienceMs));
      await Promise.race([this.#pumping, patience]);
      clearTimeout(timer);
      if (this.#pumping !== undefined && this.#writes === before) return;
    }
  }

  async #pump(): Promise<void> {
    // What is written in one turn of the event loop goes out together.
    await Promise.resolve();
    while (this.#isOpen && this.#waiting !== "") {
      const bytes = new TextEncoder().encode(this.#waiting);
      this.#waiting = "";
      for (let at = 0; this.#isOpen && at < bytes.length;) at += await this.#writeSome(bytes.subarray(at));
      if (this.#dropped > 0 && this.#options.apology !== undefined) {
        this.#waiting += this.#options.apology(this.#dropped);
        this.#dropped = 0;
      }
    }
    this.#pumping = undefined;
  }

  async #writeSome(bytes: Uint8Array): Promise<number> {
    try {
      const written = await this.#stream.write(bytes);
      this.#writes++;
      return written;
    } catch (error) {
      if (error instanceof Deno.errors.WouldBlock) await new Promise((resolve) => setTimeout(resolve, NAP_MS));
      else if (!(error instanceof Deno.errors.Interrupted)) this.#isOpen = false;
      return 0;
    }
  }
}

/** Whether a write to a standard stream may wait for whoever reads it. */
export function mayWait(path: "/dev/stdout" | "/dev/stderr"): boolean {
  try {
    return !Deno.statSync(path).isFile;
  } catch {
    return true;
  }
}

let stderr: Outlet | undefined;

/** stderr, for the words to people of this whole process. */
export function stderrOutlet(): Outlet {
  stderr ??= new Outlet(Deno.stderr, {
    waitingMax: 256 * 1024,
    mayWait: mayWait("/dev/stderr"),
    apology: (dropped) => `filesync: ${dropped} lines found no reader and were dropped\n`,
  });
  return stderr;
}
