/** `filesync status`. */
import { readStatus } from "../../lib/engine/mod.ts";
import type { Context } from "../context.ts";
import { statusLines } from "../output/status.ts";
import { readConfig } from "./_config.ts";

export interface Flags {
  config?: string;
  json?: boolean;
}

export async function run(context: Context, flags: Flags): Promise<number> {
  const report = await readStatus(readConfig(context, flags.config).config);
  if (context.switch(flags.json, "json")) {
    context.printJson(report);
    return 0;
  }
  const { stdoutColour: colour, unicode } = context.terminal;
  for (const line of statusLines(report, { colour, unicode, nowMs: Date.now() })) {
    if (!context.print(line)) break;
  }
  return 0;
}
