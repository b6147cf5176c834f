/**
 * The last events, each with a number, so that who was away for a moment misses none. Bounded: who was away for longer is
 * told so.
 */

/** Events that are kept, and the most characters of all of them. */
const EVENTS_MAX = 10_000;
const CHARACTERS_MAX = 2 * 1024 * 1024;

/** One event as it is sent. */
export interface NumberedEvent {
  number: number;
  text: string;
}

export class EventRing {
  readonly #texts: string[] = [];
  #first = 1;
  #characters = 0;

  /** Number of the newest event; 0: there was none. */
  get newest(): number {
    return this.#first + this.#texts.length - 1;
  }

  /** Adds an event. */
  push(text: string): void {
    this.#texts.push(text);
    this.#characters += text.length;
    // A part at a time: moving a long array for each event would cost more than the event.
    if (this.#texts.length <= EVENTS_MAX && this.#characters <= CHARACTERS_MAX) return;
    const leaving = this.#texts.splice(0, Math.ceil(this.#texts.length / 10));
    this.#first += leaving.length;
    this.#characters -= leaving.reduce((sum, text) => sum + text.length, 0);
  }

  /** At most `most` events after number `after`; `undefined` when some of them are not kept any more. */
  after(after: number, most: number): NumberedEvent[] | undefined {
    if (after < this.#first - 1 || after > this.newest) return undefined;
    const from = after + 1 - this.#first;
    return this.#texts.slice(from, from + most).map((text, index) => ({ number: after + 1 + index, text }));
  }
}
