/** `filesync service print`. */
import { serviceFiles } from "../../lib/service/mod.ts";
import type { Context } from "../context.ts";
import { factsOf } from "./_ftp_service.ts";
import type { ServiceFlags } from "./_service.ts";

export type Flags = ServiceFlags;

export function run(context: Context, flags: Flags): Promise<number> {
  const files = serviceFiles(factsOf(context, flags));
  for (const [n, { path, text }] of files.entries()) {
    // The unit alone can be piped into a file.
    if (n > 0) context.print(`\n# ${path}`);
    context.print(text.trimEnd());
  }
  return Promise.resolve(0);
}
