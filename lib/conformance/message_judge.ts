/** Holds each message of a conversation against the protocol's schema. */
import assert from "node:assert/strict";
import type { RpcMessage } from "../protocol/messages.ts";
import { type AskedMethods, hostMessageProblem, messageProblem } from "../protocol/schema.ts";

/** Most flaws that are kept: one that is in each entry is told once or twice. */
const FLAWS_MAX = 5;

/** Hears a conversation; what does not fit is told at its end. */
export class MessageJudge {
  readonly #asked: AskedMethods = new Map();
  readonly #flaws = new Set<string>();
  readonly #hostile: boolean;

  /** @param hostile the host's side says what the host never would: only the plugin's is judged */
  constructor({ hostile = false }: { hostile?: boolean } = {}) {
    this.#hostile = hostile;
  }

  hear(message: RpcMessage, by: "host" | "plugin"): void {
    const isAnswer = message.method === undefined;
    const flaw = by === "host"
      ? (this.#hostile ? undefined : hostMessageProblem(message))
      : messageProblem(message, this.#asked);
    if (flaw !== undefined && this.#flaws.size < FLAWS_MAX) this.#flaws.add(flaw);
    if (by === "host" && message.method !== undefined) this.#asked.set(message.id, message.method);
    if (by === "plugin" && isAnswer) this.#asked.delete(message.id);
  }

  /** Fails with what did not fit. */
  assertFit(): void {
    assert.equal(this.#flaws.size, 0, `Messages break the protocol:\n${[...this.#flaws].join("\n")}`);
  }
}
