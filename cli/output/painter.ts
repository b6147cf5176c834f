/**
 * Lines at the bottom of a terminal that change in place, while other lines go by above them.
 *
 * Each change is one write: up, line by line with erase-to-end, erase what is below. Lines are not cleared before
 * they are drawn, so nothing flickers; no cursor is hidden and no mode outlives a write, so a killed program leaves a sane terminal.
 */
import { displayWidth } from "./width.ts";

export interface PainterOptions {
  /** Writes to the terminal. Not called again before it has resolved: a stopped terminal must not stop the program. */
  write: (text: string) => Promise<void>;
  size: () => { columns: number; rows: number };
}

/** Without wrapping a line whose width the terminal sees differently is cut, and does not push the others down. */
const WRAP_OFF = "\x1b[?7l";
const WRAP_ON = "\x1b[?7h";
const ERASE_LINE = "\x1b[K";
const ERASE_BELOW = "\x1b[J";

/** Text that waits for a stopped terminal is kept up to here, characters. */
const WAITING_MAX = 256 * 1024;

export class Painter {
  readonly #options: PainterOptions;
  #wanted: string[] = [];
  #above = "";
  #dropped = 0;
  #dirty = false;
  /** What is on the screen now; the cursor is at the end of the last line. */
  #shown: string[] = [];
  #writing: Promise<void> | undefined;

  constructor(options: PainterOptions) {
    this.#options = options;
  }

  /** Replaces the live lines. Too many for the terminal: the last ones are shown. */
  paint(lines: string[]): void {
    this.#wanted = lines;
    this.#dirty = true;
    this.#flush();
  }

  /** Prints whole lines, each ended by a newline, above the live lines: with the next change of these. */
  above(text: string): void {
    if (this.#above.length + text.length > WAITING_MAX) {
      this.paint(this.#wanted);
      if (this.#above !== "") {
        this.#dropped++;
        return;
      }
    }
    this.#above += text;
  }

  /** Takes the live lines away and waits until all is written. */
  async end(): Promise<void> {
    this.paint([]);
    while (this.#writing !== undefined) await this.#writing;
  }

  #flush(): void {
    if (this.#writing !== undefined || !this.#dirty) return;
    this.#dirty = false;
    const text = this.#compose();
    if (text === "") return;
    // A terminal that is gone is no reason to stop moving files.
    this.#writing = this.#options.write(text).catch(() => {}).then(() => {
      this.#writing = undefined;
      this.#flush();
    });
  }

  #compose(): string {
    const { columns, rows } = this.#options.size();
    // A line taller than the terminal could never be gone back to.
    const lines = this.#wanted.slice(-Math.max(1, rows - 1));
    let above = this.#above;
    this.#above = "";
    if (this.#dropped > 0) {
      above += `(${this.#dropped} lines left out: terminal was stopped)\n`;
      this.#dropped = 0;
    }
    if (above === "" && lines.length === 0 && this.#shown.length === 0) return "";
    if (above === "" && same(lines, this.#shown)) return "";
    // Terminals wrap long lines anew when they become narrower: what is shown may be taller than it was painted.
    const height = this.#shown.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(displayWidth(line) / columns)),
      0,
    );
    let text = "\r" + (height > 1 ? `\x1b[${height - 1}A` : "");
    if (above !== "") text += ERASE_BELOW + above;
    text += WRAP_OFF + lines.map((line) => line + ERASE_LINE).join("\r\n") + ERASE_BELOW + WRAP_ON;
    this.#shown = lines;
    return text;
  }
}

function same(a: string[], b: string[]): boolean {
  return a.length === b.length && a.every((line, index) => line === b[index]);
}
