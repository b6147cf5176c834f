/**
 * Connections, kept between calls. It starts with one and grows while that pays and the server takes more; when the server
 * says "too many" it steps back, tells the host, and remembers the number for a day.
 *
 * A small file costs its connection three round trips of waiting, and more where TCP begins slowly, and there is no way
 * round it on one connection: servers take no command while they send (pure-ftpd answers 500 and has eaten it). So others
 * wait beside it. The default of 16 is half of what many servers have for everybody.
 */
import { TooManyConnections } from "./errors.ts";
import type { Memory } from "./memory.ts";
import type { Session } from "./session.ts";
import { ConnectionLost } from "./stream.ts";

/** An idle connection is asked for a sign of life after this time, milliseconds: NAT forgets, servers hang up. */
const VALIDATE_AFTER_MS = 30_000;
/** An idle connection is closed after this time, milliseconds. */
const CLOSE_AFTER_MS = 60_000;
/**
 * The same at a server that has said "too many", milliseconds: the other role of one job may wait for this very
 * connection, and a finder that lists each 10 s would never let go of it.
 */
const CLOSE_CROWDED_AFTER_MS = 1000;
const NOOP_TIMEOUT_MS = 5_000;
/** How many connections keep a server busy that answers at once: more of them would only be in each other's way. */
const NEAR_COUNT = 4;
/** Round trips of a small file that pass while its connection does nothing: for a port, a connection, and the first bytes. */
const WAITED_ROUND_TRIPS = 3;
/** A call that waited for so much of its time leaves room for others beside it; a link that is full leaves none. */
const WAITED_SHARE = 0.25;
/** From this round trip on there is something to wait for, milliseconds: below it a busy machine is what takes time. */
const FAR_MS = 5;
/** Connections that are made at once, at most: firewalls take more of them for an attack. */
const GROW_COUNT_MAX = 8;
/** How long calls that come together are waited for, milliseconds. */
const GATHER_MS = 10;
/** After a connection that could not be made, for whatever reason, no further one is tried for so long, milliseconds. */
const GROW_PAUSE_MS = 10_000;

export interface PoolOptions {
  /** Most connections, from the configuration. */
  connections: number;
  memory: Memory;
  open: (signal?: AbortSignal) => Promise<Session>;
  /** Told whenever the number of calls that may run at once changes. */
  onLimit: (callsMax: number) => void;
}

interface Idle {
  session: Session;
  sinceMs: number;
}

/** Hands out sessions, one call each. */
export class Pool {
  readonly #options: PoolOptions;
  #limit = 1;
  #busyCount = 0;
  #idle: Idle[] = [];
  #waiting: (() => void)[] = [];
  #growing: Promise<void> | undefined;
  #growsAgainMs = 0;
  /** Bytes have come or gone: the server is one that connections can be made to. */
  #isProven = false;
  #soon: ReturnType<typeof setTimeout> | undefined;
  /** Most connections that pay, as the last call showed. */
  #worthCount = NEAR_COUNT;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Calls that may run at once now. */
  get limit(): number {
    return this.#limit;
  }

  /**
   * Runs `work` on a session. When a kept session turns out dead before it answered anything, `work` runs once more on a
   * fresh one. Aborting `signal` closes the session.
   */
  async use<T>(signal: AbortSignal, work: (session: Session) => Promise<T>): Promise<T> {
    for (let canBeStale = true;; canBeStale = false) {
      signal.throwIfAborted();
      await this.#enter(signal);
      let session: Session | undefined;
      try {
        const kept = canBeStale ? await this.#takeIdle() : undefined;
        session = kept ?? await this.#open(signal);
        const repliesBefore = session.control.repliesCount;
        try {
          return await this.#work(session, signal, work);
        } catch (error) {
          const isStale = kept !== undefined && error instanceof ConnectionLost &&
            session.control.repliesCount === repliesBefore;
          if (!isStale || signal.aborted) throw error;
        }
      } finally {
        this.#leave(session);
      }
    }
  }

  /** A transfer worked: more connections are made in the background, as many as calls wait for, and at least one. */
  grow(): void {
    this.#isProven = true;
    this.#grow(1);
  }

  /**
   * A listing worked: more connections are made, if calls wait for them. From now on, as from the first transfer on, a call
   * that has to wait has them made by itself.
   */
  growForWaiting(): void {
    this.#isProven = true;
    this.#grow(0);
  }

  /** @param leastCount how many are made when nobody waits */
  #grow(leastCount: number): void {
    const { connections, memory } = this.#options;
    const max = Math.min(connections, this.#worthCount, memory.connectionsMax ?? connections);
    const isUsed = this.#busyCount + this.#idle.length >= this.#limit;
    const waitingCount = this.#waiting.length;
    if (this.#isClosed || this.#growing !== undefined || this.#limit >= max || !isUsed) return;
    if (leastCount + waitingCount === 0 || performance.now() < this.#growsAgainMs) return;
    // Where calls wait more of them will: the host gives no more than it may. A server is met by few at first.
    const wantedCount = waitingCount === 0 ? leastCount : Math.max(waitingCount, this.#limit);
    this.#growing = this.#growBy(Math.min(max - this.#limit, GROW_COUNT_MAX, 3 * this.#limit, wantedCount))
      .finally(() => {
        this.#growing = undefined;
        this.#growSoon();
      });
  }

  /** Once the calls that came together are all there. */
  #growSoon(): void {
    if (!this.#isProven || this.#waiting.length === 0 || this.#soon !== undefined) return;
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      this.#grow(0);
    }, GATHER_MS);
  }

  /** Resolves when no connection is being made in the background. */
  async settled(): Promise<void> {
    while (this.#growing !== undefined) await this.#growing;
  }

  /** Says goodbye on every idle connection and ends every busy one. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#soon);
    clearTimeout(this.#closeTimer);
    await this.settled();
    await Promise.all(this.#idle.splice(0).map(({ session }) => session.quit()));
  }

  async #growBy(count: number): Promise<void> {
    let isRefused = false;
    await Promise.all(Array.from({ length: count }, async () => {
      try {
        this.#keep(await this.#options.open());
        this.#setLimit(this.#limit + 1);
      } catch (error) {
        isRefused ||= error instanceof TooManyConnections;
        this.#growsAgainMs = performance.now() + GROW_PAUSE_MS;
        // Any other trouble is met by the next call, which reports it.
      }
    }));
    if (!isRefused) return;
    this.#options.memory.learnCrowded();
    this.#options.memory.learnConnections(this.#limit);
    this.#planClose();
  }

  /** What a call tells of the link: whether its time went into waiting, which more connections would share. */
  #noteCall(session: Session, tookMs: number): void {
    const { roundTripMs } = session;
    const isFar = roundTripMs >= FAR_MS && roundTripMs < Infinity;
    const pays = isFar && WAITED_ROUND_TRIPS * roundTripMs >= WAITED_SHARE * tookMs;
    this.#worthCount = pays ? Infinity : NEAR_COUNT;
  }

  #setLimit(limit: number): void {
    if (limit === this.#limit) return;
    this.#limit = limit;
    this.#options.onLimit(limit);
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #enter(signal: AbortSignal): Promise<void> {
    while (this.#busyCount >= this.#limit) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.#waiting.push(wake);
        signal.addEventListener("abort", wake, { once: true });
        this.#growSoon();
      });
      signal.throwIfAborted();
    }
    this.#busyCount++;
  }

  #leave(session: Session | undefined): void {
    this.#busyCount--;
    if (session !== undefined && !session.isClosed) {
      if (session.control.isInStep) this.#keep(session);
      else session.close();
    }
    this.#waiting.shift()?.();
  }

  #keep(session: Session): void {
    if (this.#isClosed) {
      session.close();
      return;
    }
    this.#idle.push({ session, sinceMs: performance.now() });
    this.#planClose();
  }

  async #takeIdle(): Promise<Session | undefined> {
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      const { session, sinceMs } = idle;
      if (session.isClosed) continue;
      if (performance.now() - sinceMs < VALIDATE_AFTER_MS) return session;
      try {
        await session.control.command("NOOP", NOOP_TIMEOUT_MS);
        return session;
      } catch {
        session.close();
      }
    }
    return undefined;
  }

  async #open(signal: AbortSignal): Promise<Session> {
    try {
      return await this.#options.open(signal);
    } catch (error) {
      const othersCount = this.#busyCount - 1;
      if (error instanceof TooManyConnections) {
        this.#options.memory.learnCrowded();
        if (othersCount > 0) {
          this.#options.memory.learnConnections(othersCount);
          this.#setLimit(Math.min(this.#limit, othersCount));
        }
      }
      throw error;
    }
  }

  async #work<T>(session: Session, signal: AbortSignal, work: (session: Session) => Promise<T>): Promise<T> {
    const onAbort = () => session.close();
    signal.addEventListener("abort", onAbort, { once: true });
    const sinceMs = performance.now();
    try {
      const result = await work(session);
      this.#noteCall(session, performance.now() - sinceMs);
      return result;
    } catch (error) {
      if (error instanceof ConnectionLost) session.close();
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #planClose(): void {
    clearTimeout(this.#closeTimer);
    const afterMs = this.#options.memory.isCrowded ? CLOSE_CROWDED_AFTER_MS : CLOSE_AFTER_MS;
    this.#closeTimer = setTimeout(() => {
      const nowMs = performance.now();
      const old = this.#idle.filter(({ sinceMs }) => nowMs - sinceMs >= afterMs);
      this.#idle = this.#idle.filter(({ sinceMs }) => nowMs - sinceMs < afterMs);
      for (const { session } of old) void session.quit();
      if (this.#idle.length > 0) this.#planClose();
    }, afterMs);
    // It must not keep a process alive whose host is gone.
    Deno.unrefTimer(this.#closeTimer);
  }
}
