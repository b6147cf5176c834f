/** The token of the page: shown once, when it is made; kept as its SHA-256, so that the file is worth nothing to a thief. */
import { Buffer } from "node:buffer";
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";

const PREFIX = "sha256:";

/** Makes a token and keeps its hash in `file`, instead of that of an earlier one. */
export function makeToken(file: string): string {
  // 32 bytes cannot be guessed, so a plain hash is enough: there is nothing to stretch.
  const token = randomBytes(32).toString("base64url");
  const temporary = `${file}.new`;
  writeFileSync(temporary, `${PREFIX}${hashOf(token).toString("hex")}\n`, { mode: 0o600 });
  renameSync(temporary, file);
  return token;
}

/** Forgets the token: nobody who comes from elsewhere is let in any more. */
export function removeToken(file: string): void {
  rmSync(file, { force: true });
}

/** Whether there is a token that can be asked for. */
export function hasToken(file: string): boolean {
  return readHash(file) !== undefined;
}

/** Whether `token` is the one whose hash is in `file` now. */
export function isToken(file: string, token: string): boolean {
  const hash = readHash(file);
  return hash !== undefined && timingSafeEqual(hash, hashOf(token));
}

function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

function readHash(file: string): Buffer | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch {
    // Not there, or not ours to read: nobody is let in.
    return undefined;
  }
  const hex = /^sha256:([0-9a-f]{64})$/.exec(text)?.[1];
  return hex === undefined ? undefined : Buffer.from(hex, "hex");
}
