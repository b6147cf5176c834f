/** `filesync manifest`. */
import { readManifest } from "../../lib/engine/mod.ts";
import type { Context } from "../context.ts";
import { readConfig } from "./_config.ts";

export interface Flags {
  config?: string;
  job?: string;
  target?: string;
  json?: boolean;
}

/** Lines that are written at once. */
const LINES_AT_ONCE = 500;

export function run(context: Context, flags: Flags): Promise<number> {
  const { config } = readConfig(context, flags.config);
  const json = context.switch(flags.json, "json");
  const { job, target } = flags;
  const request = {
    ...(job === undefined ? {} : { job }),
    ...(target === undefined ? {} : { target }),
    oneTree: !json,
  };
  let lines: string[] = [];
  let isEmpty = true;
  for (const entry of readManifest(config, request)) {
    isEmpty = false;
    if (json) {
      if (!context.printJson({ schema: 1, ...entry })) return Promise.resolve(0);
      continue;
    }
    lines.push(checksumLine(entry.sha256, entry.name));
    if (lines.length < LINES_AT_ONCE) continue;
    if (!context.print(lines.join("\n"))) return Promise.resolve(0);
    lines = [];
  }
  if (lines.length > 0) context.print(lines.join("\n"));
  if (isEmpty && !json) context.say("Nothing was delivered yet");
  return Promise.resolve(0);
}

/** As `sha256sum` prints it: a name that does not fit on a line is escaped, and a backslash in front says so. */
export function checksumLine(sha256: string, name: string): string {
  // A lone "-" would be stdin.
  const plain = name === "-" ? "./-" : name;
  const escaped = plain.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r");
  return `${escaped === plain ? "" : "\\"}${sha256}  ${escaped}`;
}
