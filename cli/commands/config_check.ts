/** `filesync config check`. */
import { ConfigError } from "../../lib/config/mod.ts";
import { checkCircles, storedOnly } from "../../lib/engine/mod.ts";
import { visible } from "../../lib/observe/visible.ts";
import type { Context } from "../context.ts";
import { count } from "../output/format.ts";
import { readConfig } from "./_config.ts";

export interface Flags {
  config?: string;
  json?: boolean;
}

export function run(context: Context, flags: Flags): Promise<number> {
  const json = context.switch(flags.json, "json");
  try {
    const { config, plugins } = readConfig(context, flags.config);
    const { file, jobs, devices } = config;
    const notices = [...config.notices, ...checkCircles(config, plugins), ...storedOnly(config)];
    if (json) {
      context.printJson({ schema: 1, valid: true, file, jobs: jobs.length, devices: devices.length, notices });
      return Promise.resolve(0);
    }
    for (const notice of notices) context.say(`Notice: ${notice}`, 5);
    const here = `${Deno.cwd()}/`;
    const name = file.startsWith(here) ? file.slice(here.length) : file;
    context.print(`${visible(name)} is valid: ${count(jobs.length, "job")}, ${count(devices.length, "device")}`);
    return Promise.resolve(0);
  } catch (error) {
    if (!json || !(error instanceof ConfigError)) throw error;
    context.printJson({ schema: 1, valid: false, problems: error.problems });
    return Promise.resolve(3);
  }
}
