/** How a run ends: the exit code that tells a script, and a person, what is left. */
import type { ErrorCode } from "../driver/mod.ts";
import type { Outstanding } from "../state/mod.ts";
import { EXIT } from "./errors.ts";

export interface RunFacts {
  outstanding: Outstanding;
  /** Why devices cannot be used now; only those that work is left for. */
  closed: ErrorCode[];
  /** A listing failed for another reason than the device's absence. */
  listingFailed: boolean;
}

/** The exit code of the contract: with several causes the first of 3, 7, 6, 8, 4, 5, 1 wins. */
export function exitStatus({ outstanding, closed, listingFailed }: RunFacts): number {
  if (closed.some((code) => code === "invalid_config" || code === "unsupported")) return EXIT.config;
  if (closed.includes("denied")) return EXIT.denied;
  if (closed.includes("broken")) return EXIT.plugin;
  if (outstanding.parked > 0 || outstanding.uncertain > 0) return EXIT.attention;
  if (closed.length > 0) return EXIT.unavailable;
  if (listingFailed || outstanding.left > 0) return EXIT.failed;
  return EXIT.ok;
}
