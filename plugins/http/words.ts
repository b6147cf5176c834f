/** What an answer says, for people and for the clock. */

/** Longest rest that a server may ask for, milliseconds. */
const RETRY_AFTER_MS_MAX = 60 * 60 * 1000;
/** How much of a server's words is handed on. */
const WORDS_MAX = 200;

/** `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3), milliseconds from now. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const waitMs = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  // A Pi's clock may be wrong by years: a date far away means nothing.
  return waitMs > 0 && waitMs <= RETRY_AFTER_MS_MAX ? waitMs : undefined;
}

/** Whether a body looks like a page, or like XML. */
export function isMarkup(text: string): boolean {
  return /^\s*</.test(text);
}

/** A server's words in one line, quoted. */
export function wordsOfBody(text: string): string {
  const plain = isMarkup(text) ? wordsOfPage(text) : text;
  // deno-lint-ignore no-control-regex
  const line = plain.replace(/[\u0000-\u001f\u007f-\u009f\s]+/g, " ").trim();
  if (line === "") return "no words";
  return `"${line.length > WORDS_MAX ? `${line.slice(0, WORDS_MAX)}…` : line}"`;
}

function wordsOfPage(text: string): string {
  // `s:message` is sabre/dav's, and so Nextcloud's.
  const title = /<(?:s:message|title)[^>]*>([^<]*)/i.exec(text)?.[1];
  // Flight Review's "Error 400" says nothing that the status does not say; the page does.
  if (title !== undefined && !/^\s*(http )?error \d{3}\s*$/i.test(title)) return title;
  return text.replace(/<(style|script|title)[\s\S]*?<\/\1>|<[^>]*>/gi, " ");
}
