/** `filesync sync`: the program at work, with what it tells on the way. */
import type { Config } from "../../lib/config/types.ts";
import { EngineError, readStatus, runSync, targetCounts, tellerOf } from "../../lib/engine/mod.ts";
import type { PluginSet } from "../../lib/host/mod.ts";
import { closeLog, configureLog, EventBus, type FilesyncEvent, logFor } from "../../lib/observe/mod.ts";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { makeNotifier } from "../../lib/service/mod.ts";
import { CliError, type Context } from "../context.ts";
import { EventPrinter } from "../output/event_printer.ts";
import { EventWords } from "../output/event_lines.ts";
import { Live } from "../output/live.ts";
import { ServiceWords } from "../output/service_words.ts";
import { summaryLines } from "../output/summary.ts";
import { VERSION } from "../version.ts";
import { readConfig } from "./_config.ts";
import { Page } from "./_page.ts";
import { printPlan } from "./_plan.ts";
import { StopSignals } from "./_signals.ts";

/** How long a reader of events that takes nothing is waited for at the end, and when a signal came, milliseconds. */
const READER_MS = 10_000;
const STOPPED_READER_MS = 500;

export interface Flags {
  config?: string;
  once?: boolean;
  dryRun?: boolean;
  job?: readonly string[];
  json?: boolean;
  progress?: boolean;
  verbose?: boolean;
  quiet?: boolean;
  rebuildState?: boolean;
  http?: string;
}

export async function run(context: Context, flags: Flags): Promise<number> {
  const once = context.switch(flags.once, "once");
  const json = context.switch(flags.json, "json");
  const verbose = context.switch(flags.verbose, "verbose");
  const quiet = context.switch(flags.quiet, "quiet");
  if (verbose && quiet) throw new CliError(EXIT.usage, 'Cannot be both "--verbose" and "--quiet"');
  const isDryRun = context.switch(flags.dryRun, "dry-run");
  const wantsLive = context.switch(flags.progress, "progress", !context.switch(undefined, "no-progress"));
  const { config, plugins } = readConfig(context, flags.config, { "http.listen": context.option(flags.http, "http") });
  const jobs = context.options(flags.job, "job");

  // Events on the same screen would tear the live lines apart.
  const isScreenFree = context.terminal.live && !(json && Deno.stdout.isTerminal());
  const live = wantsLive && isScreenFree && !quiet && !isDryRun
    ? new Live({
      ...context.terminal,
      targetsOf: targetCounts(config),
      waiting: waitingDeliveries(config, jobs),
    })
    : undefined;
  const signals = new StopSignals(context, live);
  try {
    await startLog(context, config, { json, verbose, quiet });
    if (isDryRun) return await printPlan(context, { config, plugins, jobs, json, signals });
    const rebuildState = context.switch(flags.rebuildState, "rebuild-state");
    return await sync(context, { config, plugins, jobs, once, json, quiet, live, signals, rebuildState });
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
  rebuildState: boolean;
  live: Live | undefined;
  signals: StopSignals;
}

async function sync(context: Context, work: Work): Promise<number> {
  const { config, plugins, jobs, once, json, quiet, live, signals, rebuildState } = work;
  for (const notice of config.notices) {
    // The original's files log errors alone, and this is told once.
    if (config.log.level === "error" && !quiet) context.say(`Notice: ${notice}`, 5);
    else logFor("config").warning(notice);
  }
  const events = new EventBus();
  const words = new EventWords();
  const log = logFor("filesync");
  const printed = json ? new EventPrinter(config) : undefined;
  const service = new ServiceWords(makeNotifier({ env: context.env }));
  signals.signal.addEventListener("abort", () => service.stopping());
  let isSummaryTold = false;
  const listen = (event: FilesyncEvent): void => {
    // The run ended as it should for the engine, and by a signal for whoever started it.
    const isSummary = event.event === "summary";
    if (isSummary) isSummaryTold = true;
    const ended = isSummary && signals.exitCode !== undefined ? { exitCode: signals.exitCode } : {};
    if (printed?.print({ ...event, ...ended }) === false && !once) {
      // Files are to be moved, whoever watches.
      log.warning("Nobody reads stdout: events are no longer printed, files still move");
    }
    live?.apply(event);
    service.apply(event);
    const line = words.line(event);
    if (line !== undefined) logFor(line.scope)[line.level](line.message, line.about);
  };
  events.listen(listen);
  if (!once && !quiet && !json) {
    const names = (jobs ?? config.jobs.map((job) => job.name)).map((name) => `"${name}"`).join(", ");
    log.info(`Running until stopped: ${names}`);
  }
  const endTraces = await startTraces(context, config, events);
  const { listen: address } = config.http;
  const page = address === undefined ? undefined : new Page(config, address, events);
  let summary;
  try {
    await page?.start();
    summary = await runSync(config, {
      once,
      ...(jobs === undefined ? {} : { jobs }),
      events,
      plugins,
      signal: signals.signal,
      version: VERSION,
      rebuildState,
      savesMemory: true,
    });
  } finally {
    service.end();
    await page?.end();
    endTraces();
  }
  const exitCode = signals.exitCode ?? summary.exitCode;
  if (!isSummaryTold) events.emit({ event: "summary", ...summary, exitCode });
  await printed?.end(signals.exitCode === undefined ? READER_MS : STOPPED_READER_MS);
  await live?.end();
  const lines = summaryLines(summary, {
    stopped: signals.exitCode !== undefined,
    severalTargets: config.jobs.some((job) => job.targets.length > 1),
  });
  if (!quiet && !json) context.say(lines.join("\n"));
  return exitCode;
}

/** Tells the journeys of files to an OpenTelemetry collector, where the environment names one. */
async function startTraces(context: Context, config: Config, events: EventBus): Promise<() => void> {
  if (context.env("OTEL_DENO") !== "true") {
    if (context.env("OTEL_EXPORTER_OTLP_ENDPOINT") !== undefined) {
      logFor("filesync").warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, and traces need OTEL_DENO=true beside it");
    }
    return () => {};
  }
  // Loaded here: whoever wants no traces does not pay for it.
  const { traceJourneys } = await import("../../lib/observe/traces.ts");
  return traceJourneys({ events, teller: tellerOf(config), targetsOf: targetCounts(config), version: VERSION });
}

/** Deliveries that earlier runs have left, for the live display. */
function waitingDeliveries(config: Config, names: string[] | undefined): number {
  try {
    return readStatus(config).jobs.filter(({ name }) => names?.includes(name) ?? true).reduce((sum, job) => {
      const files = job.found.count + job.downloading.count;
      return sum + job.targets.reduce((all, target) => all + files + target.waiting.count + target.uploading.count, 0);
    }, 0);
  } catch (error) {
    // A store that cannot be read ends the run with the right words and code.
    if (error instanceof EngineError) return 0;
    throw error;
  }
}

async function startLog(
  context: Context,
  config: Config,
  how: { json: boolean; verbose: boolean; quiet: boolean },
): Promise<void> {
  const { level, file, maxBytes, keep, maxAgeMs, console = true } = config.log;
  await configureLog({
    level: how.verbose ? "debug" : level,
    // Beside events for a program only trouble is told to people.
    consoleLevel: how.verbose ? "debug" : how.quiet || how.json ? "warning" : level,
    ...(file === undefined ? {} : { file }),
    maxBytes,
    keep,
    ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
    console,
    // The console is what Deno's exporter takes, and with "replace" it goes nowhere else.
    telemetry: context.env("OTEL_DENO") === "true" && context.env("OTEL_DENO_CONSOLE") === "replace",
    colour: context.terminal.colour,
    journal: context.terminal.journal,
  });
}
