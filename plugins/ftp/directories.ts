/** Makes the directories above a file on the server, each one once. */
import { DriverError } from "../../lib/driver/mod.ts";
import { isDone } from "./control.ts";
import { ReplyError } from "./errors.ts";
import type { Session } from "./session.ts";

/** Directories remembered as made; beyond it the memory starts again. */
const KNOWN_MAX = 10_000;

/** Knows which directories are there, so that only the first file of each pays for them. */
export class Directories {
  #known = new Set<string>();

  /**
   * Makes `directory` and those above it.
   * @throws {DriverError} `denied`, or `rejected` when the server refuses the name
   */
  async ensure(session: Session, directory: string): Promise<void> {
    if (directory === "" || this.#known.has(directory)) return;
    if (!isDone(await session.control.command(`CWD ${session.path(directory)}`))) {
      const parts = directory.split("/");
      for (let count = 1; count <= parts.length; count++) await this.#make(session, parts.slice(0, count).join("/"));
    }
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.add(directory);
  }

  /** Whether `directory` was there when it was last asked for. */
  has(directory: string): boolean {
    return directory === "" || this.#known.has(directory);
  }

  /** Somebody else removed it. */
  forget(directory: string): void {
    this.#known.delete(directory);
  }

  async #make(session: Session, directory: string): Promise<void> {
    if (this.#known.has(directory)) return;
    const command = `MKD ${session.path(directory)}`;
    const made = await session.control.command(command);
    // 550 and 521 may mean that it is there already: another connection was faster.
    if (isDone(made) || isDone(await session.control.command(`CWD ${session.path(directory)}`))) return;
    const refusal = new ReplyError(command, made);
    if (refusal.isNoSpace || refusal.isTransient) throw refusal;
    await session.enterRoot();
    if (refusal.isPermission) {
      throw new DriverError("denied", `Cannot make directory "${directory}": ${refusal.message}`, {
        ...(directory.includes("/") ? { scope: "file" as const } : {}),
        hint: "Give the user the right to make directories on the server",
      });
    }
    throw new DriverError(
      refusal.isOfTheName ? "rejected" : "failed",
      `Cannot make directory "${directory}": ${refusal.message}`,
    );
  }
}
