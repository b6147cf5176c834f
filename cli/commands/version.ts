/** `filesync version`. */
import { PROTOCOL_VERSION } from "../../lib/protocol/messages.ts";
import type { Context } from "../context.ts";
import { VERSION } from "../version.ts";

export interface Flags {
  json?: boolean;
}

export function run(context: Context, flags: Flags): Promise<number> {
  const { deno, v8, typescript } = Deno.version;
  const { os, arch } = Deno.build;
  if (context.switch(flags.json, "json")) {
    context.printJson({
      schema: 1,
      name: "filesync",
      version: VERSION,
      protocol: PROTOCOL_VERSION,
      deno,
      v8,
      typescript,
      os,
      arch,
    });
  } else {
    context.print(`filesync ${VERSION} (plugin protocol ${PROTOCOL_VERSION}, Deno ${deno}, ${os} ${arch})`);
  }
  return Promise.resolve(0);
}
