/** `filesync service install`. */
import { chownSync } from "node:fs";
import { join } from "node:path";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { applyService, CONFIG_ROOT, type ServiceFacts, type System, systemOf } from "../../lib/service/mod.ts";
import { CliError, type Context } from "../context.ts";
import { factsOf, ftpWords } from "./_ftp_service.ts";
import type { ServiceFlags } from "./_service.ts";

export interface Flags extends ServiceFlags {
  root?: string;
}

export function run(context: Context, flags: Flags): Promise<number> {
  const facts = factsOf(context, flags);
  const system = systemOf(context.option(flags.root, "root") ?? "/");
  needRoot("install");
  if (system.live) needSystemd();
  const steps = applyService(facts, system, () => {
    if (system.live) checkAccess(facts, system);
  });
  for (const { what, done } of steps) context.print(`${done ? "done " : "as is"}  ${what}`);
  if (facts.configFile === undefined) {
    const environment = Deno.readTextFileSync(join(system.root, CONFIG_ROOT, `${facts.name}.env`));
    for (const line of ftpWords(facts, environment)) context.say(line);
  } else {
    for (const name of facts.credentials) {
      context.say(`The secret "${name}" is read from ${CONFIG_ROOT}/credentials/${name}, which only root has to read`);
    }
  }
  if (system.live) {
    const status = facts.configFile === undefined ? "" : `, filesync status --config ${facts.configFile}`;
    context.say(`See what it does: journalctl -fu ${facts.name}${status}`);
  }
  return Promise.resolve(EXIT.ok);
}

/** @throws {CliError} If this is not root */
export function needRoot(verb: string): void {
  if (Deno.uid() === 0) return;
  throw new CliError(EXIT.denied, `Cannot ${verb} a service: only root may`, {
    hint: `sudo filesync service ${verb}, with the same options`,
  });
}

/** @throws {CliError} If no systemd runs here */
export function needSystemd(): void {
  try {
    // As sd_booted(3) tells.
    if (Deno.statSync("/run/systemd/system").isDirectory) return;
  } catch {
    // Not there.
  }
  throw new CliError(EXIT.failed, "Cannot reach systemd: it does not run this system", {
    hint:
      "For an image that is not running name it with --root DIR; elsewhere start filesync sync by what starts programs there",
  });
}

/** The service's user must be able to do what the configuration says: told now, and not by a log at night. */
function checkAccess(facts: ServiceFacts, system: System): void {
  const uid = system.run("id", ["-u", facts.user]);
  const gid = system.run("id", ["-g", facts.user]);
  const may = (test: string, path: string): boolean => {
    try {
      system.run("setpriv", ["--reuid", uid, "--regid", gid, "--init-groups", "test", test, path]);
      return true;
    } catch {
      return false;
    }
  };
  const wrong: string[] = [];
  const owner = `${facts.user}:`;
  if (!may("-x", facts.program)) {
    wrong.push(`${facts.user} cannot run ${facts.program}: sudo chmod a+rx ${facts.program}`);
  }
  if (facts.configFile !== undefined && !may("-r", facts.configFile)) {
    wrong.push(
      `${facts.user} cannot read ${facts.configFile}: sudo chgrp ${facts.user} ${facts.configFile} && ` +
        `sudo chmod g+r ${facts.configFile}, or take --user`,
    );
  }
  for (const path of facts.writable) {
    if (makeFolder(path, Number(uid), Number(gid))) continue;
    if (!may("-w", path)) {
      wrong.push(`${facts.user} cannot write to ${path}: sudo chown -R ${owner} ${path}, or take --user`);
    }
  }
  for (const path of facts.readable) {
    if (!may("-r", path)) wrong.push(`${facts.user} cannot read ${path}: give it access, or take --user`);
  }
  if (wrong.length === 0) return;
  throw new CliError(EXIT.denied, "Cannot install the service", { hint: wrong.join("\n  ") });
}

/** Makes what is not there, for the service's user. @returns Whether it was made */
function makeFolder(path: string, uid: number, gid: number): boolean {
  try {
    Deno.statSync(path);
    return false;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return false;
  }
  Deno.mkdirSync(path, { recursive: true });
  chownSync(path, uid, gid);
  return true;
}
