/** The commands about drivers and plugins. */
import { buildCommand, buildRouteMap } from "@stricli/core";
import type { Flags as TestFlags } from "./commands/plugins_conformance.ts";
import type { Flags as InfoFlags } from "./commands/plugins_info.ts";
import type { Flags as InstallFlags } from "./commands/plugins_install.ts";
import type { Flags as ListFlags } from "./commands/plugins_list.ts";
import type { Flags as NewFlags } from "./commands/plugins_new.ts";
import type { Flags as RemoveFlags } from "./commands/plugins_remove.ts";
import type { Flags as SchemaFlags } from "./commands/plugins_schema.ts";
import type { Context } from "./context.ts";
import { pluginNames } from "./commands/names.ts";
import { config, docs, flag, json, lazy, text, value } from "./route_parts.ts";

const aliases = { c: "config" } as const;

function named(brief: string, placeholder: string) {
  return { kind: "tuple", parameters: [{ brief, parse: text, placeholder, proposeCompletions: pluginNames }] } as const;
}

const list = buildCommand<ListFlags, [], Context>({
  loader: lazy(() => import("./commands/plugins_list.ts")),
  parameters: { flags: { config, json }, aliases },
  docs: docs(
    "List drivers",
    `Lists the drivers that can be named in a configuration: built-in ones, and plugins from plugins.dirs of the
configuration, $FILESYNC_PLUGIN_PATH, $XDG_DATA_HOME/filesync/plugins and /usr/local/lib/filesync/plugins. Works
without a configuration. A plugin that cannot be used is shown with the reason.`,
    [["plugins list", "for people"], ["plugins list --json", "with the schema of each driver's arguments"]],
  ),
});

const info = buildCommand<InfoFlags, [name: string], Context>({
  loader: lazy(() => import("./commands/plugins_info.ts")),
  parameters: {
    flags: { config, args: value("Ask the driver with the arguments in FILE, a JSON object", "FILE"), json },
    aliases,
    positional: named("Name of a driver, or its folder", "NAME"),
  },
  docs: docs(
    "Tell all about a driver",
    `Shows what a driver is for, where it lies, what it may do, its arguments, and what it is able to do in each role.
Only the driver itself knows the last: it is started and asked, which touches no device, and needs the arguments that
it cannot do without. Exit code 8 when the driver cannot be used.`,
    [
      ["plugins info ftp", "its arguments and permissions"],
      ["plugins info ftp --args nas.json", "also what it is able to do"],
      ["plugins info ./camera --json", "a driver in a folder, for programs"],
    ],
  ),
});

const test = buildCommand<TestFlags, [name: string], Context>({
  loader: lazy(() => import("./commands/plugins_conformance.ts")),
  parameters: {
    flags: {
      config,
      args: value("Test as FILE says, instead of filesync-test.json in the driver's folder", "FILE"),
      only: value("Only cases whose name holds PATTERN, a regular expression", "PATTERN"),
      json,
    },
    aliases,
    positional: named("Name of a driver, or its folder", "NAME|DIR"),
  },
  docs: docs(
    "Test a driver against the contract",
    `Runs the cases that the built-in drivers pass against a driver: what it answers, and what is left when a call is
cancelled, when the process is killed in the middle, when FileSync is gone. Each case runs on a device of its own, an
empty directory of this machine, that the driver reaches as filesync-test.json in its folder says. Without a directory
in it only cases that touch no device run.

Exit codes: 0 passed, 8 failed, 2 wrong usage.`,
    [
      ["plugins test ./camera", "the driver in a folder"],
      ["plugins test ./camera --only download", "while mending one thing"],
      ["plugins test camera --json", "an object for each case, and a summary"],
    ],
  ),
});

const create = buildCommand<NewFlags, [name: string], Context>({
  loader: lazy(() => import("./commands/plugins_new.ts")),
  parameters: {
    flags: {
      lang: value("The language: python, ts or sh", "LANG"),
      dir: value("Make it in DIR instead of ./NAME", "DIR"),
    },
    positional: named("What a configuration will call the driver", "NAME"),
  },
  docs: docs(
    "Begin a driver",
    `Makes a folder with a driver that works and is tested as it is: a directory of this machine, source and target (in
shell a source), in one file without a package. Change what it does, and try it with filesync plugins test. A folder
that holds something is left alone.`,
    [
      ["plugins new camera --lang python", "in ./camera"],
      ["plugins new camera --lang ts --dir drivers/camera", "for Deno, elsewhere"],
    ],
  ),
});

const force = flag("Replace, or remove, what is there or in use");

const install = buildCommand<InstallFlags, [source: string], Context>({
  loader: lazy(() => import("./commands/plugins_install.ts")),
  parameters: {
    flags: { config, system: flag("For all users, in /usr/local/lib/filesync/plugins"), force, json },
    aliases,
    positional: {
      kind: "tuple",
      parameters: [{ brief: "Folder of a driver, or a tar archive of one", parse: text, placeholder: "DIR|ARCHIVE" }],
    },
  },
  docs: docs(
    "Install a driver",
    `Copies a driver from a folder or a tar archive (plain or gzipped) to where drivers are looked for:
$XDG_DATA_HOME/filesync/plugins, or /usr/local/lib/filesync/plugins with --system. Its manifest is checked and the
driver is started once, before it is put there; links, paths that lead out and what is too large are refused. It will
run as you: install what you trust, or give it a sandbox (plugins.wrappers).`,
    [
      ["plugins install ./camera", "for you"],
      ["plugins install camera-1.2.tar.gz --force", "over the one that is there"],
    ],
  ),
});

const remove = buildCommand<RemoveFlags, [name: string], Context>({
  loader: lazy(() => import("./commands/plugins_remove.ts")),
  parameters: { flags: { config, force, json }, aliases, positional: named("Name of a driver", "NAME") },
  docs: docs(
    "Remove a driver that was installed",
    `Removes a driver from where plugins install puts it. One that the configuration uses is left alone without --force;
built-in ones and those in other places always are.`,
    [["plugins remove camera", "what install has put there"]],
  ),
});

const schema = buildCommand<SchemaFlags, [], Context>({
  loader: lazy(() => import("./commands/plugins_schema.ts")),
  parameters: { flags: {} },
  docs: docs(
    "Print the protocol's JSON Schema",
    `Prints the JSON Schema of every message between FileSync and a driver, for validators and code generators: the file
plugins/protocol.schema.json of this version.`,
    [["plugins schema > protocol.schema.json", "keep it beside a driver"]],
  ),
});

/** `filesync plugins`. */
export const plugins = buildRouteMap<string, Context>({
  routes: { list, info, test, new: create, install, remove, schema },
  docs: { brief: "Drivers and plugins" },
});
