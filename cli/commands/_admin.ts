/** What `retry` and `forget` have in common: paths as they are typed, and what is told at the end. */
import type { AdminRequest } from "../../lib/engine/administer.ts";
import type { AdminOutcome } from "../../lib/engine/mod.ts";
import { visible } from "../../lib/observe/visible.ts";
import type { Context } from "../context.ts";
import { count } from "../output/format.ts";

/** The options that both have. */
export interface AdminFlags {
  config?: string;
  job?: string;
  target?: string;
  parked?: boolean;
  uncertain?: boolean;
  json?: boolean;
}

/** What the shared options ask for. */
export function requestOf(flags: AdminFlags, paths: readonly string[]): AdminRequest {
  const { job, target, parked = false, uncertain = false } = flags;
  return {
    ...(paths.length > 0 ? { paths: paths.map(sourcePath) } : {}),
    ...(job === undefined ? {} : { job }),
    ...(target === undefined ? {} : { target }),
    parked,
    uncertain,
  };
}

/** A path of a source as people type it: `./a/b`, `/a/b` and `a/b` are one. */
export function sourcePath(text: string): string {
  return text.replace(/^(\.?\/+)+/, "");
}

/** Tells the outcome; 1 when a path was not known. */
export function tellOutcome(
  context: Context,
  outcome: AdminOutcome,
  words: { json: boolean; nothing: string; done: string },
): number {
  const { files, deliveries, older, unknown, idle } = outcome;
  if (words.json) {
    context.printJson({ schema: 1, ...outcome });
    return unknown.length > 0 ? 1 : 0;
  }
  const parts = [
    ...(files > 0 ? [count(files, "file")] : []),
    ...(deliveries > 0 ? [count(deliveries, "delivery", "deliveries")] : []),
    ...(older > 0 ? [count(older, "older file")] : []),
  ];
  if (parts.length > 0) context.print(`${parts.join(", ")}: ${words.done}`);
  else if (unknown.length + idle.length === 0) context.print(words.nothing);
  for (const { path, states } of idle) {
    context.say(`filesync: Nothing to do for "${visible(path)}": it is ${[...new Set(states)].join(" and ")}`);
  }
  for (const { path, nearest } of unknown) {
    context.say(`filesync: Nothing is known of "${visible(path)}"`, 3);
    if (nearest.length > 0) context.say(`  Names like it: ${nearest.map((name) => visible(name)).join(", ")}`, 3);
  }
  return unknown.length > 0 ? 1 : 0;
}
