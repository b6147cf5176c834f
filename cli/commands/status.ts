/** `filesync status`. */
import { readStatus } from "../../lib/engine/mod.ts";
import type { Context } from "../context.ts";
import { watch } from "./_watch.ts";
import { statusLines } from "../output/status.ts";
import { stdoutColumns } from "../output/terminal.ts";
import { readConfig } from "./_config.ts";

export interface Flags {
  config?: string;
  json?: boolean;
  watch?: boolean;
}

export async function run(context: Context, flags: Flags): Promise<number> {
  const { config } = readConfig(context, flags.config);
  const json = context.switch(flags.json, "json");
  if (context.switch(flags.watch, "watch")) return await watch(context, config, json);
  const report = readStatus(config);
  if (json) {
    context.printJson(report);
    return 0;
  }
  const { stdoutColour: colour, unicode } = context.terminal;
  for (const line of statusLines(report, { colour, unicode, nowMs: Date.now(), columns: stdoutColumns() })) {
    if (!context.print(line)) break;
  }
  return 0;
}
