/**
 * The live display: redraws at most eight times a second, and only while something changes.
 */
import { type FilesyncEvent, setConsoleWriter, writeAllSync } from "../../lib/observe/mod.ts";
import { Painter } from "./painter.ts";
import { Progress } from "../../lib/observe/mod.ts";
import { render } from "./render.ts";
import { terminalSize } from "./terminal.ts";
import { wrapAll } from "./wrap.ts";

const FRAME_MS = 125;
/** How long a terminal that takes nothing is waited for at the end, milliseconds. */
const STOPPED_MS = 500;

export interface LiveOptions {
  colour: boolean;
  unicode: boolean;
  /** How many targets each job has. */
  targetsOf: Map<string, number>;
  /** Deliveries that earlier runs have left. */
  waiting: number;
}

export class Live {
  readonly #options: LiveOptions;
  readonly #painter: Painter;
  readonly #progress: Progress;
  readonly #resized = () => this.#schedule();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #drawnMs = 0;
  #isEnded = false;

  constructor(options: LiveOptions) {
    this.#options = options;
    this.#progress = new Progress(options.targetsOf, options.waiting);
    this.#painter = new Painter({ write: writeToStderr, size: terminalSize });
    Deno.addSignalListener("SIGWINCH", this.#resized);
    setConsoleWriter((text) => {
      const lines = text.replace(/\n$/, "").split("\n");
      this.#painter.above(`${wrapAll(lines, terminalSize().columns).join("\n")}\n`);
      this.#schedule();
    });
    this.#schedule();
  }

  get movingCount(): number {
    return this.#progress.moving(performance.now()).length;
  }

  apply(event: FilesyncEvent): void {
    this.#progress.apply(event, performance.now());
    this.#schedule();
  }

  /** Takes the live lines away; log lines go straight to stderr again. */
  async end(): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearTimeout(this.#timer);
    Deno.removeSignalListener("SIGWINCH", this.#resized);
    // A terminal that Ctrl-S has stopped takes nothing: the program ends all the same.
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([this.#painter.end(), new Promise<void>((resolve) => timer = setTimeout(resolve, STOPPED_MS))]);
    clearTimeout(timer);
    setConsoleWriter();
  }

  /** Leaves the screen as it is, for a process that ends now: what comes next begins on a line of its own. */
  leave(): void {
    this.#isEnded = true;
    clearTimeout(this.#timer);
    writeAllSync(Deno.stderr, "\n", 0);
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#isEnded) return;
    this.#timer = setTimeout(() => this.#draw(), Math.max(0, this.#drawnMs + FRAME_MS - performance.now()));
  }

  #draw(): void {
    this.#timer = undefined;
    this.#drawnMs = performance.now();
    const { colour, unicode } = this.#options;
    this.#painter.paint(render(this.#progress, { ...terminalSize(), nowMs: this.#drawnMs, colour, unicode }));
    // Rates fade and files go silent without an event.
    if (this.#progress.isMoving) this.#schedule();
  }
}

async function writeToStderr(text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await Deno.stderr.write(bytes.subarray(at));
}
