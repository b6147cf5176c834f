/** `filesync config show`. */
import { describeConfig } from "../../lib/config/mod.ts";
import type { Context } from "../context.ts";
import { readConfig } from "./_config.ts";

export interface Flags {
  config?: string;
  origin?: boolean;
}

export function run(context: Context, flags: Flags): Promise<number> {
  const { config, plugins } = readConfig(context, flags.config);
  context.print(describeConfig(config, { origin: context.switch(flags.origin, "origin"), plugins }).trimEnd());
  return Promise.resolve(0);
}
