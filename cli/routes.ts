/**
 * Every command with its options and help. What a command does is loaded when it runs, so that `version` is quick.
 */
import { buildCommand, buildRouteMap } from "@stricli/core";
import type { Context } from "./context.ts";
import { parseShell, type Shell, SHELLS } from "./shells.ts";
import type { Flags as CheckFlags } from "./commands/config_check.ts";
import type { Flags as ConvertFlags } from "./commands/config_convert.ts";
import type { Flags as SchemaFlags } from "./commands/config_schema.ts";
import type { Flags as ShowFlags } from "./commands/config_show.ts";
import type { Flags as DoctorFlags } from "./commands/doctor.ts";
import type { Flags as LsFlags } from "./commands/ls.ts";
import type { Flags as StatusFlags } from "./commands/status.ts";
import type { Flags as SyncFlags } from "./commands/sync.ts";
import type { Flags as TokenFlags } from "./commands/token.ts";
import type { Flags as VersionFlags } from "./commands/version.ts";
import { deviceNames, jobNames } from "./commands/names.ts";
import { config, docs, flag, json, lazy, name, text, value } from "./route_parts.ts";
import { forget, manifest, retry, why } from "./routes_admin.ts";
import { plugins } from "./routes_plugins.ts";
import { service } from "./routes_service.ts";
import { serve } from "./routes_serve.ts";

const sync = buildCommand<SyncFlags, [], Context>({
  loader: lazy(() => import("./commands/sync.ts")),
  parameters: {
    flags: {
      config,
      once: flag("List, move all that can move, then end"),
      dryRun: flag("Show what would be moved, and move nothing"),
      job: {
        kind: "parsed",
        parse: text,
        optional: true,
        variadic: true,
        brief: "Run only job NAME; may be given more than once",
        placeholder: "NAME",
        proposeCompletions: jobNames,
      },
      json,
      progress: { kind: "boolean", optional: true, brief: "Live lines on a terminal" },
      verbose: flag("Tell more"),
      quiet: flag("Tell only of trouble"),
      http: value("Serve the status page on ADDRESS, such as 127.0.0.1:8384", "ADDRESS"),
      rebuildState: flag("Make a damaged state store anew from what source and targets hold"),
    },
    aliases: { c: "config", n: "dryRun", j: "job", v: "verbose", q: "quiet" },
  },
  docs: docs(
    "Move files: source, spool, target",
    `Moves new files of each job from its source to its targets. Without --once it runs until it is stopped: by Ctrl-C
or SIGTERM, which lose nothing; the next run goes on where this one stopped.

Exit codes: 0 all is delivered, 1 failed, 2 wrong usage, 3 wrong configuration, 4 something is parked or uncertain,
5 a device was away and work is left, 6 access denied, 7 state store locked or damaged, 8 a plugin failed,
130 or 143 stopped by a signal.

A damaged state store ends the run with 7. With --rebuild-state it is moved aside, and a new one is made: the spool is
taken over, what the sources hold is fetched again, and each target is asked whether it has a file before that is sent.
What a target that cannot be asked may have is uncertain: look there, then filesync retry or filesync forget.`,
    [
      ["sync", "run until stopped, with ./config.json"],
      ["sync --once", "move what is there, then end"],
      ["sync --dry-run --job logs", "show what the job would move"],
      ["sync --once --json", "events for a program"],
      ["sync --rebuild-state", "go on after the state store was damaged"],
    ],
  ),
});

const status = buildCommand<StatusFlags, [], Context>({
  loader: lazy(() => import("./commands/status.ts")),
  parameters: {
    flags: { config, json, watch: flag("Keep showing it, and what moves, until Ctrl-C") },
    aliases: { c: "config", w: "watch" },
  },
  docs: docs(
    "Show how things stand",
    `Shows one word (ok, working, waiting, attention), how far the files of each job are, devices, what needs a person,
and the spool. Reads only, so it may run beside "filesync sync".`,
    [
      ["status", "for people"],
      ["status --watch", "the whole screen, with what moves now"],
      ["status --json", "for programs, with the same content"],
    ],
  ),
});

const token = buildCommand<TokenFlags, [], Context>({
  loader: lazy(() => import("./commands/token.ts")),
  parameters: {
    flags: { config, remove: flag("Take the token back"), json },
    aliases: { c: "config" },
  },
  docs: docs(
    "Make the token that the status page asks other machines for",
    `Prints a new token, once: its hash alone is kept beside the state store, and the one before it is not taken any more.
Type it into the page, or send it as "Authorization: Bearer TOKEN". On this machine itself the page needs none.`,
    [["token", "let a phone see the page"], ["token --remove", "let nobody else see it any more"]],
  ),
});

const ls = buildCommand<LsFlags, [device: string, path?: string], Context>({
  loader: lazy(() => import("./commands/ls.ts")),
  parameters: {
    flags: { config, json, recursive: flag("List folders below too") },
    aliases: { c: "config", R: "recursive" },
    positional: {
      kind: "tuple",
      parameters: [
        {
          brief: "A name from devices, or JOB.source, JOB.TARGET",
          parse: text,
          placeholder: "DEVICE",
          proposeCompletions: deviceNames,
        },
        { brief: "Folder on the device", parse: text, placeholder: "PATH", optional: true },
      ],
    },
  },
  docs: docs("List files of a device", "Lists what a device holds, as the finder would see it.", [
    ["ls camera", "the device's root"],
    ["ls -R nas logs/2026", "a folder with all below"],
  ]),
});

const doctor = buildCommand<DoctorFlags, [], Context>({
  loader: lazy(() => import("./commands/doctor.ts")),
  parameters: {
    flags: { config, device: name("Ask only the device NAME", deviceNames), json },
    aliases: { c: "config" },
  },
  docs: docs(
    "Check everything without moving a file",
    `Looks at the configuration, its secrets, the machine, the clock, the state store, the spool, plugins and jobs, and
asks each device: is it there, may files be read and written, what is it able to do. Each finding is ok, a warning, or
a problem with its remedy. Where it may, a driver writes, renames and removes a file of its own on a target; files of
yours are not touched. May run beside "filesync sync".

Exit codes: 0 no problem, 3 wrong configuration, 5 a device is away, 6 access denied, 7 state store or spool, 8 a
plugin failed, 1 other problems.`,
    [
      ["doctor", "check all"],
      ["doctor --device nas", "one device: a name from devices, or JOB.source, JOB.TARGET"],
      ["doctor --json", "for programs; the last line is the verdict"],
    ],
  ),
});

const completions = buildCommand<Record<never, never>, [shell: Shell], Context>({
  loader: lazy(() => import("./commands/completions.ts")),
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [{
        brief: SHELLS.join(", "),
        parse: parseShell,
        placeholder: "SHELL",
        proposeCompletions: (partial: string) => SHELLS.filter((shell) => shell.startsWith(partial)),
      }],
    },
  },
  docs: docs(
    "Print a script that completes the command line",
    "Prints a script for a shell: with it the Tab key completes commands, options, and names of jobs, devices and drivers.",
    [
      ["completions bash > /etc/bash_completion.d/filesync", "for all users of bash"],
      ["completions zsh > ~/.zfunc/_filesync", "in a folder of $fpath"],
      ["completions fish > ~/.config/fish/completions/filesync.fish", "for fish"],
    ],
  ),
});

const man = buildCommand<Record<never, never>, [], Context>({
  loader: lazy(() => import("./commands/man.ts")),
  parameters: {},
  docs: docs("Print the manual page", "Prints the manual page, made from the same words as --help.", [
    ["man | man -l -", "read it"],
    ["man > /usr/local/share/man/man1/filesync.1", 'for "man filesync", as install.sh does'],
  ]),
});

const version = buildCommand<VersionFlags, [], Context>({
  loader: lazy(() => import("./commands/version.ts")),
  parameters: { flags: { json } },
  docs: docs("Show the version", "Shows the version of the program and of what it runs on.", [
    ["version", "one line"],
    ["version --json", "for bug reports and programs"],
  ]),
});

const configCheck = buildCommand<CheckFlags, [], Context>({
  loader: lazy(() => import("./commands/config_check.ts")),
  parameters: { flags: { config, json }, aliases: { c: "config" } },
  docs: docs(
    "Check the configuration",
    "Tells everything that is wrong at once, with line, key and remedy. Exit code 3 when something is.",
    [["config check", "the file that sync would use"], ["config check -c new.json", "another one"]],
  ),
});

const configSchema = buildCommand<SchemaFlags, [], Context>({
  loader: lazy(() => import("./commands/config_schema.ts")),
  parameters: { flags: {} },
  docs: docs(
    "Print the JSON Schema",
    `Prints the JSON Schema of the configuration with the arguments of every driver on this machine. Save it and name
it in the file for completion in an editor: "$schema": "./filesync.schema.json".`,
    [["config schema > filesync.schema.json", "for editors"]],
  ),
});

const configShow = buildCommand<ShowFlags, [], Context>({
  loader: lazy(() => import("./commands/config_show.ts")),
  parameters: {
    flags: { config, origin: flag("Tell where each value comes from") },
    aliases: { c: "config" },
  },
  docs: docs("Show the configuration in force", "Prints every setting with defaults filled in; secrets stay hidden.", [
    ["config show", "as JSON"],
    ["config show --origin", "with file, environment or default beside each value"],
  ]),
});

const configConvert = buildCommand<ConvertFlags, [], Context>({
  loader: lazy(() => import("./commands/config_convert.ts")),
  parameters: {
    flags: { config, output: value("Write to a new FILE instead of stdout", "FILE") },
    aliases: { c: "config", o: "output" },
  },
  docs: docs(
    "Convert an original file",
    "Writes a configuration of the original Python program in today's form. Such a file also works as it is.",
    [["config convert -c old.json -o config.json", "write a new file"]],
  ),
});

/** The tree of commands. */
export const routes = buildRouteMap<string, Context>({
  routes: {
    sync,
    status,
    why,
    retry,
    forget,
    manifest,
    doctor,
    ls,
    plugins,
    config: buildRouteMap({
      routes: { check: configCheck, schema: configSchema, show: configShow, convert: configConvert },
      docs: { brief: "Check, explain and convert the configuration" },
    }),
    service,
    serve,
    token,
    completions,
    man,
    version,
  },
  docs: {
    brief: "Move files from devices to targets, whole and once",
    fullDescription: `FileSync moves files SOURCE -> spool -> TARGET: whole, once, and unattended.

EXAMPLES
  filesync config check     is ./config.json right?
  filesync sync --once      move what is there, then end
  filesync sync             move files until stopped
  filesync status           how do things stand?

Every option has a variable: --dry-run is FILESYNC_DRY_RUN=1, --config FILE is FILESYNC_CONFIG. An option wins over
its variable. The configuration is looked for in $FILESYNC_CONFIG, ./config.json,
$XDG_CONFIG_HOME/filesync/config.json and /etc/filesync/config.json.`,
  },
});
