/** How a run ends: the exit code that tells a script, and a person, what is left. */
import type { ErrorCode } from "../driver/mod.ts";
import type { Outstanding } from "../state/mod.ts";
import { EXIT, exitOfCode, firstExit } from "./exit_codes.ts";

export interface RunFacts {
  outstanding: Outstanding;
  /** Why devices cannot be used now; only those that work is left for. */
  closed: ErrorCode[];
  /** A listing failed for another reason than the device's absence. */
  listingFailed: boolean;
}

/** The exit code of the contract. */
export function exitStatus({ outstanding, closed, listingFailed }: RunFacts): number {
  // A device that cannot be used is away, whatever it calls that.
  const causes = closed.map((code) => exitOfCode(code) === EXIT.failed ? EXIT.unavailable : exitOfCode(code));
  if (outstanding.parked > 0 || outstanding.uncertain > 0) causes.push(EXIT.attention);
  if (listingFailed || outstanding.left > 0) causes.push(EXIT.failed);
  return firstExit(causes);
}
