/**
 * Names that devices report are hostile input: what reaches a terminal or a log has no control character in it.
 */

// Control characters (C0, DEL, C1), line and paragraph separators, everything that turns the direction of text, the
// byte order mark, and halves of surrogate pairs. Zero-width joiners stay: emoji are made with them.
const UNSAFE =
  // deno-lint-ignore no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const SHORT: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** `text` with every character that could move a cursor, start a line or hide itself written as an escape: `\x1b`. */
export function visible(text: string): string {
  return text.replace(UNSAFE, (character) => {
    const code = character.charCodeAt(0);
    return SHORT[character] ??
      (code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`);
  });
}
