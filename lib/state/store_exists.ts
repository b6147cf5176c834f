/** Whether there is a store yet, and nothing else taken for that. */
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { StateError } from "./errors.ts";

/**
 * Whether there is a store at `path`.
 * @throws {StateError} `unusable` when nobody can tell, such as in a folder that is closed to us
 */
export function storeExists(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw new StateError("unusable", `Cannot look at the state store "${path}": ${message}`, {
      hint: `Check that this user may look into its folder: ls -ld "${dirname(path)}"`,
      cause: error,
    });
  }
}
