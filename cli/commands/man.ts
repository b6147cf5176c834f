/** `filesync man`. */
import type { Context } from "../context.ts";
import { manPage } from "../output/man_page.ts";
import { routes } from "../routes.ts";
import { VERSION } from "../version.ts";

export function run(context: Context, _flags: Record<never, never>): Promise<number> {
  context.print(manPage(routes, VERSION).trimEnd());
  return Promise.resolve(0);
}
