/** The exchanges that plugins/README.md shows, as messages. */
import assert from "node:assert/strict";
import { parseMessage, type RpcMessage } from "../../lib/protocol/messages.ts";

/** One line of an exchange. */
export interface ExampleMessage {
  by: "host" | "plugin";
  line: string;
  message: RpcMessage;
  /** The method that it answers. */
  answers?: string;
  /** The parameters of the request that it answers or brings news of. */
  params?: Record<string, unknown>;
}

/** Each block of lines that begin with an arrow; one that begins with an answer goes on with the block before it. */
export function exchangesOf(text: string): ExampleMessage[][] {
  let sent = new Map<unknown, RpcMessage>();
  return [...text.matchAll(/^```\n((?:[→←].*\n)+)```$/gm)].map((block) => {
    const lines = block[1]!.trimEnd().split("\n");
    if (lines[0]!.startsWith("→")) sent = new Map();
    return lines.map((line) => {
      const message = messageOf(line.slice(2));
      const by = line.startsWith("→") ? "host" : "plugin";
      if (by === "host") sent.set(message.id, message);
      const news = message.params as { id?: unknown } | undefined;
      const asked = by === "host" ? undefined : sent.get(message.method === undefined ? message.id : news?.id);
      return {
        by,
        line,
        message,
        ...(asked === undefined ? {} : { params: asked.params as Record<string, unknown> }),
        ...(asked?.method === undefined || message.method !== undefined ? {} : { answers: asked.method }),
      };
    });
  });
}

/** The message of an example line; `"jsonrpc"` is left out of most. */
function messageOf(line: string): RpcMessage {
  // A hash is shortened to be read.
  const value = JSON.parse(line.replaceAll(/"([0-9a-f]{6})…"/g, (_, start: string) => `"${start.padEnd(64, "0")}"`));
  const message = parseMessage(JSON.stringify({ jsonrpc: "2.0", ...value }));
  assert.ok(message !== undefined, `No message: ${line}`);
  return message;
}
