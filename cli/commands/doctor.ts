/** `filesync doctor`. */
import { ConfigError } from "../../lib/config/mod.ts";
import type { Config } from "../../lib/config/types.ts";
import { type DoctorFinding, examine, type Level, Tally, type Verdict } from "../../lib/engine/doctor.ts";
import { discoverPlugins, type PluginSet } from "../../lib/host/mod.ts";
import { visible } from "../../lib/observe/visible.ts";
import type { Context } from "../context.ts";
import { count } from "../output/format.ts";
import { stdoutColumns } from "../output/terminal.ts";
import { wrap } from "../output/wrap.ts";
import { readConfig } from "./_config.ts";
import { StopSignals } from "./_signals.ts";

export interface Flags {
  config?: string;
  device?: string;
  json?: boolean;
}

const COLOUR: Record<Level, string> = { ok: "32", warning: "33", problem: "31" };
const LEVEL_COLUMNS = 7;

export async function run(context: Context, flags: Flags): Promise<number> {
  const json = context.switch(flags.json, "json");
  const device = context.option(flags.device, "device");
  const signals = new StopSignals(context, undefined);
  const tally = new Tally();
  try {
    const { config, plugins } = read(context, flags.config);
    const { variables: env } = context;
    const { signal } = signals;
    for await (
      const finding of examine({ config, plugins, env, signal, ...(device === undefined ? {} : { device }) })
    ) {
      tally.add(finding);
      if (json) context.printJson(jsonOf(finding));
      else lines(finding, context).every((line) => context.print(line));
    }
  } catch (error) {
    if (signals.exitCode !== undefined) return signals.exitCode;
    throw error;
  } finally {
    signals.end();
  }
  const { verdict } = tally;
  if (json) context.printJson({ schema: 1, event: "summary", ok: verdict.problems === 0, ...verdict });
  else wrap(verdictLine(verdict), stdoutColumns()).forEach((line) => context.print(line));
  return verdict.exitCode;
}

/** A configuration that cannot be used is a finding, and the first one. */
function read(context: Context, flag: string | undefined): { config: Config | ConfigError; plugins: PluginSet } {
  try {
    return readConfig(context, flag);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { config: error, plugins: discoverPlugins({ env: context.env }) };
  }
}

function jsonOf({ name, level, detail, remedy, device, role, job }: DoctorFinding): object {
  return { schema: 1, name, device, role, job, ok: level !== "problem", level, detail, remedy };
}

/** `warning  nas (target) tls: …`, with the remedy on a line of its own. */
function lines(finding: DoctorFinding, context: Context): string[] {
  const { level, name, detail, remedy, device, role, job } = finding;
  const padded = level.padEnd(LEVEL_COLUMNS);
  const word = context.terminal.stdoutColour ? `\x1b[${COLOUR[level]}m${padded}\x1b[0m` : padded;
  const what = [
    ...(job === undefined ? [] : [`job ${job}`]),
    // `<job>.source` says it already.
    ...(device === undefined
      ? []
      : [role === undefined || device.endsWith(`.${role}`) ? device : `${device} (${role})`]),
    name,
  ].join(" ");
  const first = `${word}  ${visible(what)}: ${visible(detail)}`;
  const indent = LEVEL_COLUMNS + 2;
  const all = remedy === undefined ? [first] : [first, `${" ".repeat(indent)}${visible(remedy)}`];
  return all.flatMap((line) => wrap(line, stdoutColumns(), indent));
}

function verdictLine({ findings, warnings, problems }: Verdict): string {
  const checks = `${findings} checks`;
  const also = warnings === 0 ? "" : `, ${count(warnings, "warning")}`;
  if (problems > 0) return `Not ready: ${count(problems, "problem")}${also} in ${checks}`;
  return `Ready: no problem${also} in ${checks}`;
}
