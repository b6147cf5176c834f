/**
 * One child process in a session of its own, so that a signal to its group reaches what it forked and Ctrl-C in our
 * terminal does not reach it.
 */
import type { LaunchSpec } from "./launch.ts";
import { endStragglers, STATE_DIR_VARIABLE } from "./stragglers.ts";

/** The end of a child. */
export interface ChildStatus {
  exitCode: number | null;
  signal: string | null;
}

/** A started process: its streams, its end, its group. */
export class Child {
  readonly pid: number;
  /** As with stderr, a chunk is only valid until the next one is asked for. */
  readonly stdout: ByteReader;
  readonly stderr: ByteReader;
  /** Resolves when it ended; whatever it started and is left was killed then. */
  readonly ended: Promise<ChildStatus>;
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #stateDir: string;
  #hasEnded = false;

  /** @throws {Error} If it cannot be started */
  constructor(spec: LaunchSpec) {
    this.#stateDir = spec.cwd;
    // A host that was killed leaves behind what its plugin had started.
    endStragglers(spec.cwd);
    this.#process = new Deno.Command(spec.command, {
      args: spec.args,
      cwd: spec.cwd,
      env: { ...spec.env, [STATE_DIR_VARIABLE]: spec.cwd },
      clearEnv: true,
      detached: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#process.pid;
    this.#stdin = this.#process.stdin.getWriter();
    // A failed write is told by write(); this one is the stream's own copy of the news.
    this.#stdin.closed.catch(() => {});
    this.stdout = new ByteReader(this.#process.stdout);
    this.stderr = new ByteReader(this.#process.stderr);
    this.ended = this.#waitForEnd();
  }

  /** Writes to stdin; rejects when the child no longer reads. */
  write(bytes: Uint8Array): Promise<void> {
    return this.#stdin.write(bytes);
  }

  closeStdin(): void {
    // It is closed already, or broken: either way nothing more is sent.
    this.#stdin.close().catch(() => {});
  }

  /** Signals the whole group; does nothing when nobody is left. */
  kill(signal: "SIGTERM" | "SIGKILL"): void {
    try {
      Deno.kill(-this.pid, signal);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound) && !this.#hasEnded) throw error;
    }
  }

  /** Gives up the streams, which a process that left the group may still hold open. */
  async release(): Promise<void> {
    await Promise.all([this.stdout.cancel(), this.stderr.cancel(), this.#stdin.abort().catch(() => {})]);
  }

  async #waitForEnd(): Promise<ChildStatus> {
    const { code, signal } = await this.#process.status;
    this.#hasEnded = true;
    this.kill("SIGKILL");
    endStragglers(this.#stateDir);
    return signal === null ? { exitCode: code, signal: null } : { exitCode: null, signal };
  }
}

const CHUNK_BYTES = 64 * 1024;

/**
 * Chunks of a stream whose reading can be given up from outside. They share one buffer, so that a flood costs the
 * collector nothing.
 */
export class ByteReader implements AsyncIterable<Uint8Array> {
  readonly #reader: ReadableStreamBYOBReader;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader({ mode: "byob" });
  }

  /** A pending read ends as if the stream had ended. */
  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    let buffer = new Uint8Array(CHUNK_BYTES);
    for (;;) {
      const { done, value } = await this.#reader.read(buffer);
      if (done) return;
      yield value;
      buffer = new Uint8Array(value.buffer);
    }
  }
}
