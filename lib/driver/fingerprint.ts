/** Equality of fingerprints: every field known on both sides is equal, times at the coarser precision. */
import type { Fingerprint } from "./types.ts";

/**
 * Whether `a` and `b` may be the same content.
 * @param precisionMs the coarser precision of the two modification times
 */
export function sameFingerprint(a: Fingerprint, b: Fingerprint, precisionMs = 1): boolean {
  if (a.sizeBytes !== undefined && b.sizeBytes !== undefined && a.sizeBytes !== b.sizeBytes) return false;
  if (a.modifiedMs !== undefined && b.modifiedMs !== undefined) {
    if (Math.abs(a.modifiedMs - b.modifiedMs) >= Math.max(1, precisionMs)) return false;
  }
  if (a.etag !== undefined && b.etag !== undefined && a.etag !== b.etag) return false;
  if (a.checksum !== undefined && b.checksum !== undefined && a.checksum.algorithm === b.checksum.algorithm) {
    if (a.checksum.value !== b.checksum.value) return false;
  }
  return true;
}

/** The fingerprint of anything that carries one, without undefined fields. */
export function fingerprintOf(from: Fingerprint): Fingerprint {
  const fingerprint: Fingerprint = {};
  if (from.sizeBytes !== undefined) fingerprint.sizeBytes = from.sizeBytes;
  if (from.modifiedMs !== undefined) fingerprint.modifiedMs = from.modifiedMs;
  if (from.etag !== undefined) fingerprint.etag = from.etag;
  if (from.checksum !== undefined) fingerprint.checksum = from.checksum;
  return fingerprint;
}
