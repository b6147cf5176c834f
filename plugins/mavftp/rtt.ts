/** How long an answer takes on this link: RFC 6298, with the limits of a USB cable and of a radio. */

const RTO_MIN_MS = 30;
const RTO_MAX_MS = 5000;
/** Answers are only as regular as the autopilot's tick (about 10 ms): less variation than that is luck. */
const GRANULARITY_MS = 10;

/** Round-trip time of one vehicle on one link. */
export class RttEstimator {
  #smoothedMs: number | undefined;
  #variationMs = 0;
  #initialMs: number;
  #backoff = 1;

  /** @param initialMs the time-out before anything was measured */
  constructor(initialMs: number = 500) {
    this.#initialMs = initialMs;
  }

  /** Milliseconds of an ordinary answer; `undefined` before the first. */
  get smoothedMs(): number | undefined {
    return this.#smoothedMs;
  }

  /** After how long an answer counts as lost, milliseconds. */
  get rtoMs(): number {
    const plainMs = this.#smoothedMs === undefined
      ? this.#initialMs
      : this.#smoothedMs + Math.max(GRANULARITY_MS, 4 * this.#variationMs);
    return Math.min(RTO_MAX_MS, Math.max(RTO_MIN_MS, plainMs) * this.#backoff);
  }

  /** A radio is on the way: slower, until measured. */
  expectRadio(): void {
    this.#initialMs = Math.max(this.#initialMs, 1500);
  }

  /** Takes the time of an answer to a request that was sent once. */
  sample(roundTripMs: number): void {
    this.#backoff = 1;
    if (this.#smoothedMs === undefined) {
      this.#smoothedMs = roundTripMs;
      this.#variationMs = roundTripMs / 2;
      return;
    }
    this.#variationMs += (Math.abs(this.#smoothedMs - roundTripMs) - this.#variationMs) / 4;
    this.#smoothedMs += (roundTripMs - this.#smoothedMs) / 8;
  }

  /** Nothing was heard at all for a whole time-out: wait twice as long. */
  backOff(): void {
    this.#backoff = Math.min(this.#backoff * 2, 16);
  }

  /** Something valid was heard. */
  hear(): void {
    this.#backoff = 1;
  }
}
