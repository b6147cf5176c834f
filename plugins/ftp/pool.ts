/**
 * Connections, kept between calls. It starts with one and grows while the server takes more; when the server says "too
 * many" it steps back, tells the host, and remembers the number for a day.
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

  /** Tries to get one more connection in the background; call it after a transfer that worked. */
  grow(): void {
    const { connections, memory } = this.#options;
    const max = Math.min(connections, memory.connectionsMax ?? connections);
    const isUsed = this.#busyCount + this.#idle.length >= this.#limit;
    if (this.#isClosed || this.#growing !== undefined || this.#limit >= max || !isUsed) return;
    this.#growing = this.#growOne().finally(() => this.#growing = undefined);
  }

  /** Resolves when no connection is being made in the background. */
  async settled(): Promise<void> {
    await this.#growing;
  }

  /** Says goodbye on every idle connection and ends every busy one. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#closeTimer);
    await this.#growing;
    await Promise.all(this.#idle.splice(0).map(({ session }) => session.quit()));
  }

  async #growOne(): Promise<void> {
    try {
      const session = await this.#options.open();
      this.#keep(session);
      this.#setLimit(this.#limit + 1);
    } catch (error) {
      if (error instanceof TooManyConnections) {
        this.#options.memory.learnCrowded();
        this.#options.memory.learnConnections(this.#limit);
        this.#planClose();
      }
      // Any other trouble is met by the next call, which reports it.
    }
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
    try {
      return await work(session);
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
