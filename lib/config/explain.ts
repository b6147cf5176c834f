/**
 * How a configuration error is told: where it stands, what was wanted, what is there, what to do.
 */

/** Keys and indexes from the root of the file to a value. */
export type Path = readonly (string | number)[];

/** Something wrong, before its line is known. */
export interface Flaw {
  /** Of the value. */
  path: Path;
  /** Whether the key or the value is wrong, for the column; the value when absent. */
  at?: "key" | "value";
  message: string;
  hint?: string;
}

/** Something wrong in a configuration. */
export interface ConfigProblem {
  /** The file as it was named, or the environment variable or option that the value came from. */
  file: string;
  /** From 1; absent when the problem is no place in the file. */
  line?: number;
  column?: number;
  /** For example `jobs[0].source.args.dir`; `""` for the whole file. */
  key: string;
  message: string;
  /** What to do. */
  hint?: string;
}

/** A configuration that cannot be used, with everything that is wrong in it at once. Never holds a secret. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[], options?: { cause?: unknown }) {
    super(problems.map(formatProblem).join("\n"), options);
    this.problems = problems;
  }
}

/** `config.json:12:15: jobs[0].movers: Expected …`, with the remedy on a line of its own. */
export function formatProblem(problem: ConfigProblem): string {
  let where = problem.file;
  if (problem.line !== undefined) where += `:${problem.line}`;
  if (problem.column !== undefined) where += `:${problem.column}`;
  const parts = [where, problem.key, problem.message].filter((part) => part !== "");
  return parts.join(": ") + (problem.hint === undefined ? "" : `\n  ${problem.hint}`);
}

/** A path as people write it: `jobs[0].source.args.dir`, `devices["my nas"]`. */
export function formatKey(path: Path): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[A-Za-z_$][\w$-]*$/.test(part)) text += text === "" ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}

/** The reverse of `formatKey`. */
export function parseKey(key: string): Path {
  const path: (string | number)[] = [];
  for (const match of key.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|([\w$-]+)/g)) {
    const [, index, quoted, name] = match;
    if (index !== undefined) path.push(Number(index));
    else if (quoted !== undefined) path.push(JSON.parse(quoted));
    else if (name !== undefined) path.push(name);
  }
  return path;
}

/** The known name that is nearest to `name`, or `undefined` when none is near enough to be meant. */
export function nearest(name: string, names: Iterable<string>): string | undefined {
  const known = [...names];
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best ?? longerOrShorter(name.toLowerCase(), known);
}

/** `username` for `user`, `pass` for `passwd`: the only name that goes on where the other one ends. */
function longerOrShorter(name: string, known: readonly string[]): string | undefined {
  const ends = (long: string, short: string) => short.length >= 3 && long.startsWith(short);
  const found = known.filter((candidate) => ends(name, candidate.toLowerCase()) || ends(candidate.toLowerCase(), name));
  return name.length <= 32 && found.length === 1 ? found[0] : undefined;
}

/** `; did you mean "settle"?`, or `""`. */
export function didYouMean(name: string, known: Iterable<string>): string {
  const best = nearest(name, known);
  return best === undefined ? "" : `; did you mean "${best}"?`;
}

/** Names as `"a", "b" or "c"`. */
export function listOf(names: readonly string[], word = "or"): string {
  const last = names.at(-1) ?? "";
  return names.length < 2 ? last : `${names.slice(0, -1).join(", ")} ${word} ${last}`;
}

/** Insertions, deletions, substitutions and swaps of neighbours that lead from `a` to `b`. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 16) return Infinity;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
