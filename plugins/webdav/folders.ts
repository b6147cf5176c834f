/** Makes the folders above a file on the server, each one once. */
import { type Call, DriverError, parentOf } from "../../lib/driver/mod.ts";
import { StatusError } from "./errors.ts";
import type { DavServer } from "./server.ts";
import { enterRoot, type Tools } from "./tools.ts";

/** Folders remembered as made; beyond it the memory starts again. */
const KNOWN_MAX = 10_000;

/** Knows which folders are there, so that only the first file of each pays for them. */
export class Folders {
  #known = new Set<string>();
  /** Folders that somebody makes now. */
  readonly #making = new Map<string, Promise<void>>();

  /**
   * Makes `folder` and those above it.
   * @throws {DriverError} `unavailable` when the root is gone, `denied`, or `rejected` when the server refuses the name
   */
  async ensure(tools: Tools, folder: string, call: Call): Promise<void> {
    // Who makes it may be cancelled, or fail for a reason of the moment: then it is this call's own work.
    await this.#making.get(folder)?.catch(() => {});
    if (this.#known.has(folder)) return;
    const making = this.#ensure(tools, folder, call);
    this.#making.set(folder, making);
    try {
      await making;
    } finally {
      if (this.#making.get(folder) === making) this.#making.delete(folder);
    }
  }

  async #ensure(tools: Tools, folder: string, call: Call): Promise<void> {
    const { server } = tools;
    if (folder === "") await enterRoot(tools, call);
    else if (!await this.#make(server, folder, call)) {
      await this.ensure(tools, parentOf(folder), call);
      if (!await this.#make(server, folder, call)) {
        // Somebody removed what was there a moment ago.
        this.#known.clear();
        await enterRoot(tools, call);
        throw new DriverError("failed", `Cannot make folder "${folder}": its parent is not there`);
      }
    }
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.add(folder);
  }

  /** Somebody else removed it. */
  forget(): void {
    this.#known.clear();
  }

  /** Whether the folder is there now; `false` when its parent is not. */
  async #make(server: DavServer, folder: string, call: Call): Promise<boolean> {
    const reply = await server.request({ method: "MKCOL", url: server.url(folder, true) }, call.signal);
    if ([201, 405].includes(reply.status)) {
      await reply.discard();
      return true;
    }
    if (reply.status === 409 || reply.status === 404) {
      await reply.discard();
      return false;
    }
    const refusal = await server.refusal("MKCOL", reply);
    if (!(refusal instanceof StatusError) || refusal.status === 401) throw refusal;
    // Servers say 403, 400 or 409 of names that they do not want, and of folders that are there.
    const found = await server.look(folder, call.signal).catch(() => undefined);
    if (found?.isFolder === true) return true;
    if (found !== undefined) throw new DriverError("rejected", `A file has the name of the folder "${folder}"`);
    if (refusal.status === 400 || refusal.status === 422) {
      throw new DriverError("rejected", `Cannot make folder "${folder}": ${refusal.message}`);
    }
    throw refusal;
  }
}
