/** The commands that the server knows, by verb. */
import type { Command } from "./command.ts";
import { FILE_COMMANDS } from "./commands_files.ts";
import { HASH_COMMANDS } from "./commands_hash.ts";
import { SESSION_COMMANDS } from "./commands_session.ts";
import { TRANSFER_COMMANDS } from "./commands_transfer.ts";

export const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ...Object.entries(SESSION_COMMANDS),
  ...Object.entries(FILE_COMMANDS),
  ...Object.entries(HASH_COMMANDS),
  ...Object.entries(TRANSFER_COMMANDS),
]);
