/**
 * Server-sent events (WHATWG HTML, section 9.2): all that `sync --json` prints, with numbers to go on from, and how far
 * moving files are. A reader takes at its own pace: nothing waits for it, and nothing piles up for it.
 */
import { randomBytes } from "node:crypto";
import { Bell } from "../driver/mod.ts";
import {
  type EventBus,
  type EventTeller,
  type FilesyncEvent,
  type MovingFile,
  movingFiles,
  Progress,
} from "../observe/mod.ts";
import { EventRing } from "./event_ring.ts";

/** Readers at once; each is a connection. */
const READERS_MAX = 32;
/** How often moving files are told, and how often a silent stream says that it lives, milliseconds. */
const MOVING_MS = 500;
const ALIVE_MS = 15_000;
/** Least time between two pieces, milliseconds: events that come together are sent together. */
const PACE_MS = 100;
/** Moving files that are told, and events that are sent in one piece. */
const MOVING_MAX = 100;
const PIECE_MAX = 200;
/** How long a browser waits before it connects again, milliseconds. */
const RETRY_MS = 2000;

/** What the stream is made of. */
export interface EventStreamOptions {
  events: EventBus;
  teller: EventTeller;
  targetsOf: Map<string, number>;
}

/** Keeps the last events and serves readers. */
export class EventStream {
  readonly #teller: EventTeller;
  readonly #ring = new EventRing();
  readonly #bell = new Bell();
  readonly #progress: Progress;
  readonly #stopListening: () => void;
  readonly #ended = new AbortController();
  /** Numbers of another run mean nothing in this one. */
  readonly #run = randomBytes(4).toString("hex");
  #readers = 0;

  constructor({ events, teller, targetsOf }: EventStreamOptions) {
    this.#teller = teller;
    this.#progress = new Progress(targetsOf);
    this.#stopListening = events.listen((event) => this.#take(event));
  }

  /** Files that move now, those that started first on top; at most 100. */
  moving(): MovingFile[] {
    return movingFiles(this.#progress, performance.now(), this.#teller).slice(0, MOVING_MAX);
  }

  /**
   * A stream for one reader.
   * @param lastId the last event that it has (`Last-Event-ID`); absent: only what happens from now on
   * @returns `undefined` when there are too many readers
   */
  open(lastId: string | undefined): ReadableStream<Uint8Array> | undefined {
    if (this.#readers >= READERS_MAX) return undefined;
    this.#readers++;
    const reader = new Reader(this.#ring, this.#run, () => this.moving(), lastId);
    let isOpen = true;
    const close = () => {
      if (isOpen) this.#readers--;
      isOpen = false;
    };
    const encoder = new TextEncoder();
    const closing = new AbortController();
    const signal = AbortSignal.any([closing.signal, this.#ended.signal]);
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        // Called when the reader has room: what it does not take stays in the ring, where it is bounded.
        await new Bell().wait(signal, reader.restMs);
        let text = reader.next();
        while (text === "" && !signal.aborted) {
          // Looks again in any case: files move on without an event.
          await this.#bell.wait(signal, MOVING_MS);
          text = reader.next();
        }
        if (signal.aborted) {
          close();
          if (!closing.signal.aborted) controller.close();
        } else controller.enqueue(encoder.encode(text));
      },
      cancel: () => {
        closing.abort();
        close();
      },
    }, { highWaterMark: 0 });
  }

  /** Ends all streams. */
  close(): void {
    this.#stopListening();
    this.#ended.abort();
  }

  #take(event: FilesyncEvent): void {
    this.#progress.apply(event, performance.now());
    // How far a file is now is old news in a moment, and the bulk of all events: it is told by what moves.
    if (event.event === "progress") return;
    this.#ring.push(JSON.stringify(this.#teller.tell(event)));
    this.#bell.ring();
  }
}

/** What one reader has and what it gets next. */
class Reader {
  readonly #ring: EventRing;
  readonly #run: string;
  readonly #moving: () => MovingFile[];
  #at: number;
  #head: string;
  #movingText = "";
  #movingMs = -Infinity;
  #spokeMs = performance.now();

  constructor(ring: EventRing, run: string, moving: () => MovingFile[], lastId: string | undefined) {
    this.#ring = ring;
    this.#run = run;
    this.#moving = moving;
    const [lastRun, number] = lastId?.split("-") ?? [];
    this.#at = lastRun === run && /^\d{1,15}$/.test(number ?? "") ? Number(number) : ring.newest;
    this.#head = `retry: ${RETRY_MS}\n\n`;
    // Of another run: what happened meanwhile is not known here.
    if (lastId === undefined || lastRun !== run) this.#head += this.#reset();
  }

  /** How long it is until the next piece may be sent, milliseconds. */
  get restMs(): number {
    return this.#head === "" ? Math.max(0, this.#spokeMs + PACE_MS - performance.now()) : 0;
  }

  /** Text to send now; empty: nothing yet. */
  next(): string {
    const nowMs = performance.now();
    let text = this.#head;
    this.#head = "";
    const events = this.#ring.after(this.#at, PIECE_MAX);
    if (events === undefined) {
      this.#at = this.#ring.newest;
      text += this.#reset();
    } else {
      for (const event of events) text += `id: ${this.#run}-${event.number}\ndata: ${event.text}\n\n`;
      this.#at += events.length;
    }
    if (nowMs - this.#movingMs >= MOVING_MS) {
      this.#movingMs = nowMs;
      const moving = JSON.stringify(this.#moving());
      if (moving !== this.#movingText) text += `event: moving\ndata: ${moving}\n\n`;
      this.#movingText = moving;
    }
    if (text === "" && nowMs - this.#spokeMs >= ALIVE_MS) text = ": alive\n\n";
    if (text !== "") this.#spokeMs = nowMs;
    return text;
  }

  /** Tells the reader to look at everything anew, and from where it goes on. */
  #reset(): string {
    return `event: reset\nid: ${this.#run}-${this.#at}\ndata: {}\n\n`;
  }
}
