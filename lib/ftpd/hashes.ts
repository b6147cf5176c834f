/** The checksums that the server can compute. */

/** Names of the hash function registry, the default first. */
export const HASHES = ["SHA-256", "SHA-1", "MD5", "CRC32"] as const;
export type HashName = typeof HASHES[number];
