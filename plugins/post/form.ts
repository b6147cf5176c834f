/** The body of a `multipart/form-data` request (RFC 7578), as a head, the file, and a tail. */

/** Everything of the body but the file's bytes. */
export interface Envelope {
  contentType: string;
  head: Uint8Array;
  tail: Uint8Array;
}

/**
 * The envelope for a file and other fields, which come first: servers that stream know them when the file begins.
 * @param boundary a line that is in none of the fields and, being random, not in the file
 */
export function envelopeFor(
  form: { values: ReadonlyMap<string, string>; field: string; path: string },
  boundary: string = `filesync-${crypto.randomUUID()}`,
): Envelope {
  const encoder = new TextEncoder();
  const parts = [...form.values].map(([name, value]) =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  );
  const file = `--${boundary}\r\nContent-Disposition: form-data; name="${form.field}"; filename="${
    fileName(form.path)
  }"\r\nContent-Type: application/octet-stream\r\n\r\n`;
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    head: encoder.encode(parts.join("") + file),
    tail: encoder.encode(`\r\n--${boundary}--\r\n`),
  };
}

/**
 * The last name of `path` in letters that every server's reader of forms takes: hand-made ones know neither `filename*`
 * nor escapes.
 */
export function fileName(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1).normalize("NFC").replace(/[^\x20-\x7e]|["\\;%]/gu, "_");
  return name === "" ? "file" : name;
}
