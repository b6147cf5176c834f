/** A plugin's stderr and `$/log` become the device's log: at a bounded rate, in lines of a bounded length. */
import type { LogLevel } from "../driver/mod.ts";
import type { Clock } from "./clock.ts";
import type { Words } from "./words.ts";

/** Where a device's log lines go. */
export type DeviceLog = (level: LogLevel, message: string) => void;

const LINES_PER_SECOND = 50;
const LINES_BURST = 200;
/** Longest part of a line of stderr that is kept, bytes. */
const LINE_BYTES_KEPT = 4096;
const NEWLINE = 10;

/** A token bucket of lines. What does not pass is counted, and the count is told before the next line that does. */
export class LogGate {
  readonly #log: DeviceLog;
  readonly #clock: Clock;
  #tokens = LINES_BURST;
  #refilledMs: number;
  #suppressed = 0;

  constructor(log: DeviceLog, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
    this.#refilledMs = clock.nowMs();
  }

  get isOpen(): boolean {
    const nowMs = this.#clock.nowMs();
    this.#tokens = Math.min(LINES_BURST, this.#tokens + ((nowMs - this.#refilledMs) / 1000) * LINES_PER_SECOND);
    this.#refilledMs = nowMs;
    return this.#tokens >= 1;
  }

  write(level: LogLevel, message: string): void {
    if (!this.isOpen) {
      this.#suppressed++;
      return;
    }
    this.#tokens--;
    this.tellSuppressed();
    this.#log(level, message);
  }

  suppress(lines: number): void {
    this.#suppressed += lines;
  }

  /** Logs how many lines did not pass, if any; for the end of the process too. */
  tellSuppressed(): void {
    if (this.#suppressed === 0) return;
    this.#log("warning", `${this.#suppressed} lines suppressed: at most ${LINES_PER_SECOND} a second are logged`);
    this.#suppressed = 0;
  }
}

/** Cuts stderr into lines for a {@linkcode LogGate}, in memory that does not depend on what arrives. */
export class StderrLog {
  readonly #gate: LogGate;
  readonly #words: Words;
  readonly #decoder = new TextDecoder();
  readonly #kept = new Uint8Array(LINE_BYTES_KEPT);
  #length = 0;
  #lastWords = "";

  constructor(gate: LogGate, words: Words) {
    this.#gate = gate;
    this.#words = words;
  }

  /** The last line that was not blank: where an interpreter names the exception that ended it. */
  get lastWords(): string {
    return this.#lastWords;
  }

  push(chunk: Uint8Array): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#keep(chunk.subarray(start, end));
      this.#finish();
      start = end + 1;
      if (!this.#gate.isOpen) start = this.#skip(chunk, start);
    }
    this.#keep(chunk.subarray(start));
  }

  end(): void {
    if (this.#length > 0) this.#finish();
  }

  /** Counts the lines from `start` on without decoding any but the last; returns where the rest begins. */
  #skip(chunk: Uint8Array, start: number): number {
    const last = chunk.lastIndexOf(NEWLINE);
    if (last < start) return start;
    let lines = 0;
    let lineStart = start;
    for (let at = start; at < last; at++) {
      if (chunk[at] !== NEWLINE) continue;
      lines++;
      lineStart = at + 1;
    }
    this.#gate.suppress(lines);
    this.#keep(chunk.subarray(lineStart, last));
    this.#finish();
    return last + 1;
  }

  #keep(part: Uint8Array): void {
    const room = LINE_BYTES_KEPT - this.#length;
    const taken = part.length > room ? part.subarray(0, room) : part;
    this.#kept.set(taken, this.#length);
    this.#length += taken.length;
  }

  #finish(): void {
    const text = this.#words(this.#decoder.decode(this.#kept.subarray(0, this.#length)), LINE_BYTES_KEPT);
    this.#length = 0;
    if (text === "") return;
    this.#lastWords = text;
    this.#gate.write("info", text);
  }
}
