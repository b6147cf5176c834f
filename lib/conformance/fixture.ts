/** What a driver's test brings to the conformance suite. */
import type { Role } from "../driver/mod.ts";
import type { Plugin } from "../host/mod.ts";

/** A way to the real device that does not lead through the driver. Paths are those of the contract. */
export interface Backdoor {
  /** Makes the file with its parents; what was there is replaced. */
  put(path: string, bytes: Uint8Array, modifiedMs?: number): Promise<void>;
  /** The file's bytes, or `undefined` when there is none. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Paths of all files, sorted. */
  names(): Promise<string[]>;
  remove(path: string): Promise<void>;
  /** Makes the device unreachable. */
  breakIt(): Promise<void>;
  /** Undoes `breakIt`. */
  restore(): Promise<void>;
}

/** A real device, empty, for one case. */
export interface TestDevice extends Backdoor {
  /** What the driver is configured with to reach it. */
  args: Record<string, unknown>;
  close(): Promise<void>;
}

/** A driver under test. */
export interface Fixture {
  /** The name of a built-in driver, or a plugin of one's own. */
  plugin: string | Plugin;
  roles: readonly Role[];
  /** Makes an empty device. */
  device(role: Role): Promise<TestDevice>;
  /** Valid arguments of a device that is not there: `initialize` must accept them. */
  absentArgs: Record<string, unknown>;
  /** Arguments to refuse, and the JSON pointer of what is wrong with them. */
  refused: readonly { args: Record<string, unknown>; pointer: string }[];
  /** Whether an upload keeps the modification time. */
  keepsTime: boolean;
  /** Whether `breakIt` and `restore` do something; otherwise the cases about absence do not run. @default {true} */
  breaks?: boolean;
  /**
   * For targets that make a new entry of each upload and show none, such as forms: what they make of a path. The cases
   * about listings and about files that are in the way do not run. @default {the path itself}
   */
  nameOf?: (path: string) => string;
  /** Names that the device can hold. @default {ODD_NAMES} */
  names?: readonly string[];
}

/** Names that drivers got wrong somewhere: each must survive a listing, a download and an upload. */
export const ODD_NAMES: readonly string[] = [
  "with space",
  " leading space",
  "trailing space ",
  "two  spaces",
  "-rf",
  "--help",
  ".hidden",
  "trailing dot.",
  "...",
  'double"quote',
  "single'quote",
  "back\\slash",
  "#%?&;",
  "100%25.ulg",
  "a+b=c@d,e!f$g",
  "[brackets]{braces}(parens)",
  "*star~tilde^caret`tick|pipe<less>more",
  "colon:name",
  "Größe.ulg",
  "Журнал.ulg",
  "日本語.ulg",
  "emoji \u{1f680}.ulg",
  "e\u0301 decomposed.ulg",
  "UPPER.ULG",
  "upper.ulg",
  "filesync-something.part",
  "name~2.ulg",
  "n".repeat(251) + ".ulg",
  "я".repeat(125) + ".ulg",
];
