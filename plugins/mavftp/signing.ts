/**
 * Signed MAVLink 2: link id, time and 48 bits of SHA-256 behind each frame. Times must rise on each stream, so two
 * frames never get the same one, and a clock that is behind follows what it hears.
 */
import { createHash } from "node:crypto";
import { FLAG_SIGNED, type Frame, MESSAGE, SIGNATURE_BYTES } from "./frame_codec.ts";

/** Signing counts from 2015-01-01; milliseconds since 1970. */
const EPOCH_MS = Date.UTC(2015, 0, 1);
/** Units of 10 µs in a millisecond. */
const UNITS_PER_MS = 100;
/** A stream that was not heard before may be a minute behind, in units of 10 µs. */
const BEHIND_MAX = 60_000 * UNITS_PER_MS;
/** How far ahead of what is used the persisted time is kept, so that it is written once a minute. */
const RESERVE = 60_000 * UNITS_PER_MS;
const DIGEST_BYTES = 6;

export interface SignerOptions {
  /** 32 bytes. */
  key: Uint8Array;
  linkId?: number;
  /** Wall clock, milliseconds since 1970. */
  wallMs: () => number;
  /** The time that was persisted last; later ones follow it. */
  lastTime?: number;
  /** Persists a time that no frame has reached yet. */
  persist?: (time: number) => void;
}

/** The 32 bytes of a configured key: 64 hex digits are taken as they are, words are hashed as ground stations do. */
export function signingKey(text: string): Uint8Array {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Uint8Array.fromHex(text);
  return new Uint8Array(createHash("sha256").update(text).digest());
}

export class Signer {
  readonly #options: SignerOptions;
  #time: number;
  #reserved: number;
  readonly #heard = new Map<string, number>();
  /** Frames that were refused: unsigned, another key, replayed. */
  refusedCount = 0;

  constructor(options: SignerOptions) {
    this.#options = options;
    this.#time = Math.max(options.lastTime ?? 0, (options.wallMs() - EPOCH_MS) * UNITS_PER_MS);
    this.#reserved = options.lastTime ?? 0;
  }

  /** Fills in the signature, for which there is room at the end. */
  sign(frame: Uint8Array): void {
    const { wallMs, key, linkId = 0, persist } = this.#options;
    this.#time = Math.max(this.#time + 1, (wallMs() - EPOCH_MS) * UNITS_PER_MS);
    if (this.#time >= this.#reserved) {
      this.#reserved = this.#time + RESERVE;
      persist?.(this.#reserved);
    }
    const at = frame.length - SIGNATURE_BYTES;
    frame[at] = linkId;
    const view = new DataView(frame.buffer, frame.byteOffset);
    view.setUint32(at + 1, this.#time % 2 ** 32, true);
    view.setUint16(at + 5, Math.floor(this.#time / 2 ** 32), true);
    frame.set(digest(key, frame.subarray(0, at + 7)), at + 7);
  }

  /** Whether a frame may be believed. RADIO_STATUS is made by radios, which know no key. */
  accepts(frame: Frame): boolean {
    const isGood = frame.signed === undefined
      ? frame.messageId === MESSAGE.RADIO_STATUS
      : this.#isGood(frame, frame.signed);
    if (!isGood) this.refusedCount++;
    return isGood;
  }

  #isGood({ systemId, componentId }: Frame, frame: Uint8Array): boolean {
    const at = frame.length - SIGNATURE_BYTES;
    const wanted = digest(this.#options.key, frame.subarray(0, at + 7));
    if ((frame[2]! & FLAG_SIGNED) === 0 || !wanted.every((byte, index) => byte === frame[at + 7 + index])) return false;
    const view = new DataView(frame.buffer, frame.byteOffset);
    const time = view.getUint32(at + 1, true) + view.getUint16(at + 5, true) * 2 ** 32;
    const stream = `${systemId}/${componentId}/${frame[at]}`;
    const last = this.#heard.get(stream);
    if (last === undefined ? time + BEHIND_MAX < this.#time : time <= last) return false;
    this.#heard.set(stream, time);
    this.#time = Math.max(this.#time, time);
    return true;
  }
}

function digest(key: Uint8Array, signed: Uint8Array): Uint8Array {
  return createHash("sha256").update(key).update(signed).digest().subarray(0, DIGEST_BYTES);
}
