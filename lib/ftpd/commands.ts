/** The commands that the server knows, by verb. */
import type { Command } from "./command.ts";
import { FILE_COMMANDS } from "./commands_files.ts";
import { HASH_COMMANDS } from "./commands_hash.ts";
import { SESSION_COMMANDS } from "./commands_session.ts";
import { TLS_COMMANDS } from "./commands_tls.ts";
import { TRANSFER_COMMANDS } from "./commands_transfer.ts";
import type { Session } from "./session.ts";

export const COMMANDS: ReadonlyMap<string, Command<Session>> = new Map<string, Command<Session>>([
  ...Object.entries(SESSION_COMMANDS),
  ...Object.entries(TLS_COMMANDS),
  ...Object.entries(FILE_COMMANDS),
  ...Object.entries(HASH_COMMANDS),
  ...Object.entries(TRANSFER_COMMANDS),
]);
