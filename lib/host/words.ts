/**
 * Words of a plugin are shown to people and kept in the store: without control characters, within a length, and
 * without the secrets that the device was given.
 */

/** Longest text of a plugin that is kept, UTF-16 units. */
export const TEXT_CHARS_MAX = 2000;
/** Shorter secrets are not searched for: replacing them would shred every message. */
const SECRET_CHARS_MIN = 4;

/** `text` in one line, without control characters; its middle is left out where it is longer than `charsMax`. */
export function tidy(text: string, charsMax: number = TEXT_CHARS_MAX): string {
  // Not the end: after a path of 4 kB that is where the reason stands.
  const tailChars = Math.floor(charsMax / 2);
  const cut = text.length > charsMax
    ? `${text.slice(0, charsMax - tailChars)}…${text.slice(text.length - tailChars)}`
    : text;
  // A plugin must not move the cursor of a terminal or break a log line. Two simple passes: no text makes them slow.
  // deno-lint-ignore no-control-regex
  return cut.replace(/\u001b\[[0-9;?]*[@-~]/g, "")
    // deno-lint-ignore no-control-regex
    .replace(/[\u0000-\u001f\u007f-\u009f]/g, " ").replace(/ {2,}/g, " ").trim().toWellFormed();
}

/** Turns a plugin's text into one that may be shown. */
export type Words = (text: string, charsMax?: number) => string;

/**
 * {@linkcode tidy} that also hides the values of `args` that `schema` (JSON Schema) marks `writeOnly`.
 */
export function wordsFor(schema: Record<string, unknown>, args: Record<string, unknown>): Words {
  const secrets = new Set<string>();
  collectSecrets(schema, args, secrets);
  // Longest first, so that a secret that holds another one goes as a whole.
  const ordered = [...secrets].sort((a, b) => b.length - a.length);
  return (text, charsMax = TEXT_CHARS_MAX) => {
    let shown = text.slice(0, charsMax * 2);
    for (const secret of ordered) shown = shown.replaceAll(secret, "***");
    return tidy(shown, charsMax);
  };
}

function collectSecrets(schema: unknown, value: unknown, secrets: Set<string>, isSecret = false): void {
  const node = asObject(schema);
  const hidden = isSecret || node["writeOnly"] === true;
  if (typeof value === "string") {
    if (!hidden || value.length < SECRET_CHARS_MIN) return;
    secrets.add(value);
    secrets.add(encodeURIComponent(value.toWellFormed()));
    return;
  }
  if (Array.isArray(value)) {
    for (const item of value) collectSecrets(node["items"], item, secrets, hidden);
    return;
  }
  const properties = asObject(node["properties"]);
  for (const [key, item] of Object.entries(asObject(value))) {
    collectSecrets(properties[key] ?? node["additionalProperties"], item, secrets, hidden);
  }
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : {};
}
