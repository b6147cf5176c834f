/** The commands that look at, repeat and give up single files. */
import { buildCommand } from "@stricli/core";
import type { Flags as ForgetFlags } from "./commands/forget.ts";
import type { Flags as ManifestFlags } from "./commands/manifest.ts";
import type { Flags as RetryFlags } from "./commands/retry.ts";
import type { Flags as WhyFlags } from "./commands/why.ts";
import type { Context } from "./context.ts";
import { jobNames, targetNames } from "./commands/names.ts";
import { config, docs, flag, json, lazy, name, text } from "./route_parts.ts";

const job = name("Only of job NAME", jobNames);
const target = name("Only for target NAME", targetNames);
const aliases = { c: "config", j: "job", t: "target" } as const;
const paths = {
  kind: "array",
  parameter: { brief: "Path on the source, as status and why show it", parse: text, placeholder: "PATH" },
} as const;

/** The options by which `retry` and `forget` choose what is stuck. */
function stuck(uncertain: string) {
  return { config, job, target, parked: flag("What was given up"), uncertain: flag(uncertain) };
}

/** `filesync why PATH`. */
export const why = buildCommand<WhyFlags, [path: string], Context>({
  loader: lazy(() => import("./commands/why.ts")),
  parameters: {
    flags: { config, job, json },
    aliases: { c: "config", j: "job" },
    positional: {
      kind: "tuple",
      parameters: [{ brief: "Path on the source, or what you remember of it", parse: text, placeholder: "PATH" }],
    },
  },
  docs: docs(
    "Tell all that is known of one file",
    `Shows each content that was seen under this path: how far it is and since when, the last error in the words of the
device, the next try, its copy in the spool, the receipt of each target, and what became of the source's copy. Exit code
1 when the path is not known, with the names most like it and what may be the reason.`,
    [["why 2026-11-23/log_7.ulg", "one screen"], ["why log_7.ulg --json", "the same for programs"]],
  ),
});

/** `filesync retry`. */
export const retry = buildCommand<RetryFlags, string[], Context>({
  loader: lazy(() => import("./commands/retry.ts")),
  parameters: {
    flags: {
      ...stuck("What may have landed already: it is sent again"),
      all: flag("All that does not move; with --target also what was found before that target was added"),
      json,
    },
    aliases,
    positional: paths,
  },
  docs: docs(
    "Try again what is stuck",
    `Puts parked files and deliveries back into their queues with a fresh count of attempts, and ends the wait of those in
back-off. Without PATH, --uncertain or --all what is uncertain stays: it may be on the target already. Where the target
can be asked it is asked before bytes are sent again. A filesync sync that runs goes on with them at once.`,
    [
      ["retry log_7.ulg", "one file, whatever holds it up"],
      ["retry --job camera", "all of a job, also what finder.max_first left"],
      ["retry --uncertain --target post", "send again what may have landed"],
      ["retry --target nas2 --all", "give a new target what was found before it"],
    ],
  ),
});

/** `filesync forget`. */
export const forget = buildCommand<ForgetFlags, string[], Context>({
  loader: lazy(() => import("./commands/forget.ts")),
  parameters: {
    flags: {
      ...stuck("What may have landed already"),
      yes: flag("End a job that is in the configuration"),
      json,
    },
    aliases,
    positional: paths,
  },
  docs: docs(
    "Give up what is stuck",
    `Parked and uncertain files are never tried again and leave the spool; the same path with another content is taken as
ever, and "filesync retry PATH" takes them back. What is on its way is left alone. The source's copy stays.

--job alone ends a job that is no longer in the configuration, and --target alone such a target: all that is known of
them is dropped, with what they have in the spool.`,
    [
      ["forget log_7.ulg", "one file"],
      ["forget --parked --job camera", "all that a job has parked"],
      ["forget --target nas", "all that is stuck on one target"],
      ["forget --job old", "end a job that was renamed or removed"],
    ],
  ),
});

/** `filesync manifest`. */
export const manifest = buildCommand<ManifestFlags, [], Context>({
  loader: lazy(() => import("./commands/manifest.ts")),
  parameters: { flags: { config, job, target, json }, aliases },
  docs: docs(
    "List what was delivered, with checksums",
    `Prints a line for each file that a target has a receipt for, as sha256sum does: the checksum of what was sent and its
name there. Of several under one name only the newest counts. Run in the target's directory, "sha256sum -c" verifies it.`,
    [
      ["manifest > SHA256SUMS", "of the only target"],
      ["manifest --target nas | (cd /srv/nas && sha256sum -c --quiet)", "verify"],
      ["manifest --json", "of all targets, with sizes, proofs and links"],
    ],
  ),
});
