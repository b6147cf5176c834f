/** The real program as it runs unattended, for what is measured of it there. */
import { join } from "node:path";
import { Store } from "../../lib/state/mod.ts";
import { wait } from "./proc.ts";
import { program } from "./work.ts";

/** How often is looked for what is waited for, milliseconds. */
const LOOK_MS = 100;

/** `sync` without end. */
export class Daemon implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  /** From its start until it said that it works, milliseconds. */
  readonly started: Promise<number>;

  /** @param dir where `config.json` lies */
  constructor(dir: string, ...args: string[]) {
    const [command, ...rest] = program("sync", "--json", "--quiet", "--config", join(dir, "config.json"), ...args);
    const startMs = performance.now();
    this.#child = new Deno.Command(command!, { args: rest, stdin: "null", stdout: "piped", stderr: "null" }).spawn();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.started = promise;
    // Who does not wait for it is told by what does not come.
    promise.catch(() => {});
    void this.#read(() => resolve(performance.now() - startMs), reject);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Reads to the end: nobody is to wait for us. */
  async #read(onStart: () => void, onEnd: (error: Error) => void): Promise<void> {
    let head = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      if (head === "started") continue;
      head += text;
      if (!/"event":"start"/.test(head)) continue;
      head = "started";
      onStart();
    }
    onEnd(new Error("The daemon ended before it worked"));
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // It was killed.
    }
    await this.#child.status;
    await this.started.catch(() => {});
  }
}

/** Waits for it; what throws is not true yet. @throws {Error} when it does not come to it in `limitS` seconds */
export async function until(isTrue: () => boolean, limitS = 180): Promise<void> {
  for (const endMs = performance.now() + limitS * 1000; performance.now() < endMs;) {
    try {
      if (isTrue()) return;
    } catch {
      // Not there yet.
    }
    await wait(LOOK_MS);
  }
  throw new Error(`The daemon did not come to it in ${limitS} s`);
}

/** Whether the store says that a listing of its source is complete. */
export function isListed(storePath: string): boolean {
  using store = new Store(storePath, { readOnly: true });
  return store.get("SELECT 1 FROM source WHERE listed_ms IS NOT NULL") !== undefined;
}
