/** A look at a file that is in the spool: a small picture, or what a flight's log says of itself. */
import type { LocalCopy } from "./site.ts";
import { thumbnailOf } from "./thumbnail.ts";
import { type LogSummary, summarizeUlog } from "./ulog_summary.ts";

/** What there is to see. */
export type Preview =
  | { kind: "bytes"; type: string; bytes: Uint8Array<ArrayBuffer> }
  | { kind: "file"; type: string; path: string }
  | { kind: "log"; summary: LogSummary };

/** A larger picture without a small one inside is not sent to a phone. */
const IMAGE_BYTES_MAX = 4 * 1024 * 1024;
/** Read for the first bytes, and for the small picture in a JPEG: its block of metadata has 64 KiB at most. */
const HEAD_BYTES = 192 * 1024;

/** What can be seen of a copy; `undefined`: nothing. Its first bytes decide, not its name. */
export async function previewOf(copy: LocalCopy): Promise<Preview | undefined> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(copy.path);
  } catch {
    // It has left the spool meanwhile.
    return undefined;
  }
  using open = file;
  const head = await readUpTo(open, HEAD_BYTES);
  const type = imageTypeOf(head);
  if (type === "image/jpeg") {
    const bytes = thumbnailOf(head);
    if (bytes !== undefined) return { kind: "bytes", type, bytes };
  }
  if (type !== undefined) {
    return copy.sizeBytes <= IMAGE_BYTES_MAX ? { kind: "file", type, path: copy.path } : undefined;
  }
  await open.seek(0, Deno.SeekMode.Start);
  const summary = await summarizeUlog(open, copy.sizeBytes);
  return summary === undefined ? undefined : { kind: "log", summary };
}

async function readUpTo(file: Deno.FsFile, most: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(most);
  let length = 0;
  for (let got: number | null = 0; got !== null && length < most; length += got ?? 0) {
    got = await file.read(bytes.subarray(length));
  }
  return bytes.subarray(0, length);
}

/** Pictures that browsers show and that cannot carry a script. */
function imageTypeOf(head: Uint8Array): string | undefined {
  const begins = (...bytes: number[]) => bytes.every((byte, index) => head[index] === byte);
  if (begins(0xff, 0xd8, 0xff)) return "image/jpeg";
  if (begins(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return "image/png";
  if (begins(0x47, 0x49, 0x46, 0x38)) return "image/gif";
  if (begins(0x52, 0x49, 0x46, 0x46) && head[8] === 0x57 && head[9] === 0x45) return "image/webp";
  return undefined;
}
