/** `filesync service status`. */
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { systemOf } from "../../lib/service/mod.ts";
import type { Context } from "../context.ts";
import { serviceNameOf } from "./_ftp_service.ts";
import { needSystemd } from "./service_install.ts";

export interface Flags {
  name?: string;
  ftp?: boolean;
  json?: boolean;
}

const PROPERTIES = [
  "LoadState",
  "ActiveState",
  "SubState",
  "UnitFileState",
  "MainPID",
  "NRestarts",
  "ExecMainStatus",
  "StatusText",
  "ActiveEnterTimestamp",
];

export function run(context: Context, flags: Flags): Promise<number> {
  needSystemd();
  const unit = `${serviceNameOf(context, flags)}.service`;
  const output = systemOf("/").run("systemctl", ["show", unit, `--property=${PROPERTIES.join(",")}`]);
  const facts = new Map(
    output.split("\n").map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)] as const;
    }),
  );
  const of = (name: string) => facts.get(name) ?? "";
  const isInstalled = of("LoadState") === "loaded";
  const isRunning = of("ActiveState") === "active";
  if (context.switch(flags.json, "json")) {
    context.printJson({
      schema: 1,
      unit,
      installed: isInstalled,
      running: isRunning,
      state: of("SubState"),
      startsAtBoot: of("UnitFileState") === "enabled",
      restarts: Number(of("NRestarts") || 0),
      exitCode: Number(of("ExecMainStatus") || 0),
      ...(isRunning ? { pid: Number(of("MainPID")), since: of("ActiveEnterTimestamp") } : {}),
      status: of("StatusText"),
    });
  } else if (!isInstalled) context.print(`${unit} is not installed: sudo filesync service install`);
  else {
    const boot = of("UnitFileState") === "enabled" ? "starts at boot" : "does not start at boot";
    const state = isRunning
      ? `runs since ${of("ActiveEnterTimestamp")}, pid ${of("MainPID")}`
      : `does not run (${of("SubState")}, last exit code ${of("ExecMainStatus")})`;
    context.print(`${unit} ${state}; ${boot}; ${of("NRestarts") || "0"} restarts`);
    if (of("StatusText") !== "") context.print(of("StatusText"));
    if (!isRunning) context.say(`What it said last: journalctl -u ${unit} -n 50`);
  }
  return Promise.resolve(isRunning ? EXIT.ok : EXIT.failed);
}
