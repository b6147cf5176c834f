/** `filesync config schema`. */
import { configJsonSchema } from "../../lib/config/mod.ts";
import { discoverPlugins } from "../../lib/host/mod.ts";
import { type Context, safeJson } from "../context.ts";
import { pluginPlacesOf } from "./_config.ts";

export type Flags = Record<never, never>;

export function run(context: Context, _flags: Flags): Promise<number> {
  const plugins = discoverPlugins({ ...pluginPlacesOf(context, undefined), env: context.env });
  context.print(safeJson(configJsonSchema(plugins), 2));
  return Promise.resolve(0);
}
