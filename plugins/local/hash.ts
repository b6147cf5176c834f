/** SHA-256 as bytes come. node:crypto is loaded at its first use: a source never hashes, and it costs 5 MB of memory. */
import type { Hash } from "node:crypto";

export type { Hash };

export async function newHash(): Promise<Hash> {
  const { createHash } = await import("node:crypto");
  return createHash("sha256");
}
