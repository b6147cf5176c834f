/**
 * Says what is wrong between a source and a target directory: lost, corrupt, duplicated, left over. It knows nothing of
 * how the files were moved, so that it can judge any mover (and is itself tested with bad ones).
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
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

/** Every file below `dir`, relative. */
export function filesBelow(dir: string, below = ""): string[] {
  return readdirSync(join(dir, below), { withFileTypes: true }).flatMap((entry) => {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(dir, path) : [path];
  });
}

function digest(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** Remembers what a source holds, so that it is not read anew at each look. */
export class Verifier {
  readonly #byPath: Map<string, string>;
  readonly #digests: Set<string>;

  constructor(sourceDir: string) {
    this.#byPath = new Map(filesBelow(sourceDir).map((path) => [path, digest(join(sourceDir, path))]));
    this.#digests = new Set(this.#byPath.values());
  }

  /** Judges a target as it is now. While files are still on their way, `missing` and `leftovers` are no fault. */
  judge(targetDir: string): Verdict {
    const verdict: Verdict = { missing: [], corrupt: [], duplicated: [], leftovers: [], strange: [] };
    const seen = new Set<string>();
    for (const path of filesBelow(targetDir)) {
      // Where Pure-FTPd gathers an upload before it gives it the name that was asked for: the server's own affair.
      if (/(^|\/)\.pureftpd-upload\.[^/]*$/.test(path)) continue;
      if (/(^|\/)filesync-[0-9a-f]{16}\.part$/.test(path)) {
        verdict.leftovers.push(path);
        continue;
      }
      seen.add(path);
      const expected = this.#byPath.get(path);
      const actual = digest(join(targetDir, path));
      if (expected === actual) continue;
      if (expected !== undefined) verdict.corrupt.push(path);
      else if (this.#digests.has(actual)) verdict.duplicated.push(path);
      else verdict.strange.push(path);
    }
    verdict.missing = [...this.#byPath.keys()].filter((path) => !seen.has(path));
    return verdict;
  }
}
