/**
 * The host ends a plugin whose call is silent for 60 s, and servers can be silent for as long: a driver gives each wait a
 * time limit of its own, and until that is over the host hears that the call is alive.
 */
import type { Call, Entry } from "../driver/mod.ts";

/** Between two signs of life, milliseconds. */
const BEAT_MS = 20_000;
/** How long the host may wait for the next one, milliseconds. */
const WAIT_MS = 60_000;

/** {@linkcode Call} with a heartbeat, until it is disposed of. */
export class LivingCall implements Call, Disposable {
  readonly #call: Call;
  readonly #timer: ReturnType<typeof setInterval>;
  #doneBytes: number;

  /** @param startBytes what is held of the file before anything moves */
  constructor(call: Call, startBytes: number) {
    this.#call = call;
    this.#doneBytes = startBytes;
    this.#timer = setInterval(() => call.progress(this.#doneBytes, { waitMs: WAIT_MS }), BEAT_MS);
  }

  get signal(): AbortSignal {
    return this.#call.signal;
  }

  progress(doneBytes: number, options?: { waitMs?: number; resume?: unknown }): void {
    this.#doneBytes = doneBytes;
    this.#call.progress(doneBytes, options);
  }

  entries(entries: Entry[]): Promise<void> {
    return this.#call.entries(entries);
  }

  throttle(bytes: number): Promise<void> {
    return this.#call.throttle(bytes);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
