/** A path longer than a server takes in one command: it hangs up on it, or loses count of its replies. */
import { type Call, DriverError } from "../../lib/driver/mod.ts";
import { TooManyConnections } from "./errors.ts";
import { BadReply } from "./parse_reply.ts";
import type { Pool } from "./pool.ts";
import { ConnectionLost } from "./stream.ts";

/** Shorter paths no server has trouble with. pyftpdlib 2.2.0 takes commands of 2048 bytes. */
const LONG_PATH_BYTES = 1000;

/**
 * Runs `work` with `path`. A connection that it breaks says that the server is away, and holds up all files; where the
 * server is there when it is asked once more, the path is to blame.
 * @throws {DriverError} `failed`: so it is parked in the end, and the others go on
 */
export async function withPath<T>(path: string, pool: Pool, call: Call, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isBroken = error instanceof ConnectionLost || error instanceof BadReply;
    const bytes = new TextEncoder().encode(path).length;
    if (!isBroken || error instanceof TooManyConnections || bytes <= LONG_PATH_BYTES) throw error;
    await pool.use(call.signal, (session) => session.enterRoot());
    const words = error.message.charAt(0).toLowerCase() + error.message.slice(1);
    throw new DriverError("failed", `Server does not get on with a path of ${bytes} bytes: ${words}`, {
      hint:
        'If it fails each time the server has a limit: give the job a "path" that is shorter, or leave the file out',
      cause: error,
    });
  }
}
