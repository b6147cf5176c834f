/** `filesync service uninstall`. */
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { removeService, systemOf } from "../../lib/service/mod.ts";
import type { Context } from "../context.ts";
import { serviceNameOf } from "./_ftp_service.ts";
import { needRoot, needSystemd } from "./service_install.ts";

export interface Flags {
  name?: string;
  ftp?: boolean;
  root?: string;
}

export function run(context: Context, flags: Flags): Promise<number> {
  const name = serviceNameOf(context, flags);
  const system = systemOf(context.option(flags.root, "root") ?? "/");
  needRoot("uninstall");
  if (system.live) needSystemd();
  for (const { what, done } of removeService({ name }, system)) context.print(`${done ? "done " : "as is"}  ${what}`);
  context.say(
    "The service's user stays, and what is a person's or would be missed: configuration, secrets, state, spool",
  );
  return Promise.resolve(EXIT.ok);
}
