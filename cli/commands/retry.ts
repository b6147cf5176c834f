/** `filesync retry`. */
import { administer } from "../../lib/engine/mod.ts";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { CliError, type Context } from "../context.ts";
import { type AdminFlags, requestOf, tellOutcome } from "./_admin.ts";
import { readConfig } from "./_config.ts";

export interface Flags extends AdminFlags {
  all?: boolean;
}

export async function run(context: Context, flags: Flags, ...paths: string[]): Promise<number> {
  const { job, target, parked = false, uncertain = false, all = false } = flags;
  if (paths.length === 0 && job === undefined && target === undefined && !parked && !uncertain && !all) {
    throw new CliError(EXIT.usage, "Cannot tell what to retry", {
      hint: "Name PATHs, --job, --target, --parked or --uncertain; --all is everything",
    });
  }
  if (all && (paths.length > 0 || parked || uncertain)) {
    throw new CliError(EXIT.usage, 'Cannot narrow "--all" by PATH, "--parked" or "--uncertain"');
  }
  const { config } = readConfig(context, flags.config);
  const outcome = await administer(config, "retry", { ...requestOf(flags, paths), all });
  const when = outcome.pid === undefined ? "by the next filesync sync" : `now, by process ${outcome.pid}`;
  return tellOutcome(context, outcome, {
    json: context.switch(flags.json, "json"),
    nothing: "Nothing to retry",
    done: `tried again ${when}`,
  });
}
