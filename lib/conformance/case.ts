/** The shape of a case. */
import type { Capabilities, Role } from "../driver/mod.ts";
import type { Bench } from "./bench.ts";
import type { Fixture } from "./fixture.ts";

/** One promise of the contract, checked on a device of its own. */
export interface Case {
  /** A sentence, the method first. */
  name: string;
  /** The roles that it is checked in. */
  roles: readonly Role[];
  /** The capability that it is about; drivers without it are not asked. */
  needs?: (can: Capabilities, fixture: Fixture) => boolean;
  /** It sends what the host never would, to see it refused. */
  hostile?: boolean;
  run: (bench: Bench) => Promise<void>;
}

export const BOTH: readonly Role[] = ["source", "target"];
export const SOURCE: readonly Role[] = ["source"];
export const TARGET: readonly Role[] = ["target"];
