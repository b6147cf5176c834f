/** `filesync service uninstall`. */
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { removeService, STATE_DIR, systemOf } from "../../lib/service/mod.ts";
import type { Context } from "../context.ts";
import { serviceName } from "./_service.ts";
import { needRoot, needSystemd } from "./service_install.ts";

export interface Flags {
  name?: string;
  root?: string;
}

export function run(context: Context, flags: Flags): Promise<number> {
  const name = serviceName(context, flags.name);
  const system = systemOf(context.option(flags.root, "root") ?? "/");
  needRoot("uninstall");
  if (system.live) needSystemd();
  for (const { what, done } of removeService({ name }, system)) context.print(`${done ? "done " : "as is"}  ${what}`);
  context.say(`The configuration, the service's user, and ${STATE_DIR} with what it knows and has in the spool stay`);
  return Promise.resolve(EXIT.ok);
}
