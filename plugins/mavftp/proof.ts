/**
 * Whether the file that is open is the one that was asked for. On PX4 another ground station can open another file under
 * our session, and reads go on from there without an error.
 */
import { DATA_BYTES_MAX, type FtpReply } from "./ftp_codec.ts";
import type { Chunk } from "./assembly.ts";

/** So much of a file's end is read to see whether it ends where ours does: half a packet, so that more would show. */
const TAIL_BYTES = 120;

/** What a read has to bring where the file is ours; its bytes are not kept. */
export interface Proof {
  /** Pieces that were received when it was sent: those it proves. */
  mark: number;
  at: number;
  /** Bytes to ask for. */
  size: number;
  /** What has to be there; absent: the end of the file. */
  bytes?: Uint8Array;
}

/** Why the reading ends where it is not. */
export type NotOurs = { kind: "stolen"; reason: string } | { kind: "short" };

/** By a piece that is known; while none is, by the end: another file hardly ends where this one does. */
export function proofBy(anchor: Chunk | undefined, sizeBytes: number, mark: number): Proof {
  if (anchor === undefined) return { mark, at: Math.max(0, sizeBytes - TAIL_BYTES), size: DATA_BYTES_MAX };
  const { at, bytes } = anchor;
  return { mark, at, size: Math.min(bytes.length, DATA_BYTES_MAX), bytes };
}

/** What an answer says; `undefined` when the file is ours. */
export function judgeProof({ at, bytes }: Proof, { offset, data }: FtpReply, sizeBytes: number): NotOurs | undefined {
  if (bytes === undefined) {
    const tailBytes = sizeBytes - at;
    if (offset !== at || data.length > tailBytes) {
      return { kind: "stolen", reason: "A file that ends elsewhere is open" };
    }
    return data.length < tailBytes ? { kind: "short" } : undefined;
  }
  const length = Math.min(bytes.length, data.length);
  const isSame = offset === at && length > 0 && bytes.subarray(0, length).every((byte, index) => byte === data[index]);
  return isSame ? undefined : { kind: "stolen", reason: `Bytes from ${at} are not those of before` };
}
