/** Frames of MAVLink 1 and 2, written and read with a codec of the simulator's own. */
import { frameCrc } from "./crc.ts";
import { type MessageKind, messageOfId } from "./messages.ts";
import { SIGNATURE_BYTES, type Signer } from "./signing.ts";

export const STX_V1 = 0xfe;
export const STX_V2 = 0xfd;
const SIGNED = 1;

export interface FrameHead {
  version: 1 | 2;
  seq: number;
  systemId: number;
  componentId: number;
}

export interface Frame extends FrameHead {
  messageId: number;
  /** As long as the message is with its extensions: zeros that were cut off are back. */
  payload: Uint8Array;
  isSigned: boolean;
  /** The frame as it was on the wire. */
  bytes: Uint8Array;
}

/** Writes one frame. MAVLink 2 cuts trailing zeros of the payload but for its first byte; MAVLink 1 has no extensions. */
export function encodeFrame(head: FrameHead, message: MessageKind, payload: Uint8Array, signer?: Signer): Uint8Array {
  let length = Math.min(payload.length, head.version === 1 ? message.length : message.lengthMax);
  if (head.version === 2) { while (length > 1 && payload[length - 1] === 0) length--; }
  const start = head.version === 1 ? 6 : 10;
  const isSigned = head.version === 2 && signer !== undefined;
  const bytes = new Uint8Array(start + length + 2 + (isSigned ? SIGNATURE_BYTES : 0));
  bytes[1] = length;
  if (head.version === 1) {
    bytes[0] = STX_V1;
    bytes[2] = head.seq;
    bytes[3] = head.systemId;
    bytes[4] = head.componentId;
    bytes[5] = message.id;
  } else {
    bytes[0] = STX_V2;
    bytes[2] = isSigned ? SIGNED : 0;
    bytes[4] = head.seq;
    bytes[5] = head.systemId;
    bytes[6] = head.componentId;
    bytes[7] = message.id & 0xff;
    bytes[8] = (message.id >>> 8) & 0xff;
    bytes[9] = message.id >>> 16;
  }
  bytes.set(payload.subarray(0, length), start);
  const crc = frameCrc(bytes, 1, start + length, message.crcExtra);
  bytes[start + length] = crc & 0xff;
  bytes[start + length + 1] = crc >>> 8;
  if (isSigned) signer.sign(bytes);
  return bytes;
}

/** Whether a frame may begin there. A flag that nobody knows makes it none. */
function isStart(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] === STX_V1) return true;
  return bytes[at] === STX_V2 && ((bytes[at + 2] ?? 0) & ~SIGNED) === 0;
}

/** Bytes that the frame at `at` claims to have, or 0 while its head is not all there. */
export function claimedLength(bytes: Uint8Array, at: number, end: number): number {
  if (bytes[at] === STX_V1) return end - at < 2 ? 0 : 8 + bytes[at + 1]!;
  if (end - at < 3) return 0;
  return 12 + bytes[at + 1]! + ((bytes[at + 2]! & SIGNED) !== 0 ? SIGNATURE_BYTES : 0);
}

/** Reads the frame that is all of `bytes`; `undefined` when the message is not known or the checksum is wrong. */
export function decodeFrame(bytes: Uint8Array): Frame | undefined {
  const version = bytes[0] === STX_V1 ? 1 : 2;
  const start = version === 1 ? 6 : 10;
  const length = bytes[1]!;
  const messageId = messageIdAt(bytes, 0);
  const message = messageOfId(messageId);
  if (message === undefined || length > message.lengthMax) return undefined;
  const crc = frameCrc(bytes, 1, start + length, message.crcExtra);
  if (bytes[start + length] !== (crc & 0xff) || bytes[start + length + 1] !== crc >>> 8) return undefined;
  const payload = new Uint8Array(message.lengthMax);
  payload.set(bytes.subarray(start, start + length));
  const [seq, systemId, componentId] = version === 1
    ? [bytes[2]!, bytes[3]!, bytes[4]!]
    : [bytes[4]!, bytes[5]!, bytes[6]!];
  const isSigned = version === 2 && (bytes[2]! & SIGNED) !== 0;
  return { version, seq, systemId, componentId, messageId, payload, isSigned, bytes };
}

function messageIdAt(bytes: Uint8Array, at: number): number {
  if (bytes[at] === STX_V1) return bytes[at + 5]!;
  return bytes[at + 7]! | (bytes[at + 8]! << 8) | (bytes[at + 9]! << 16);
}

function isKnown(bytes: Uint8Array, at: number): boolean {
  return messageOfId(messageIdAt(bytes, at)) !== undefined;
}

/**
 * Cuts a stream into frames. A frame whose checksum is wrong costs its first byte only, so what it had swallowed is
 * found again.
 */
export class FrameReader {
  #held = new Uint8Array(0);
  /** Bytes that belonged to no frame. */
  junkBytes = 0;

  /** Frames that are complete with `chunk`; `onJunk` sees each byte that belongs to none. */
  push(chunk: Uint8Array, onJunk?: (byte: number) => void): Frame[] {
    let bytes = chunk;
    if (this.#held.length > 0) {
      bytes = new Uint8Array(this.#held.length + chunk.length);
      bytes.set(this.#held);
      bytes.set(chunk, this.#held.length);
    }
    const frames: Frame[] = [];
    let at = 0;
    while (at < bytes.length) {
      if (isStart(bytes, at)) {
        const length = claimedLength(bytes, at, bytes.length);
        if (length === 0 || at + length > bytes.length) break;
        const frame = decodeFrame(bytes.subarray(at, at + length));
        // What is not known cannot be checked: it is passed over as far as it says.
        if (frame !== undefined || !isKnown(bytes, at)) {
          if (frame !== undefined) frames.push(frame);
          at += length;
          continue;
        }
      }
      onJunk?.(bytes[at]!);
      this.junkBytes++;
      at++;
    }
    this.#held = bytes.slice(at);
    return frames;
  }

  /** Gives up what is held: nothing more came for it (the end of a datagram). */
  reset(): void {
    this.junkBytes += this.#held.length;
    this.#held = new Uint8Array(0);
  }
}

/** Cuts what a well-behaved sender writes into packets, unchecked; what is between packets comes as pieces of its own. */
export class PacketCutter {
  #held = new Uint8Array(0);

  push(chunk: Uint8Array): Uint8Array[] {
    const bytes = new Uint8Array(this.#held.length + chunk.length);
    bytes.set(this.#held);
    bytes.set(chunk, this.#held.length);
    const packets: Uint8Array[] = [];
    let junkFrom = 0;
    let at = 0;
    while (at < bytes.length) {
      if (!isStart(bytes, at)) {
        at++;
        continue;
      }
      if (at > junkFrom) packets.push(bytes.subarray(junkFrom, at));
      junkFrom = at;
      const length = claimedLength(bytes, at, bytes.length);
      if (length === 0 || at + length > bytes.length) {
        this.#held = bytes.slice(at);
        return packets;
      }
      packets.push(bytes.subarray(at, at + length));
      at += length;
      junkFrom = at;
    }
    if (at > junkFrom) packets.push(bytes.subarray(junkFrom, at));
    this.#held = new Uint8Array(0);
    return packets;
  }

  /** What is left of a packet that does not go on. */
  flush(): Uint8Array[] {
    const rest = this.#held;
    this.#held = new Uint8Array(0);
    return rest.length === 0 ? [] : [rest];
  }
}
