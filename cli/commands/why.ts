/** `filesync why PATH`. */
import { readWhy, tellWhy } from "../../lib/engine/mod.ts";
import { visible } from "../../lib/observe/visible.ts";
import type { Context } from "../context.ts";
import { stdoutColumns } from "../output/terminal.ts";
import { whyLines } from "../output/why.ts";
import { sourcePath } from "./_admin.ts";
import { readConfig } from "./_config.ts";

export interface Flags {
  config?: string;
  job?: string;
  json?: boolean;
}

export async function run(context: Context, flags: Flags, typed: string): Promise<number> {
  const { config } = readConfig(context, flags.config);
  const path = sourcePath(typed);
  const report = await readWhy(config, path, flags.job);
  const code = report.histories.length > 0 ? 0 : 1;
  if (context.switch(flags.json, "json")) {
    for (const source of tellWhy(path, report)) context.printJson(source);
    return code;
  }
  if (code !== 0) {
    context.say(`filesync: Nothing is known of "${visible(path)}"`, 3);
    for (const reason of report.reasons) context.say(`  ${reason}`, 3);
    for (const near of report.nearest) context.say(`  Like it: ${visible(near.path)} (job "${near.job}")`, 3);
    return code;
  }
  const { unicode } = context.terminal;
  for (const line of whyLines(report, { unicode, nowMs: Date.now(), columns: stdoutColumns() })) {
    if (!context.print(line)) break;
  }
  return code;
}
