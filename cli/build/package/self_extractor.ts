/**
 * A program as one file without a compiler: a shell header, and behind it a compressed archive with the bundle and the
 * Deno that runs it. The same content gives the same bytes on any machine.
 */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";
import { BUNDLE_FLAGS, V8_FLAGS } from "../../../lib/host/launch.ts";
import header from "./header.sh" with { type: "text" };
import { script } from "./script.ts";

/** What a self-extracting program holds. */
export interface Content {
  /** Word of `uname -m`. */
  arch: string;
  version: string;
  /** The executable of Deno. */
  runtime: Uint8Array;
  /** The bundle: paths within it, and their bytes. */
  bundle: ReadonlyMap<string, Uint8Array>;
}

const FLAGS = ["--quiet", "--no-prompt", "-A", ...BUNDLE_FLAGS, `--v8-flags=${V8_FLAGS}`];

/** The file, to be made executable. */
export async function selfExtractor({ arch, version, runtime, bundle }: Content): Promise<Uint8Array> {
  const payload = gzipSync(
    await archive([
      { name: "filesync", mode: 0o700, bytes: runtime },
      ...[...bundle].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, bytes]) => ({
        name: `app/${name}`,
        mode: 0o600,
        bytes,
      })),
    ]),
    { level: 9 },
  );
  const head = new TextEncoder().encode(script(header, {
    VERSION: version,
    ARCH: arch,
    HASH: createHash("sha256").update(payload).digest("hex").slice(0, 16),
    FLAGS: FLAGS.join(" "),
  }));
  const file = new Uint8Array(head.length + payload.length);
  file.set(head);
  file.set(payload, head.length);
  return file;
}

async function archive(members: { name: string; mode: number; bytes: Uint8Array }[]): Promise<Uint8Array> {
  const writer = pack();
  for (const { name, mode, bytes } of members) {
    writer.entry({ name, mode, mtime: new Date(0), uid: 0, gid: 0 }, Buffer.from(bytes));
  }
  writer.finalize();
  const parts: Uint8Array[] = [];
  for await (const part of writer) parts.push(part as Uint8Array);
  return new Uint8Array(Buffer.concat(parts));
}
