/** A bandwidth limit that is divided among the calls that run: the driver enforces, the engine asks. */

/** One call's part of a limit. */
export interface LimitShare {
  /** Bytes per second now; absent: no limit. */
  readonly bytesPerSecond: number | undefined;
  /** Called whenever the part changes while the call runs. */
  onChange: ((bytesPerSecond: number) => void) | undefined;
  /** The call ended: its part goes to the others. */
  leave(): void;
}

/** Divides bytes per second evenly. */
export class SharedLimit {
  readonly #bytesPerSecond: number | undefined;
  readonly #shares = new Set<Share>();

  /** @param bytesPerSecond for all calls together; absent: no limit */
  constructor(bytesPerSecond?: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** A part for one more call; the others' parts shrink at once. */
  join(): LimitShare {
    const share = new Share((left) => {
      this.#shares.delete(left);
      this.#divide();
    });
    this.#shares.add(share);
    this.#divide();
    return share;
  }

  #divide(): void {
    if (this.#bytesPerSecond === undefined) return;
    const part = Math.max(1, Math.floor(this.#bytesPerSecond / Math.max(1, this.#shares.size)));
    for (const share of this.#shares) share.set(part);
  }
}

class Share implements LimitShare {
  bytesPerSecond: number | undefined;
  onChange: ((bytesPerSecond: number) => void) | undefined;
  readonly #onLeave: (share: Share) => void;

  constructor(onLeave: (share: Share) => void) {
    this.#onLeave = onLeave;
  }

  set(bytesPerSecond: number): void {
    if (this.bytesPerSecond === bytesPerSecond) return;
    this.bytesPerSecond = bytesPerSecond;
    this.onChange?.(bytesPerSecond);
  }

  leave(): void {
    this.onChange = undefined;
    this.#onLeave(this);
  }
}
