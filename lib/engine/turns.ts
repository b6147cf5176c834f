/**
 * Who may call a plugin next. One pool belongs to one process: the two roles of an exclusive device share it, so that
 * `callsMax`, fairness and running alone hold for both together.
 */

/** A gate as its pool sees it. */
export interface TurnTaker<T extends PooledTurn> {
  /** Whether a turn may be handed out now. */
  readonly isReady: boolean;
  /** Most calls at once, as far as this role knows. */
  readonly callsMax: number;
  /** Calls beyond it that may wait in the driver. */
  readonly callsAhead: number;
  newTurn(alone: boolean): T;
}

/** A turn as its pool sees it. */
export interface PooledTurn {
  /** No other call may run beside it. */
  readonly wantsAlone: boolean;
  /** Another call was under way when the plugin died. */
  shared: boolean;
}

interface Waiter {
  taker: TurnTaker<PooledTurn>;
  user: string;
  alone: boolean;
  ahead: boolean;
  resolve: (turn: PooledTurn) => void;
}

/** The turns at one process. */
export class TurnPool {
  readonly #takers = new Set<TurnTaker<PooledTurn>>();
  readonly #running = new Set<PooledTurn>();
  #waiting: Waiter[] = [];
  #lastUser = "";

  join(taker: TurnTaker<PooledTurn>): void {
    this.#takers.add(taker);
  }

  /** Gates on the same process. */
  get takers(): Iterable<TurnTaker<PooledTurn>> {
    return this.#takers;
  }

  /** Waits for a turn; a waiter that gives up costs nobody anything. */
  ask<T extends PooledTurn>(
    taker: TurnTaker<T>,
    user: string,
    options: { signal: AbortSignal; alone: boolean; ahead?: boolean },
  ): Promise<T> {
    const { signal, alone, ahead = false } = options;
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        reject(signal.reason);
        // It may have waited to run alone, and held up those behind it.
        this.serve();
      };
      const waiter: Waiter = {
        taker,
        user,
        alone,
        ahead,
        resolve: (turn) => {
          signal.removeEventListener("abort", onAbort);
          resolve(turn as T);
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(waiter);
      this.serve();
    });
  }

  hasWaiters(taker: TurnTaker<PooledTurn>): boolean {
    return this.#waiting.some((waiter) => waiter.taker === taker);
  }

  /** A call ended. All calls of a dead plugin fail together: only one that ran by itself is known to be the cause. */
  end(turn: PooledTurn, options: { pluginDied: boolean }): void {
    if (options.pluginDied && this.#running.size > 1) {
      for (const other of this.#running) other.shared = true;
    }
    this.#running.delete(turn);
  }

  /** Hands out turns: users take turns, each user's waiters in their order. */
  serve(): void {
    for (let waiter = this.#next(); waiter !== undefined; waiter = this.#next()) {
      const { taker, user, alone, resolve } = waiter;
      this.#waiting = this.#waiting.filter((other) => other !== waiter);
      this.#lastUser = user;
      const turn = taker.newTurn(alone);
      this.#running.add(turn);
      resolve(turn);
    }
  }

  #next(): Waiter | undefined {
    if (this.#waiting.length === 0) return undefined;
    const isAlone = [...this.#running].some((turn) => turn.wantsAlone);
    const { callsMax, callsAhead } = this.#limits;
    if (isAlone || this.#running.size >= callsMax + callsAhead) return undefined;
    const ready = this.#waiting.filter(({ taker }) => taker.isReady);
    const other = ready.find(({ user }) => user > this.#lastUser) ?? ready[0];
    if (other === undefined || (!other.ahead && this.#running.size >= callsMax)) return undefined;
    if (other.alone && this.#running.size > 0) return undefined;
    return other;
  }

  /** The process's own limits: the smaller ones where its roles differ. */
  get #limits(): { callsMax: number; callsAhead: number } {
    const limits = { callsMax: Infinity, callsAhead: Infinity };
    for (const { isReady, callsMax, callsAhead } of this.#takers) {
      if (!isReady) continue;
      limits.callsMax = Math.min(limits.callsMax, callsMax);
      limits.callsAhead = Math.min(limits.callsAhead, callsAhead);
    }
    return limits;
  }
}
