/** `filesync forget`. */
import type { Config } from "../../lib/config/types.ts";
import { administer } from "../../lib/engine/mod.ts";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { CliError, type Context } from "../context.ts";
import { type AdminFlags, requestOf, tellOutcome } from "./_admin.ts";
import { readConfig } from "./_config.ts";

export interface Flags extends AdminFlags {
  yes?: boolean;
}

export async function run(context: Context, flags: Flags, ...paths: string[]): Promise<number> {
  const { job, target, parked = false, uncertain = false, yes = false } = flags;
  const isNarrow = paths.length > 0 || parked || uncertain;
  if (!isNarrow && job === undefined && target === undefined) {
    throw new CliError(EXIT.usage, "Cannot tell what to forget", {
      hint: "Name PATHs, --parked or --uncertain; --target for all that is stuck there; --job to end a job",
    });
  }
  const { config } = readConfig(context, flags.config);
  const end = !isNarrow && (target === undefined ? endsJob(config, job!, yes) : !hasTarget(config, job, target));
  const outcome = await administer(config, "forget", { ...requestOf(flags, paths), end });
  const json = context.switch(flags.json, "json");
  if (end && !json) {
    const what = target === undefined ? `Job "${job}"` : `Target "${target}"`;
    context.print(`${what} is ended: nothing of it is known any more`);
    return 0;
  }
  return tellOutcome(context, outcome, { json, nothing: "Nothing to forget", done: "given up" });
}

/** @throws {CliError} when the job is configured, and that was not confirmed */
function endsJob(config: Config, job: string, yes: boolean): true {
  const isConfigured = config.jobs.some(({ name }) => name === job) || config.disabledJobs?.includes(job) === true;
  if (isConfigured && !yes) {
    throw new CliError(
      EXIT.usage,
      `Job "${job}" is in ${config.file}: all that its source holds would be moved again`,
      {
        hint: "Give --yes to end it all the same, or --parked to give up only what is parked",
      },
    );
  }
  return true;
}

function hasTarget(config: Config, job: string | undefined, target: string): boolean {
  if (job !== undefined && config.disabledJobs?.includes(job) === true) return true;
  return config.jobs.some(({ name, targets }) =>
    (job === undefined || name === job) && targets.some((configured) => configured.name === target)
  );
}
