/** `filesync sync --dry-run`: what would be moved, on stdout. */
import type { Config } from "../../lib/config/types.ts";
import { planSync } from "../../lib/engine/mod.ts";
import type { PluginSet } from "../../lib/host/mod.ts";
import { visible } from "../../lib/observe/visible.ts";
import type { Context } from "../context.ts";
import { count, formatBytes } from "../output/format.ts";
import { fit } from "../output/width.ts";
import type { StopSignals } from "./_signals.ts";

export interface PlanRequest {
  config: Config;
  plugins: PluginSet;
  jobs: string[] | undefined;
  json: boolean;
  signals: StopSignals;
}

/** Prints the plan; 4 when it holds a file that could not be fetched. */
export async function printPlan(context: Context, request: PlanRequest): Promise<number> {
  try {
    return await print(context, request);
  } catch (error) {
    // A listing that was stopped fails; that is what was asked for.
    if (request.signals.exitCode !== undefined) return request.signals.exitCode;
    throw error;
  }
}

async function print(context: Context, request: PlanRequest): Promise<number> {
  const { config, plugins, jobs, json, signals } = request;
  const arrow = context.terminal.unicode ? "→" : "->";
  const sources = new Map(config.jobs.map((job) => [job.name, job.source.name]));
  let files = 0;
  let bytes = 0;
  let problems = 0;
  for await (
    const file of planSync(config, { ...(jobs === undefined ? {} : { jobs }), plugins, signal: signals.signal })
  ) {
    if (file.why === "problem") problems++;
    else {
      files++;
      bytes += file.sizeBytes ?? 0;
    }
    if (json) {
      const common = { schema: 1, event: "found", time: new Date().toISOString(), device: sources.get(file.job) };
      if (!context.printJson({ ...common, ...file })) return 0;
      continue;
    }
    const size = file.sizeBytes === undefined ? "-" : formatBytes(file.sizeBytes);
    const to = file.why === "problem"
      ? `(${visible(file.problem ?? "cannot be fetched")})`
      : `${arrow} ${file.targets.map((target) => `${visible(target.name)}: ${visible(target.path)}`).join(", ")}`;
    const line = `${fit(file.why, 7)}  ${fit(size, 10, "right")}  ${visible(file.job)}: ${visible(file.path)}  ${to}`;
    if (!context.print(line)) return 0;
  }
  if (!json) {
    const trouble = problems === 0 ? "" : `, ${count(problems, "name")} could not be fetched`;
    context.say(`${count(files, "file")} (${formatBytes(bytes)}) would be moved${trouble}; nothing was moved`);
  }
  return signals.exitCode ?? (problems > 0 ? 4 : 0);
}
