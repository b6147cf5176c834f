/** `filesync config show`. */
import { describeConfig } from "../../lib/config/mod.ts";
import { type Context, safeJson } from "../context.ts";
import { readConfig } from "./_config.ts";

export interface Flags {
  config?: string;
  origin?: boolean;
}

export function run(context: Context, flags: Flags): Promise<number> {
  const { config, plugins } = readConfig(context, flags.config);
  const shown = describeConfig(config, { origin: context.switch(flags.origin, "origin"), plugins });
  context.print(safeJson(shown, 2));
  return Promise.resolve(0);
}
