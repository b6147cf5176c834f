/** `filesync sync`: the program at work, with what it tells on the way. */
import type { Config } from "../../lib/config/types.ts";
import { runSync } from "../../lib/engine/mod.ts";
import type { PluginSet } from "../../lib/host/mod.ts";
import { closeLog, configureLog, EventBus, type FilesyncEvent, logFor, type Summary } from "../../lib/observe/mod.ts";
import { CliError, type Context } from "../context.ts";
import { EventWords } from "../output/event_lines.ts";
import { Live } from "../output/live.ts";
import { summaryLines } from "../output/summary.ts";
import { VERSION } from "../version.ts";
import { readConfig } from "./_config.ts";
import { printPlan } from "./_plan.ts";
import { StopSignals } from "./_signals.ts";

export interface Flags {
  config?: string;
  once?: boolean;
  dryRun?: boolean;
  job?: readonly string[];
  json?: boolean;
  progress?: boolean;
  verbose?: boolean;
  quiet?: boolean;
}

export async function run(context: Context, flags: Flags): Promise<number> {
  const once = context.switch(flags.once, "once");
  const json = context.switch(flags.json, "json");
  const verbose = context.switch(flags.verbose, "verbose");
  const quiet = context.switch(flags.quiet, "quiet");
  if (verbose && quiet) throw new CliError(2, 'Cannot be both "--verbose" and "--quiet"');
  const isDryRun = context.switch(flags.dryRun, "dry-run");
  const wantsLive = context.switch(flags.progress, "progress", !context.switch(undefined, "no-progress"));
  const { config, plugins } = readConfig(context, flags.config);
  const jobs = context.options(flags.job, "job");

  const live = wantsLive && context.terminal.live && !quiet && !isDryRun
    ? new Live({ ...context.terminal, targetsOf: new Map(config.jobs.map((job) => [job.name, job.targets.length])) })
    : undefined;
  const signals = new StopSignals(context, () => live?.movingCount ?? 0);
  try {
    await startLog(context, config, { json, verbose, quiet });
    if (isDryRun) {
      return signals.exitCode ?? await printPlan(context, { config, plugins, jobs, json, signal: signals.signal });
    }
    return await sync(context, { config, plugins, jobs, once, json, quiet, live, signals });
  } finally {
    await live?.end();
    await closeLog();
    signals.end();
  }
}

interface Work {
  config: Config;
  plugins: PluginSet;
  jobs: string[] | undefined;
  once: boolean;
  json: boolean;
  quiet: boolean;
  live: Live | undefined;
  signals: StopSignals;
}

async function sync(context: Context, work: Work): Promise<number> {
  const { config, plugins, jobs, once, json, quiet, live, signals } = work;
  for (const notice of config.notices) logFor("config").warning(notice);
  const events = new EventBus();
  const words = new EventWords();
  const log = logFor("filesync");
  let isRead = true;
  let told: Summary | undefined;
  const listen = (event: FilesyncEvent): void => {
    if (event.event === "summary") told = event;
    if (json && isRead) {
      isRead = context.printJson({ schema: 1, ...event });
      // Files are to be moved, whoever watches.
      if (!isRead && !once) log.warning("Nobody reads stdout: events are no longer printed, files still move");
    }
    live?.apply(event);
    const line = words.line(event);
    if (line !== undefined) logFor(line.scope)[line.level](line.message);
  };
  events.listen(listen);
  if (!once && !quiet && !json) {
    const names = (jobs ?? config.jobs.map((job) => job.name)).map((name) => `"${name}"`).join(", ");
    log.info(`Running until stopped: ${names}`);
  }
  const summary = await runSync(config, {
    once,
    ...(jobs === undefined ? {} : { jobs }),
    events,
    plugins,
    signal: signals.signal,
    version: VERSION,
  });
  const exitCode = signals.exitCode ?? summary.exitCode;
  if (told === undefined) events.emit({ event: "summary", ...summary, exitCode });
  await live?.end();
  const lines = summaryLines(summary, { stopped: signals.exitCode !== undefined });
  if (!quiet && !json) context.say(lines.join("\n"));
  return exitCode;
}

async function startLog(
  context: Context,
  config: Config,
  how: { json: boolean; verbose: boolean; quiet: boolean },
): Promise<void> {
  const { level, file, maxBytes, keep } = config.log;
  await configureLog({
    level: how.verbose ? "debug" : level,
    // Beside events for a program only trouble is told to people.
    consoleLevel: how.verbose ? "debug" : how.quiet || how.json ? "warning" : level,
    ...(file === undefined ? {} : { file }),
    maxBytes,
    keep,
    console: true,
    colour: context.terminal.colour,
    journal: context.terminal.journal,
  });
}
