/**
 * How many columns a text takes on a terminal, and how to make it fit.
 */

/** Code points that take two columns: East Asian Wide and Fullwidth, and emoji (Unicode 16, blocks rounded up). */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x231a, 0x231b],
  [0x2329, 0x232a],
  [0x23e9, 0x23f3],
  [0x25fd, 0x25fe],
  [0x2614, 0x2615],
  [0x2630, 0x2637],
  [0x2648, 0x2653],
  [0x267f, 0x267f],
  [0x268a, 0x268f],
  [0x2693, 0x2693],
  [0x26a1, 0x26a1],
  [0x26aa, 0x26ab],
  [0x26bd, 0x26be],
  [0x26c4, 0x26c5],
  [0x26ce, 0x26ce],
  [0x26d4, 0x26d4],
  [0x26ea, 0x26ea],
  [0x26f2, 0x26f5],
  [0x26fa, 0x26fd],
  [0x2705, 0x2705],
  [0x270a, 0x270b],
  [0x2728, 0x2728],
  [0x274c, 0x274e],
  [0x2753, 0x2757],
  [0x2795, 0x2797],
  [0x27b0, 0x27bf],
  [0x2b1b, 0x2b1c],
  [0x2b50, 0x2b55],
  [0x2e80, 0x303e],
  [0x3041, 0x4dbf],
  [0x4dc0, 0xa4cf],
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6b],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x1b2fb],
  [0x1d300, 0x1d376],
  [0x1f004, 0x1f004],
  [0x1f0cf, 0x1f0cf],
  [0x1f18e, 0x1f19a],
  [0x1f1e6, 0x1f320],
  [0x1f32d, 0x1faff],
  [0x20000, 0x3fffd],
];

const ZERO = /^[\p{Mn}\p{Me}\p{Cf}\u1160-\u11ff]$/u;
const ASCII = /^[\u0020-\u007e]*$/;
// deno-lint-ignore no-control-regex
const COLOURS = /\u001b\[[0-9;]*m/g;

function widthOf(codePoint: number): number {
  if (codePoint < 0x300) return 1;
  let low = 0;
  let high = WIDE.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const [first, last] = WIDE[middle]!;
    if (codePoint < first) high = middle - 1;
    else if (codePoint > last) low = middle + 1;
    else return 2;
  }
  return ZERO.test(String.fromCodePoint(codePoint)) ? 0 : 1;
}

/**
 * Columns that `text` takes, colour sequences not counted. Parts of a joined emoji are counted one by one: terminals
 * differ on these, and a line that is thought too wide is only shorter, while one thought too narrow breaks the screen.
 */
export function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const character of text.replace(COLOURS, "")) width += widthOf(character.codePointAt(0)!);
  return width;
}

let segmenter: Intl.Segmenter | undefined;

/** What a reader takes for one character each, so that an accent is never cut from its letter. */
function characters(text: string): string[] {
  if (ASCII.test(text)) return [...text];
  segmenter ??= new Intl.Segmenter();
  return Array.from(segmenter.segment(text), (part) => part.segment);
}

/** As much of `text` as fits in `width`, the middle left out: of a path both the folder and the end matter. */
export function truncateMiddle(text: string, width: number, ellipsis = "…"): string {
  if (displayWidth(text) <= width) return text;
  if (width <= 0) return "";
  const room = width - displayWidth(ellipsis);
  if (room <= 0) return takeStart(characters(text), width);
  const parts = characters(text);
  // The end says more than the beginning: number and extension.
  const end = takeEnd(parts, Math.ceil(room / 2));
  const start = takeStart(parts, room - displayWidth(end));
  return start + ellipsis + end;
}

function takeStart(parts: string[], width: number): string {
  let taken = "";
  let left = width;
  for (const part of parts) {
    left -= displayWidth(part);
    if (left < 0) break;
    taken += part;
  }
  return taken;
}

function takeEnd(parts: string[], width: number): string {
  let at = parts.length;
  for (let left = width; at > 0; at--) {
    left -= displayWidth(parts[at - 1]!);
    if (left < 0) break;
  }
  return parts.slice(at).join("");
}

/** `text` filled up with spaces to `width` columns, cut in the middle when it is wider. */
export function fit(text: string, width: number, side: "left" | "right" = "left", ellipsis = "…"): string {
  const cut = truncateMiddle(text, width, ellipsis);
  const fill = " ".repeat(Math.max(0, width - displayWidth(cut)));
  return side === "left" ? cut + fill : fill + cut;
}
