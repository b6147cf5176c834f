/**
 * Frames of MAVLink 1 and 2. Written for one client that must not lose a good frame: what is no frame costs one byte,
 * never the length that it claims, and nothing waits for bytes that will not come (see `lib/ARCHITECTURE.md`).
 */
import { frameCrc } from "./crc.ts";

/** What a frame needs to be checked. Lengths are those of the payload. */
interface MessageKind {
  crcExtra: number;
  lengthV1: number;
  /** With the extension fields of MAVLink 2. */
  lengthMax: number;
}

/** Ids of the messages that this driver sends or understands. */
export const MESSAGE = {
  HEARTBEAT: 0,
  SYS_STATUS: 1,
  PARAM_REQUEST_READ: 20,
  PARAM_VALUE: 22,
  COMMAND_LONG: 76,
  COMMAND_ACK: 77,
  RADIO_STATUS: 109,
  FILE_TRANSFER_PROTOCOL: 110,
  LOG_REQUEST_LIST: 117,
  LOG_ENTRY: 118,
  LOG_REQUEST_DATA: 119,
  LOG_DATA: 120,
  LOG_REQUEST_END: 122,
  AUTOPILOT_VERSION: 148,
  STATUSTEXT: 253,
} as const;

const KINDS: Readonly<Record<number, MessageKind>> = {
  [MESSAGE.HEARTBEAT]: { crcExtra: 50, lengthV1: 9, lengthMax: 9 },
  [MESSAGE.SYS_STATUS]: { crcExtra: 124, lengthV1: 31, lengthMax: 43 },
  [MESSAGE.PARAM_REQUEST_READ]: { crcExtra: 214, lengthV1: 20, lengthMax: 20 },
  [MESSAGE.PARAM_VALUE]: { crcExtra: 220, lengthV1: 25, lengthMax: 25 },
  [MESSAGE.COMMAND_LONG]: { crcExtra: 152, lengthV1: 33, lengthMax: 33 },
  [MESSAGE.COMMAND_ACK]: { crcExtra: 143, lengthV1: 3, lengthMax: 10 },
  [MESSAGE.RADIO_STATUS]: { crcExtra: 185, lengthV1: 9, lengthMax: 9 },
  [MESSAGE.FILE_TRANSFER_PROTOCOL]: { crcExtra: 84, lengthV1: 254, lengthMax: 254 },
  [MESSAGE.LOG_REQUEST_LIST]: { crcExtra: 128, lengthV1: 6, lengthMax: 6 },
  [MESSAGE.LOG_ENTRY]: { crcExtra: 56, lengthV1: 14, lengthMax: 14 },
  [MESSAGE.LOG_REQUEST_DATA]: { crcExtra: 116, lengthV1: 12, lengthMax: 12 },
  [MESSAGE.LOG_DATA]: { crcExtra: 134, lengthV1: 97, lengthMax: 97 },
  [MESSAGE.LOG_REQUEST_END]: { crcExtra: 203, lengthV1: 2, lengthMax: 2 },
  [MESSAGE.AUTOPILOT_VERSION]: { crcExtra: 178, lengthV1: 60, lengthMax: 78 },
  [MESSAGE.STATUSTEXT]: { crcExtra: 83, lengthV1: 51, lengthMax: 54 },
};

/** Ids that {@linkcode FrameReader} can tell. */
export const KNOWN_MESSAGES: ReadonlyMap<number, Readonly<MessageKind>> = new Map(
  Object.entries(KINDS).map(([id, kind]) => [Number(id), kind]),
);

const STX_V1 = 0xfe;
const STX_V2 = 0xfd;
const HEAD_V1 = 6;
const HEAD_V2 = 10;
const CRC_BYTES = 2;
/** Link id, 48 bits of time, 48 bits of SHA-256. */
export const SIGNATURE_BYTES = 13;
/** `incompat_flags` of a signed frame; a frame with any other flag cannot be understood. */
export const FLAG_SIGNED = 1;
/** A frame of MAVLink 2 with all it can have, bytes. */
const FRAME_BYTES_MAX = HEAD_V2 + 255 + CRC_BYTES + SIGNATURE_BYTES;

/** One message as it came. */
export interface Frame {
  version: 1 | 2;
  seq: number;
  systemId: number;
  componentId: number;
  messageId: number;
  /** A copy, as long as the message with its extensions: zeros that the sender cut off are back. */
  payload: Uint8Array;
  /** The whole frame, for the check of its signature; only of a signed one. */
  signed?: Uint8Array;
}

export interface FrameHead {
  seq: number;
  systemId: number;
  componentId: number;
}

/** Adds the signature to a frame of which all else is there. */
export type Sign = (frame: Uint8Array) => void;

/** One frame of MAVLink 2. Trailing zeros of the payload are cut off, but not its first byte. */
export function encodeFrame(head: FrameHead, messageId: number, payload: Uint8Array, sign?: Sign): Uint8Array {
  const kind = KINDS[messageId];
  if (kind === undefined) throw new TypeError(`Message ${messageId} is not known`);
  let length = payload.length;
  while (length > 1 && payload[length - 1] === 0) length--;
  const crcAt = HEAD_V2 + length;
  const frame = new Uint8Array(crcAt + CRC_BYTES + (sign === undefined ? 0 : SIGNATURE_BYTES));
  frame[0] = STX_V2;
  frame[1] = length;
  frame[2] = sign === undefined ? 0 : FLAG_SIGNED;
  frame[4] = head.seq;
  frame[5] = head.systemId;
  frame[6] = head.componentId;
  frame[7] = messageId & 0xff;
  frame[8] = (messageId >>> 8) & 0xff;
  frame[9] = messageId >>> 16;
  frame.set(length === payload.length ? payload : payload.subarray(0, length), HEAD_V2);
  const crc = frameCrc(frame, 1, crcAt, kind.crcExtra);
  frame[crcAt] = crc & 0xff;
  frame[crcAt + 1] = crc >>> 8;
  sign?.(frame);
  return frame;
}

/** What {@linkcode readFrame} found at a place. */
type Found = Frame | "incomplete" | "none";

/** The frame that begins at `at`, as far as its bytes are there. */
function readFrame(bytes: Uint8Array, at: number, end: number): { found: Found; length: number } {
  const none = { found: "none" as const, length: 1 };
  const incomplete = { found: "incomplete" as const, length: 0 };
  const isV2 = bytes[at] === STX_V2;
  const headLength = isV2 ? HEAD_V2 : HEAD_V1;
  if (end - at < headLength) return incomplete;
  const flags = isV2 ? bytes[at + 2]! : 0;
  if ((flags & ~FLAG_SIGNED) !== 0) return none;
  const messageId = isV2 ? bytes[at + 7]! | (bytes[at + 8]! << 8) | (bytes[at + 9]! << 16) : bytes[at + 5]!;
  const kind = KINDS[messageId];
  const length = bytes[at + 1]!;
  // A message that is not ours cannot be checked, so the length that it claims is not believed.
  if (kind === undefined || length > kind.lengthMax || (!isV2 && length !== kind.lengthV1)) return none;
  const crcAt = at + headLength + length;
  const total = headLength + length + CRC_BYTES + (flags === 0 ? 0 : SIGNATURE_BYTES);
  if (end - at < total) return incomplete;
  const crc = frameCrc(bytes, at + 1, crcAt, kind.crcExtra);
  if (bytes[crcAt] !== (crc & 0xff) || bytes[crcAt + 1] !== crc >>> 8) return none;
  const payload = new Uint8Array(kind.lengthMax);
  payload.set(bytes.subarray(at + headLength, crcAt));
  const frame: Frame = isV2
    ? {
      version: 2,
      seq: bytes[at + 4]!,
      systemId: bytes[at + 5]!,
      componentId: bytes[at + 6]!,
      messageId,
      payload,
    }
    : { version: 1, seq: bytes[at + 2]!, systemId: bytes[at + 3]!, componentId: bytes[at + 4]!, messageId, payload };
  if (flags !== 0) frame.signed = bytes.slice(at, at + total);
  return { found: frame, length: total };
}

/** Finds the frames in what comes from a link. */
export class FrameReader {
  readonly #take: (frame: Frame) => void;
  #held = new Uint8Array(FRAME_BYTES_MAX);
  #heldLength = 0;
  /** Bytes that belonged to no frame that could be read. */
  strayBytes = 0;

  /** @param take gets each frame, in order */
  constructor(take: (frame: Frame) => void) {
    this.#take = take;
  }

  /** Whether the beginning of something that may become a frame is held. */
  get isWaiting(): boolean {
    return this.#heldLength > 0;
  }

  /** Takes bytes of a stream. */
  push(chunk: Uint8Array): void {
    let bytes = chunk;
    if (this.#heldLength > 0) {
      bytes = new Uint8Array(this.#heldLength + chunk.length);
      bytes.set(this.#held.subarray(0, this.#heldLength));
      bytes.set(chunk, this.#heldLength);
    }
    this.#scan(bytes, false);
  }

  /** Takes one datagram, which ends what came before it. */
  pushDatagram(datagram: Uint8Array): void {
    this.flush();
    this.#scan(datagram, true);
  }

  /** Nothing more comes for what is held (the line is idle): it is no frame, but one may begin inside of it. */
  flush(): void {
    if (this.#heldLength === 0) return;
    this.#scan(this.#held.slice(0, this.#heldLength), true);
  }

  #scan(bytes: Uint8Array, isAll: boolean): void {
    this.#heldLength = 0;
    let at = 0;
    while (at < bytes.length) {
      const byte = bytes[at];
      if (byte !== STX_V2 && byte !== STX_V1) {
        at++;
        this.strayBytes++;
        continue;
      }
      const { found, length } = readFrame(bytes, at, bytes.length);
      if (found === "none" || (found === "incomplete" && isAll)) {
        at++;
        this.strayBytes++;
      } else if (found === "incomplete") {
        this.#heldLength = bytes.length - at;
        this.#held.set(bytes.subarray(at));
        return;
      } else {
        at += length;
        this.#take(found);
      }
    }
  }
}
