// What is known, kept up to date: one stream of events, and the rest asked for when something has happened.

/** How often the status is asked for at most, and at least while events cannot come, milliseconds. */
const STATUS_MS = 1000;
const POLL_MS = 10_000;
const HISTORY_MS = 10_000;

/** An answer that is no success. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>}
 */
export async function ask(path, init) {
  let response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new Refused(0, "FileSync does not answer");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const { message = response.statusText, hint } = answer.error ?? {};
  throw new Refused(response.status, hint === undefined ? message : `${message}: ${hint}`);
}

/**
 * @param {string} path
 * @param {object} body
 */
export function tell(path, body) {
  return ask(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

/**
 * @typedef {object} Known
 * @property {any} [status]
 * @property {any} [history]
 * @property {any[]} log
 * @property {string} [error] why what is shown may be old
 * @property {boolean} needsToken
 * @property {Map<string, string>} safe when devices became safe to unplug
 * @property {number} changes grows with every event of a file
 */

/** Keeps `Known` up to date and says when it has changed. */
export class Live {
  /** @type {Known} */
  known = { log: [], needsToken: false, safe: new Map(), changes: 0 };
  /** @type {(known: Known) => void} */
  #changed;
  /** @type {EventSource | undefined} */
  #source;
  #askedMs = -Infinity;
  /** @type {number | undefined} */
  #timer;

  /** @param {(known: Known) => void} changed */
  constructor(changed) {
    this.#changed = changed;
    this.start();
    setInterval(() => this.#refresh(), POLL_MS);
    setInterval(() => this.#askHistory(), HISTORY_MS);
  }

  /** Begins, or begins again after the token was told. */
  start() {
    this.#source?.close();
    this.#source = new EventSource("/api/events");
    this.#source.addEventListener("message", (message) => this.#take(JSON.parse(message.data)));
    this.#source.addEventListener("moving", (message) => {
      if (this.known.status === undefined) return;
      this.#set({ status: { ...this.known.status, moving: JSON.parse(message.data) } });
    });
    this.#source.addEventListener("reset", () => this.#refresh());
    this.#source.addEventListener("error", () => this.#refresh());
    this.#refresh();
    this.#askHistory();
  }

  /** @param {any} event */
  #take(event) {
    if (event.event === "safe_to_unplug") this.known.safe.set(event.device, event.time);
    // A drive that may be pulled is held until it was.
    const isUsed = event.event === "downloaded" || (event.event === "device" && event.held !== true);
    if (isUsed) this.known.safe.delete(event.device);
    this.known.changes++;
    this.#refresh();
  }

  /** Soon, and not for every event: ten thousand small files are one change. */
  #refresh() {
    if (this.#timer !== undefined) return;
    const restMs = this.#askedMs + STATUS_MS - performance.now();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#askStatus();
    }, Math.max(0, restMs));
  }

  async #askStatus() {
    this.#askedMs = performance.now();
    try {
      const [status, log] = await Promise.all([ask("/api/status"), ask("/api/log")]);
      const { error: _, ...rest } = this.known;
      this.known = { ...rest, status, log: log.lines, needsToken: false };
      this.#changed(this.known);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#set({ error: error.message, needsToken: error.status === 401 });
    }
  }

  async #askHistory() {
    try {
      this.#set({ history: await ask("/api/history") });
    } catch (error) {
      // Told by the status, which fails too.
      if (!(error instanceof Refused)) throw error;
    }
  }

  /** @param {Partial<Known>} part */
  #set(part) {
    this.known = { ...this.known, ...part };
    this.#changed(this.known);
  }
}
