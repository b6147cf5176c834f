/** Lines for a terminal that is narrower than they are, such as a phone's: broken between words, never within. */
import { displayWidth } from "./width.ts";

/** How far what follows the first line is indented beyond it. */
const HANG = 2;
/** Below this there is no room for words beside an indentation. */
const TEXT_COLUMNS_MIN = 16;

/**
 * `line` as lines of at most `columns`, as far as it has spaces to break at; a path or an address that is longer stays
 * whole, so that it can be copied.
 * @param columns `undefined`: nobody knows, and the line stays as it is
 * @param indent columns before what follows the first line; by default a little more than before the first
 */
export function wrap(line: string, columns: number | undefined, indent?: number): string[] {
  if (columns === undefined || displayWidth(line) <= columns) return [line];
  const own = /^ */.exec(line)![0].length;
  const wanted = indent ?? own + HANG;
  const hang = " ".repeat(columns - wanted >= TEXT_COLUMNS_MIN ? wanted : Math.min(own, HANG));
  const lines: string[] = [];
  let current = line.slice(0, own);
  let isEmpty = true;
  for (const [, gap = "", word = ""] of line.slice(own).matchAll(/( *)([^ ]+)/g)) {
    if (!isEmpty && displayWidth(current + gap + word) > columns) {
      lines.push(current);
      current = hang + word;
    } else current += gap + word;
    isEmpty = false;
  }
  return [...lines, current];
}

/** Several lines, each wrapped. */
export function wrapAll(lines: readonly string[], columns: number | undefined): string[] {
  return lines.flatMap((line) => wrap(line, columns));
}
