/**
 * Which files a job takes: the original's fnmatch, by code points, in bounded time whatever the pattern and the name.
 */

/** Patterns and sizes, as a job has them. */
export interface Rules {
  include: readonly string[];
  exclude: readonly string[];
  minSizeBytes: number;
  /** Absent: no limit. */
  maxSizeBytes?: number;
}

/** Whether a file is taken. A size that is not known passes; it is asked again when it is. */
export type Matcher = (path: string, sizeBytes?: number) => boolean;

/**
 * The rules as a function. A pattern that starts with `/` is matched against `/` + path, any other against the path;
 * exclude wins over include.
 */
export function compileRules(rules: Rules): Matcher {
  const include = rules.include.map(compileRule);
  const exclude = rules.exclude.map(compileRule);
  const { minSizeBytes, maxSizeBytes = Infinity } = rules;
  return (path, sizeBytes) => {
    if (sizeBytes !== undefined && (sizeBytes < minSizeBytes || sizeBytes > maxSizeBytes)) return false;
    return include.some((matches) => matches(path)) && !exclude.some((matches) => matches(path));
  };
}

function compileRule(pattern: string): (path: string) => boolean {
  const matches = compilePattern(pattern);
  return pattern.startsWith("/") ? (path) => matches(`/${path}`) : matches;
}

/** Any run of characters. */
const STAR = 0;
/** Any one character. */
const ANY = 1;

/** `string`: that character; a set: one of (or, `negated`, none of) the code points in `ranges`. */
type Token = typeof STAR | typeof ANY | string | { negated: boolean; ranges: (readonly [number, number])[] };

/**
 * Python's `fnmatch.fnmatchcase` for one pattern: `*` matches `/` too, `?`, `[seq]`, `[!seq]`, case counts. Takes at most
 * (length of name) × (length of pattern) steps.
 */
export function compilePattern(pattern: string): (name: string) => boolean {
  const tokens = tokenize(pattern);
  if (tokens.length === 1 && tokens[0] === STAR) return () => true;
  const [first, ...rest] = tokens;
  if (first === STAR && rest.every((token) => typeof token === "string")) {
    const suffix = rest.join("");
    return (name) => name.endsWith(suffix);
  }
  return (name) => matchTokens(tokens, name);
}

/** On a mismatch only the last star is widened: an earlier one cannot gain from it. */
function matchTokens(tokens: readonly Token[], name: string): boolean {
  let at = 0;
  let token = 0;
  let starToken = -1;
  let starAt = 0;
  while (at < name.length) {
    const wanted = tokens[token];
    if (wanted === STAR) {
      starToken = token++;
      starAt = at;
      continue;
    }
    const point = name.codePointAt(at) ?? 0;
    if (wanted !== undefined && matchesOne(wanted, point)) {
      token++;
      at += point > 0xffff ? 2 : 1;
      continue;
    }
    if (starToken < 0) return false;
    token = starToken + 1;
    starAt += (name.codePointAt(starAt) ?? 0) > 0xffff ? 2 : 1;
    at = starAt;
  }
  while (tokens[token] === STAR) token++;
  return token === tokens.length;
}

function matchesOne(token: Exclude<Token, typeof STAR>, point: number): boolean {
  if (token === ANY) return true;
  if (typeof token === "string") return token.codePointAt(0) === point;
  return token.ranges.some(([from, to]) => from <= point && point <= to) !== token.negated;
}

function tokenize(pattern: string): Token[] {
  const points = [...pattern];
  const tokens: Token[] = [];
  for (let at = 0; at < points.length; at++) {
    const character = points[at] ?? "";
    if (character === "*") {
      if (tokens.at(-1) !== STAR) tokens.push(STAR);
    } else if (character === "?") tokens.push(ANY);
    else if (character === "[") {
      const end = endOfSet(points, at + 1);
      if (end === undefined) tokens.push("[");
      else {
        tokens.push(parseSet(points.slice(at + 1, end)));
        at = end;
      }
    } else tokens.push(character);
  }
  return tokens;
}

/** Where the `]` of a set stands; one that comes first is a member of it. */
function endOfSet(points: readonly string[], start: number): number | undefined {
  let at = start;
  if (points[at] === "!") at++;
  if (points[at] === "]") at++;
  const end = points.indexOf("]", at);
  return end < 0 ? undefined : end;
}

/** The inside of `[…]`, cut into chunks at its ranges and cleaned of empty ranges as Lib/fnmatch.py does (3.11). */
function parseSet(inside: readonly string[]): Token {
  const chunks: string[][] = [];
  let start = 0;
  for (let dash = inside.indexOf("-", inside[0] === "!" ? 2 : 1); dash >= 0; dash = inside.indexOf("-", dash + 3)) {
    chunks.push(inside.slice(start, dash));
    start = dash + 1;
  }
  const tail = inside.slice(start);
  if (tail.length > 0 || chunks.length === 0) chunks.push(tail);
  else chunks.at(-1)?.push("-");
  for (let index = chunks.length - 1; index > 0; index--) {
    const [before = [], after = []] = [chunks[index - 1], chunks[index]];
    if (pointOf(before.at(-1)) > pointOf(after[0])) {
      chunks.splice(index - 1, 2, [...before.slice(0, -1), ...after.slice(1)]);
    }
  }
  const negated = chunks[0]?.[0] === "!";
  if (negated) chunks[0]?.shift();
  const ranges: [number, number][] = [];
  for (const [index, chunk] of chunks.entries()) {
    for (const member of chunk) ranges.push([pointOf(member), pointOf(member)]);
    const next = chunks[index + 1]?.[0];
    const last = chunk.at(-1);
    if (last !== undefined && next !== undefined) ranges.push([pointOf(last), pointOf(next)]);
  }
  return { negated, ranges };
}

function pointOf(character: string | undefined): number {
  return character?.codePointAt(0) ?? -1;
}
