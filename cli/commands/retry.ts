/** `filesync retry`. */
import { administer } from "../../lib/engine/mod.ts";
import { CliError, type Context } from "../context.ts";
import { sourcePath, tellOutcome } from "./_admin.ts";
import { readConfig } from "./_config.ts";

export interface Flags {
  config?: string;
  job?: string;
  target?: string;
  parked?: boolean;
  uncertain?: boolean;
  all?: boolean;
  json?: boolean;
}

export async function run(context: Context, flags: Flags, ...paths: string[]): Promise<number> {
  const { job, target, parked = false, uncertain = false, all = false } = flags;
  if (paths.length === 0 && job === undefined && target === undefined && !parked && !uncertain && !all) {
    throw new CliError(2, "Cannot tell what to retry", {
      hint: "Name PATHs, --job, --target, --parked or --uncertain; --all is everything",
    });
  }
  if (all && (paths.length > 0 || parked || uncertain)) {
    throw new CliError(2, 'Cannot narrow "--all" by PATH, "--parked" or "--uncertain"');
  }
  const { config } = readConfig(context, flags.config);
  const outcome = await administer(config, "retry", {
    ...(paths.length > 0 ? { paths: paths.map(sourcePath) } : {}),
    ...(job === undefined ? {} : { job }),
    ...(target === undefined ? {} : { target }),
    parked,
    uncertain,
    all,
  });
  const when = outcome.pid === undefined ? "by the next filesync sync" : `now, by process ${outcome.pid}`;
  return tellOutcome(context, outcome, {
    json: context.switch(flags.json, "json"),
    nothing: "Nothing to retry",
    done: `tried again ${when}`,
  });
}
