/**
 * Says what is wrong between a source and a target directory: lost, corrupt, duplicated, left over. It knows nothing of
 * how the files were moved, so that it can judge any mover (and is itself tested with bad ones).
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** Paths, by what is wrong with them. */
export interface Verdict {
  /** On the source, not on the target. */
  missing: string[];
  /** Under a final name, with other bytes than the source's. */
  corrupt: string[];
  /** On the target under a name that the source does not have, with bytes that the source has. */
  duplicated: string[];
  /** Temporary names. */
  leftovers: string[];
  /** On the target, and nothing of the source. */
  strange: string[];
}

/** Every file below `dir`, relative; nothing when it is not there. */
export function filesBelow(dir: string, below = ""): string[] {
  return whileThere(() => readdirSync(join(dir, below), { withFileTypes: true }), []).flatMap((entry) => {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(dir, path) : [path];
  });
}

/** Files move while they are looked at: what went away is `otherwise`. */
function whileThere<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return otherwise;
    throw error;
  }
}

/** Names that may be seen on their way and are no one's file: ours, and where Pure-FTPd gathers an upload. */
export function isTemporary(path: string): boolean {
  return isOurTemporary(path) || isServersTemporary(path);
}

function isOurTemporary(path: string): boolean {
  return /(^|\/)filesync-[0-9a-f]{16}\.part$/.test(path);
}

function isServersTemporary(path: string): boolean {
  return /(^|\/)\.pureftpd-upload\.[^/]*$/.test(path);
}

function digest(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** Remembers what a source holds, so that it is not read anew at each look. */
export class Verifier {
  /** What each final name must hold. */
  readonly expected: ReadonlyMap<string, { sha256: string; sizeBytes: number }>;
  readonly #digests: Set<string>;

  constructor(sourceDir: string) {
    this.expected = new Map(
      filesBelow(sourceDir).map((path) => {
        const full = join(sourceDir, path);
        return [path, { sha256: digest(full), sizeBytes: statSync(full).size }];
      }),
    );
    this.#digests = new Set([...this.expected.values()].map(({ sha256 }) => sha256));
  }

  /** Judges a target as it is now. While files are still on their way, `missing` and `leftovers` are no fault. */
  judge(targetDir: string): Verdict {
    const verdict: Verdict = { missing: [], corrupt: [], duplicated: [], leftovers: [], strange: [] };
    const seen = new Set<string>();
    for (const path of filesBelow(targetDir)) {
      // What Pure-FTPd gathers before it gives it the name that was asked for is the server's own affair.
      if (isServersTemporary(path)) continue;
      if (isOurTemporary(path)) {
        verdict.leftovers.push(path);
        continue;
      }
      seen.add(path);
      const expected = this.expected.get(path)?.sha256;
      const actual = whileThere(() => digest(join(targetDir, path)), undefined);
      if (actual === undefined) continue;
      if (expected === actual) continue;
      if (expected !== undefined) verdict.corrupt.push(path);
      else if (this.#digests.has(actual)) verdict.duplicated.push(path);
      else verdict.strange.push(path);
    }
    verdict.missing = [...this.expected.keys()].filter((path) => !seen.has(path));
    return verdict;
  }
}
