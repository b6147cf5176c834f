/** Compares passwords, and makes guessing slow: each wrong one from an address doubles the wait for its next answer. */

/** Addresses that are remembered; the oldest goes first. */
const ADDRESSES_MAX = 1000;
/** A wrong password is forgotten after this, milliseconds. */
const FORGET_MS = 10 * 60_000;
/** The wait grows to so many times the first one. */
const GROWTH_MAX = 16;

/** What the server knows of wrong passwords. */
export class LoginGuard {
  readonly #expected: { user: Promise<Uint8Array>; passwd: Promise<Uint8Array> };
  readonly #firstDelayMs: number;
  readonly #failures = new Map<string, { count: number; lastMs: number }>();

  /** @param firstDelayMs wait after the first wrong password of an address */
  constructor(user: string, passwd: string, firstDelayMs: number) {
    this.#expected = { user: digest(user), passwd: digest(passwd) };
    this.#firstDelayMs = firstDelayMs;
  }

  /** How long an answer to `address` is to be held back, milliseconds. */
  delayMs(address: string): number {
    const failure = this.#failures.get(address);
    if (failure === undefined || performance.now() - failure.lastMs > FORGET_MS) return 0;
    return this.#firstDelayMs * Math.min(GROWTH_MAX, 2 ** (failure.count - 1));
  }

  /** Whether the pair is the right one. Takes the same time for every wrong one. */
  async check(address: string, user: string, passwd: string): Promise<boolean> {
    const sameUser = equal(await digest(user), await this.#expected.user);
    const samePasswd = equal(await digest(passwd), await this.#expected.passwd);
    if (sameUser && samePasswd) {
      this.#failures.delete(address);
      return true;
    }
    const count = this.delayMs(address) === 0 ? 0 : this.#failures.get(address)?.count ?? 0;
    this.#failures.delete(address);
    this.#failures.set(address, { count: count + 1, lastMs: performance.now() });
    if (this.#failures.size > ADDRESSES_MAX) {
      for (const oldest of this.#failures.keys()) {
        this.#failures.delete(oldest);
        break;
      }
    }
    return false;
  }
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}
