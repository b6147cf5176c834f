/** `filesync ls DEVICE [PATH]`. */
import type { Entry } from "../../lib/driver/mod.ts";
import { listDevice } from "../../lib/engine/mod.ts";
import { visible } from "../../lib/observe/visible.ts";
import type { Context } from "../context.ts";
import { formatBytes, formatTime } from "../output/format.ts";
import { fit } from "../output/width.ts";
import { readConfig } from "./_config.ts";

/** So many names are sorted; a longer listing is printed as it comes, in bounded memory. */
const SORTED_MAX = 10_000;

export interface Flags {
  config?: string;
  json?: boolean;
  recursive?: boolean;
}

export async function run(context: Context, flags: Flags, device: string, path = ""): Promise<number> {
  const { config, plugins } = readConfig(context, flags.config);
  const json = context.switch(flags.json, "json");
  const stop = new AbortController();
  const print = (entry: Entry): boolean =>
    json ? context.printJson({ schema: 1, device, ...entry }) : context.print(entryLine(entry));
  const directory = path.replace(/^\/+|\/+$/g, "");
  const options = { plugins, signal: stop.signal, recursive: context.switch(flags.recursive, "recursive") };
  let waiting: Entry[] | undefined = json ? undefined : [];
  try {
    for await (const entry of listDevice(config, device, directory, options)) {
      waiting?.push(entry);
      if (waiting !== undefined && waiting.length < SORTED_MAX) continue;
      const ready = waiting ?? [entry];
      waiting = undefined;
      if (!ready.every(print)) return 0;
    }
    waiting?.sort((a, b) => a.path < b.path ? -1 : 1).every(print);
    return 0;
  } finally {
    stop.abort();
  }
}

function entryLine(entry: Entry): string {
  const size = entry.kind === "directory" || entry.sizeBytes === undefined ? "-" : formatBytes(entry.sizeBytes);
  const time = entry.modifiedMs === undefined ? "-" : formatTime(entry.modifiedMs);
  const name = visible(entry.path) + (entry.kind === "directory" ? "/" : "");
  const problem = entry.problem === undefined ? "" : `  (${visible(entry.problem)})`;
  return `${fit(size, 10, "right")}  ${fit(time, 16)}  ${name}${problem}`;
}
