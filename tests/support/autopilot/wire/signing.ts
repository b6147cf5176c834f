/** MAVLink 2 signing: 13 bytes behind the checksum (link, time in 10 µs, 48 bits of SHA-256), and the check for replays. */
import { createHash } from "node:crypto";

export const SIGNATURE_BYTES = 13;
/** Signing counts from 2015-01-01, milliseconds since 1970. */
const EPOCH_MS = Date.UTC(2015, 0, 1);
/** A stream that was not heard before may be this far behind, in 10 µs. */
const STALE_MAX = 60 * 100_000;

/** Time of signing for a wall clock, in 10 µs. */
export function signingTime(wallMs: number): number {
  return Math.floor((wallMs - EPOCH_MS) * 100);
}

function signature(key: Uint8Array, signed: Uint8Array): Uint8Array {
  return createHash("sha256").update(key).update(signed).digest().subarray(0, 6);
}

/** Signs what one end sends; no two packets have the same time. */
export class Signer {
  #last = 0;
  constructor(readonly key: Uint8Array, readonly linkId: number, readonly wallMs: () => number) {}

  sign(bytes: Uint8Array): void {
    const at = bytes.length - SIGNATURE_BYTES;
    this.#last = Math.max(this.#last + 1, signingTime(this.wallMs()));
    bytes[at] = this.linkId;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    view.setUint32(at + 1, this.#last % 2 ** 32, true);
    view.setUint16(at + 5, Math.floor(this.#last / 2 ** 32), true);
    bytes.set(signature(this.key, bytes.subarray(0, at + 7)), at + 7);
  }

  /** The time of the newest packet of either side. */
  get last(): number {
    return this.#last;
  }

  heard(time: number): void {
    this.#last = Math.max(this.#last, time);
  }
}

export type SignatureVerdict = "good" | "unsigned" | "wrong key" | "replayed" | "stale";

/** Judges what one end receives: times must rise per system, component and link. */
export class SignatureCheck {
  #lastOf = new Map<string, number>();
  constructor(readonly signer: Signer) {}

  judge(frame: { systemId: number; componentId: number; isSigned: boolean; bytes: Uint8Array }): SignatureVerdict {
    if (!frame.isSigned) return "unsigned";
    const { bytes } = frame;
    const at = bytes.length - SIGNATURE_BYTES;
    const wanted = signature(this.signer.key, bytes.subarray(0, at + 7));
    if (!wanted.every((byte, n) => byte === bytes[at + 7 + n])) return "wrong key";
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const time = view.getUint32(at + 1, true) + view.getUint16(at + 5, true) * 2 ** 32;
    const stream = `${frame.systemId}/${frame.componentId}/${bytes[at]}`;
    const last = this.#lastOf.get(stream);
    if (last !== undefined && time <= last) return "replayed";
    if (last === undefined && time + STALE_MAX < Math.max(this.signer.last, signingTime(this.signer.wallMs()))) {
      return "stale";
    }
    this.#lastOf.set(stream, time);
    this.signer.heard(time);
    return "good";
  }
}
