/**
 * SIGINT and SIGTERM: the first one asks the work to stop and loses nothing, the second one ends the process at once.
 */
import type { Context } from "../context.ts";
import { count } from "../output/format.ts";
import type { Live } from "../output/live.ts";
import { logFor } from "../../lib/observe/mod.ts";

const CODES = { SIGINT: 130, SIGTERM: 143 } as const;

export class StopSignals {
  readonly #stop = new AbortController();
  readonly #handlers: (readonly ["SIGINT" | "SIGTERM", () => void])[];
  /** Of the signal that came; absent: none did. */
  exitCode: number | undefined;

  constructor(context: Context, live: Live | undefined) {
    this.#handlers = (["SIGINT", "SIGTERM"] as const).map((signal) => [signal, () => {
      // Drivers die with this process, by the kernel's or by their stdin's doing.
      if (this.exitCode !== undefined) {
        live?.leave();
        return void context.exit(CODES[signal]);
      }
      this.exitCode = CODES[signal];
      const moving = live?.movingCount ?? 0;
      const what = moving > 0 ? `keeping what ${count(moving, "transfer has", "transfers have")} moved` : "a moment";
      const again = signal === "SIGINT" ? "; press Ctrl-C again to stop at once" : "";
      logFor("filesync").warning(`Stopping: ${what}${again}`);
      this.#stop.abort();
    }]);
    for (const [signal, handler] of this.#handlers) Deno.addSignalListener(signal, handler);
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Gives the signals back. */
  end(): void {
    for (const [signal, handler] of this.#handlers) Deno.removeSignalListener(signal, handler);
  }
}
