/** Compares passwords, and makes guessing slow: each wrong one from an address doubles the wait for its next answer. */

import type { FtpUser } from "./types.ts";

/** Addresses that are remembered; the oldest goes first. */
const ADDRESSES_MAX = 1000;
/** A wrong password is forgotten after this, milliseconds. */
const FORGET_MS = 10 * 60_000;
/** The wait grows to so many times the first one. */
const GROWTH_MAX = 16;
/** Longest wait for a turn, milliseconds: who knows the password and shares the address still gets in. */
const TURN_MS_MAX = 45_000;

/** Somebody who may log in. */
export interface Account extends FtpUser {
  readOnly: boolean;
}

/** What the server knows of its users and of wrong passwords. */
export class LoginGuard {
  readonly #expected: { account: Account; user: Promise<Uint8Array>; passwd: Promise<Uint8Array> }[];
  readonly #firstDelayMs: number;
  readonly #failures = new Map<string, { count: number; lastMs: number; nextMs: number }>();

  /** @param firstDelayMs wait after the first wrong password of an address */
  constructor(accounts: readonly Account[], firstDelayMs: number) {
    this.#expected = accounts.map((account) => ({
      account,
      user: digest(account.user),
      passwd: digest(account.passwd),
    }));
    this.#firstDelayMs = firstDelayMs;
  }

  /** How long an answer to `address` is to be held back, milliseconds. */
  delayMs(address: string): number {
    const failure = this.#failures.get(address);
    if (failure === undefined || performance.now() - failure.lastMs > FORGET_MS) return 0;
    return this.#firstDelayMs * Math.min(GROWTH_MAX, 2 ** (failure.count - 1));
  }

  /**
   * How long a password from `address` waits for its turn, milliseconds. Passwords that come over several connections at
   * once wait one after another: guessing is no faster for having many.
   */
  turnMs(address: string): number {
    const delay = this.delayMs(address);
    const failure = this.#failures.get(address);
    if (delay === 0 || failure === undefined) return 0;
    const now = performance.now();
    failure.nextMs = Math.min(now + TURN_MS_MAX, Math.max(now, failure.nextMs) + delay);
    return failure.nextMs - now;
  }

  /** Whose the pair is; `undefined` for a wrong one. Takes the same time for every wrong one. */
  async check(address: string, user: string, passwd: string): Promise<Account | undefined> {
    const [userDigest, passwdDigest] = [await digest(user), await digest(passwd)];
    let found: Account | undefined;
    for (const expected of this.#expected) {
      const sameUser = equal(userDigest, await expected.user);
      const samePasswd = equal(passwdDigest, await expected.passwd);
      if (sameUser && samePasswd) found = expected.account;
    }
    if (found !== undefined) {
      this.#failures.delete(address);
      return found;
    }
    const count = this.delayMs(address) === 0 ? 0 : this.#failures.get(address)?.count ?? 0;
    const nextMs = this.#failures.get(address)?.nextMs ?? 0;
    this.#failures.delete(address);
    this.#failures.set(address, { count: count + 1, lastMs: performance.now(), nextMs });
    if (this.#failures.size > ADDRESSES_MAX) {
      for (const oldest of this.#failures.keys()) {
        this.#failures.delete(oldest);
        break;
      }
    }
    return undefined;
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
