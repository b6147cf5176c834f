/** `filesync token`: who may see the page from another machine. */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { EXIT } from "../../lib/engine/exit_codes.ts";
import { hasToken, makeToken, removeToken } from "../../lib/http/token.ts";
import { CliError, type Context } from "../context.ts";
import { readConfig } from "./_config.ts";
import { tokenFileOf } from "./_page.ts";

export interface Flags {
  config?: string;
  remove?: boolean;
  json?: boolean;
}

export function run(context: Context, flags: Flags): Promise<number> {
  const { config } = readConfig(context, flags.config);
  const file = tokenFileOf(config);
  const json = context.switch(flags.json, "json");
  if (context.switch(flags.remove, "remove")) {
    const had = hasToken(file);
    removeToken(file);
    if (json) context.printJson({ schema: 1, removed: had });
    else context.print(had ? "The token is taken back: nobody else can see the page" : "There was no token");
    return Promise.resolve(EXIT.ok);
  }
  if (!existsSync(dirname(file))) {
    throw new CliError(EXIT.state, `Cannot keep a token: there is no folder "${dirname(file)}" yet`, {
      hint: "filesync sync --once makes it",
    });
  }
  const isAnother = hasToken(file);
  const token = write(file);
  if (json) context.printJson({ schema: 1, token, file });
  else {
    context.print(token);
    context.say("This is the only time that it is shown: its hash alone is kept");
    if (isAnother) context.say("The token before it is not taken any more");
  }
  return Promise.resolve(EXIT.ok);
}

function write(file: string): string {
  try {
    return makeToken(file);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new CliError(EXIT.denied, `Cannot keep the token's hash in "${file}": ${words}`, {
      hint: "Run it as the user that runs filesync sync, or with sudo",
      cause: error,
    });
  }
}
