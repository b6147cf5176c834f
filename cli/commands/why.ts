/** `filesync why PATH`. */
import { readWhy, type WhyReport } from "../../lib/engine/mod.ts";
import { visible } from "../../lib/observe/visible.ts";
import type { Context } from "../context.ts";
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
    printJson(context, path, report);
    return code;
  }
  if (code !== 0) {
    context.say(`filesync: Nothing is known of "${visible(path)}"`, 3);
    for (const reason of report.reasons) context.say(`  ${reason}`, 3);
    for (const near of report.nearest) context.say(`  Like it: ${visible(near.path)} (job "${near.job}")`, 3);
    return code;
  }
  const { unicode } = context.terminal;
  for (const line of whyLines(report, { unicode, nowMs: Date.now() })) {
    if (!context.print(line)) break;
  }
  return code;
}

/** A line for each source that has the path. Times of the daemon's own clock mean nothing elsewhere. */
function printJson(context: Context, path: string, report: WhyReport): void {
  const { histories, copies, closed, nearest, reasons, pid, nowMs } = report;
  if (histories.length === 0) context.printJson({ schema: 1, path, known: false, reasons, nearest });
  const next = <T extends { retryAtMs?: number }>({ retryAtMs, ...rest }: T) => ({
    ...rest,
    ...(retryAtMs === undefined ? {} : { inBackOff: true }),
    ...(retryAtMs === undefined || nowMs === undefined
      ? {}
      : { retryInMs: Math.max(0, Math.round(retryAtMs - nowMs)) }),
  });
  for (const history of histories) {
    const generations = history.generations.map((file) => ({
      ...next(file),
      deliveries: file.deliveries.map(next),
      ...(copies.has(file.id) ? { spool: copies.get(file.id) } : {}),
    }));
    context.printJson({
      schema: 1,
      known: true,
      ...history,
      generations,
      closed,
      ...(pid === undefined ? {} : { pid }),
    });
  }
}
