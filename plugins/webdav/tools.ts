/** What the calls of one device share. */
import { type Call, DriverError, type Role } from "../../lib/driver/mod.ts";
import type { Folders } from "./folders.ts";
import type { Memory } from "./memory.ts";
import type { DavServer } from "./server.ts";

export interface Tools {
  role: Role;
  server: DavServer;
  memory: Memory;
  folders: Folders;
}

/**
 * Makes sure that the root is there. A target's is made once, when its parent is there: one that was there and is gone means
 * that something is wrong on the server.
 * @throws {DriverError} `unavailable` when it is not there
 */
export async function enterRoot({ role, server, memory }: Tools, call: Call): Promise<void> {
  const found = await server.look("", call.signal, true);
  if (found?.isFolder === true) return memory.learnRoot();
  const { href } = server.config.root;
  if (found === undefined && role === "target" && !memory.hasRoot) {
    const reply = await server.request({ method: "MKCOL", url: server.url("", true) }, call.signal);
    await reply.discard();
    if (reply.status === 201) return memory.learnRoot();
  }
  throw new DriverError(
    "unavailable",
    found === undefined ? `Folder "${href}" is not there` : `"${href}" is no folder`,
    {
      hint: 'Make the folder on the server, or correct "host" and "dir"',
    },
  );
}
