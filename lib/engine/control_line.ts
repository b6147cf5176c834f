/** One JSON line over a local socket, in either direction. */

/** Longest line, bytes: a request with some hundred thousand paths. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Reads one line.
 * @returns `undefined` when the other side closed without one
 * @throws {RangeError} when it is longer than 16 MiB
 */
export async function readLine(connection: Deno.Conn): Promise<string | undefined> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const buffer = new Uint8Array(64 * 1024);
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) return undefined;
    const end = buffer.subarray(0, count).indexOf(10);
    parts.push(buffer.slice(0, end < 0 ? count : end));
    length += count;
    if (length > LINE_BYTES_MAX) throw new RangeError(`Line is longer than ${LINE_BYTES_MAX} bytes`);
    if (end >= 0) return await new Blob(parts as BlobPart[]).text();
  }
}

/** Writes a value as one line. */
export async function writeLine(connection: Deno.Conn, value: unknown): Promise<void> {
  let bytes = new TextEncoder().encode(`${JSON.stringify(value)}\n`);
  while (bytes.length > 0) bytes = bytes.subarray(await connection.write(bytes));
}
