/** A plugin spoken to line by line: for what the host's own connection would mend, hide or never send. */
import assert from "node:assert/strict";
import type { Role } from "../driver/mod.ts";
import { Child } from "../host/child.ts";
import { launchSpec } from "../host/launch.ts";
import type { Plugin } from "../host/mod.ts";
import { LineSplitter } from "../protocol/framing.ts";
import { isObject, parseMessage, PROTOCOL_VERSION, type RpcMessage } from "../protocol/messages.ts";
import { MessageJudge } from "./message_judge.ts";

/** For any answer, milliseconds: that of `initialize`. */
const ANSWER_MS = 15_000;
/** Between the end of stdin, or the answer to `shutdown`, and the end of the process, milliseconds. */
const EXIT_MS = 5000;
/** For what a dead process left in its pipes, milliseconds. */
const DRAIN_MS = 500;
/** Most that is kept of what a plugin writes to stderr, characters. */
const WORDS_MAX = 2000;

/** How to start it. */
export interface WireOptions {
  plugin: Plugin;
  role: Role;
  args: Record<string, unknown>;
  spoolDir: string;
  stateDir: string;
}

/** One life of a plugin. */
export class Wire {
  readonly child: Child;
  /** What it wrote to stderr, the last of it. */
  words = "";
  readonly #options: WireOptions;
  readonly #messages: RpcMessage[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #judge = new MessageJudge();
  readonly #reading: Promise<unknown>;
  #noise: string | undefined;
  #hasEnded = false;
  #id = 0;

  constructor(options: WireOptions) {
    this.#options = options;
    const { plugin, args, spoolDir, stateDir } = options;
    this.child = new Child(
      launchSpec({ plugin, args, roles: [options.role], spoolDir, spoolRoot: spoolDir, stateDir }),
    );
    this.#reading = Promise.allSettled([this.#readMessages(), this.#readWords()]);
  }

  /** Sends a request; returns its id. Fields that no plugin knows go with it. */
  async call(method: string, params: Record<string, unknown>): Promise<number> {
    const id = ++this.#id;
    this.#judge.hear({ jsonrpc: "2.0", id, method, params }, "host");
    await this.send({ id, method, params: { ...params, "x-unknown": { of: "another version" } } });
    return id;
  }

  /** Writes one message. */
  async send(message: Record<string, unknown>): Promise<void> {
    const line = JSON.stringify({ jsonrpc: "2.0", "x-unknown": true, ...message }) + "\n";
    // One that died is told by the answer that is missing.
    await this.child.write(new TextEncoder().encode(line)).catch(() => {});
  }

  /** The answer to a request; fails when there is none in time, or when the process ended. */
  async answer(id: number, what: string, withinMs = ANSWER_MS): Promise<RpcMessage> {
    const isAnswer = (message: RpcMessage) => message.id === id && message.method === undefined;
    await this.until(() => this.#messages.some(isAnswer), `${what} was not answered`, withinMs);
    return this.#messages.find(isAnswer)!;
  }

  /** Sends a request and waits for its answer. */
  async ask(method: string, params: Record<string, unknown>): Promise<RpcMessage> {
    return await this.answer(await this.call(method, params), `"${method}"`);
  }

  /** The first call of every life. */
  async initialize(): Promise<void> {
    const { role, args, spoolDir, stateDir } = this.#options;
    const params = { protocol: PROTOCOL_VERSION, device: "device", role, args, spoolDir, stateDir, logLevel: "info" };
    const { result, error } = await this.ask("initialize", params);
    assert.ok(isObject(result), `"initialize" failed: ${JSON.stringify(error ?? result)}`);
  }

  /** Waits until `holds`; looks at each message, and 100 times a second. */
  async until(holds: () => boolean, otherwise: string, withinMs = ANSWER_MS): Promise<void> {
    const endMs = performance.now() + withinMs;
    while (!holds()) {
      const ended = this.#hasEnded ? ": the process ended" : performance.now() >= endMs ? ` in ${withinMs} ms` : "";
      if (ended !== "") assert.fail(`${otherwise}${ended}${this.words === "" ? "" : `\nDriver said:\n${this.words}`}`);
      await this.#wait(10);
    }
  }

  /** Whether a notification of this name was sent for a call. */
  hasTold(method: string, id: number): boolean {
    return this.#messages.some((message) =>
      message.method === method && isObject(message.params) && message.params["id"] === id
    );
  }

  /** Fails when the process does not end by itself. */
  async ends(why: string): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"late">((resolve) => timer = setTimeout(() => resolve("late"), EXIT_MS));
    const outcome = await Promise.race([this.child.ended, late]);
    clearTimeout(timer);
    assert.notEqual(outcome, "late", `The process did not end within ${EXIT_MS / 1000} s ${why}`);
  }

  /** Fails when it wrote something else than messages to stdout, or one that does not fit the schema. */
  assertQuiet(): void {
    this.#judge.assertFit();
    assert.equal(this.#noise, undefined, `stdout holds a line that is no message: ${this.#noise}`);
  }

  /** Kills it, with what it started. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.ended;
    // What was written before the end is read; a process that left the group may hold the pipes open for ever.
    const timer = setTimeout(() => void this.child.release(), DRAIN_MS);
    await this.#reading;
    clearTimeout(timer);
    await this.child.release();
  }

  async #readMessages(): Promise<void> {
    const lines = new LineSplitter(() => this.#noise ??= "(longer than 1 MiB)");
    for await (const chunk of this.child.stdout) {
      for (const line of lines.push(chunk)) {
        const message = parseMessage(line);
        if (message !== undefined) this.#judge.hear(message, "plugin");
        if (message === undefined) this.#noise ??= line.slice(0, 200);
        // Entries and progress of a flood are not kept: only their first counts.
        else if (message.method === undefined || !this.#isKnown(message)) this.#messages.push(message);
      }
      this.#wake();
    }
    this.#hasEnded = true;
    this.#wake();
  }

  #isKnown({ method, params }: RpcMessage): boolean {
    return method !== undefined && isObject(params) && typeof params["id"] === "number" &&
      this.hasTold(method, params["id"]);
  }

  async #readWords(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.child.stderr) {
      this.words = (this.words + decoder.decode(chunk, { stream: true })).slice(-WORDS_MAX);
    }
  }

  #wait(longestMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, longestMs);
      this.#waiting.add(done);
    });
  }

  #wake(): void {
    for (const done of this.#waiting) done();
  }
}
