/** Checksums that the server computes (draft-bryan-ftp-hash), also of a part (draft-bryan-ftp-range). */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { Command } from "./command.ts";
import { BLOCK_BYTES } from "./data_channel.ts";
import { HASHES, type HashName } from "./hashes.ts";
import { openFile } from "./held.ts";
import { virtualPath } from "./paths.ts";
import { Refusal } from "./refusal.ts";
import type { Session } from "./session.ts";

export const HASH_COMMANDS: Record<string, Command<Session>> = {
  HASH: { run: hash, needsArgument: true },
  RANG: { run: rang, needsArgument: true, keeps: "restart" },
};

/** The line of FEAT, with a star at the one that is chosen. */
export function hashFeature(chosen: HashName): string {
  return `HASH ${HASHES.map((name) => `${name}${name === chosen ? "*" : ""}`).join(";")}`;
}

/** `OPTS HASH`, which asks, and `OPTS HASH SHA-1`, which chooses. */
export async function optsHash(session: Session, name: string): Promise<void> {
  const chosen = name === "" ? session.hashName : HASHES.find((known) => known === name.toUpperCase());
  if (chosen === undefined) throw new Refusal(504, "Hash is not known");
  session.hashName = chosen;
  await session.reply(200, chosen);
}

/** First and last byte of what the next HASH or RETR is about; `RANG 1 0` takes it back. */
async function rang(session: Session, argument: string): Promise<void> {
  const [, first, last] = /^(\d{1,15}) (\d{1,15})$/.exec(argument) ?? [];
  if (first === undefined || last === undefined) throw new Refusal(501, "Send RANG FIRST LAST");
  const [from, to] = [Number(first), Number(last)];
  if (from === 1 && to === 0) {
    session.restartAt = 0;
    session.endAt = undefined;
    return await session.reply(350, "Range is the whole file");
  }
  if (from > to) throw new Refusal(501, "First byte is behind the last");
  session.restartAt = from;
  session.endAt = to + 1;
  await session.reply(350, `Range is ${from} to ${to}`);
}

async function hash(session: Session, argument: string): Promise<void> {
  const path = virtualPath(session.directory, argument);
  const real = await session.context.jail.existing(path);
  using file = await openFile(session.context.jail, real, "read");
  const { size } = await file.stat();
  const from = session.restartAt;
  const to = Math.min(session.endAt ?? size, size);
  if (from > to) throw new Refusal(554, `File has only ${size} bytes`);
  await file.seek(from, Deno.SeekMode.Start);
  let isAborted = false;
  const work = { bytes: 0, abort: () => isAborted = true };
  const digest = digestOf(session.hashName);
  await session.whileRunning(work, async () => {
    const buffer = new Uint8Array(BLOCK_BYTES);
    while (work.bytes < to - from) {
      if (isAborted) throw new Refusal(426, "Checksum aborted");
      const count = await file.read(buffer.subarray(0, to - from - work.bytes));
      if (count === null) throw new Refusal(450, "File became shorter meanwhile");
      digest.update(buffer.subarray(0, count));
      work.bytes += count;
    }
  });
  // An empty range has no last byte: it is told as the draft's examples tell an empty file.
  await session.reply(213, `${session.hashName} ${from}-${Math.max(from, to - 1)} ${digest.hex()} ${argument}`);
}

function digestOf(name: HashName): { update(bytes: Uint8Array): void; hex(): string } {
  if (name === "CRC32") {
    let sum = 0;
    return {
      update: (bytes) => sum = crc32(bytes, sum),
      hex: () => sum.toString(16).padStart(8, "0"),
    };
  }
  const digest = createHash(name.replace("-", "").toLowerCase());
  return { update: (bytes) => digest.update(bytes), hex: () => digest.digest("hex") };
}
