/** The packet of MAVLink FTP: 251 bytes inside message 110, a header of 12 and up to 239 of data. */

export const OPCODE = {
  NONE: 0,
  TERMINATE: 1,
  RESET: 2,
  LIST: 3,
  OPEN: 4,
  READ: 5,
  REMOVE: 8,
  CRC: 14,
  BURST: 15,
  /** `ListDirectoryWithTime`, in the specification since May 2026. */
  LIST_WITH_TIME: 16,
  ACK: 128,
  NAK: 129,
} as const;

/** Reasons of a NAK. */
export const NAK = {
  FAIL: 1,
  ERRNO: 2,
  DATA_SIZE: 3,
  SESSION: 4,
  NO_SESSIONS: 5,
  EOF: 6,
  UNKNOWN: 7,
  EXISTS: 8,
  PROTECTED: 9,
  NOT_FOUND: 10,
} as const;

/** Most bytes of data in one packet. */
export const DATA_BYTES_MAX = 239;
const HEADER_BYTES = 12;
const PACKET_BYTES = HEADER_BYTES + DATA_BYTES_MAX;
/** Message 110: network, system and component of the target, then the packet. */
const PACKET_AT = 3;
/** The whole message 110. */
const MESSAGE_BYTES = PACKET_AT + PACKET_BYTES;

/** What is asked. */
export interface FtpRequest {
  opcode: number;
  seq: number;
  session?: number;
  /** Byte offset; of a listing the index of the first entry. */
  offset?: number;
  /** Bytes wanted, where there is no `data`. */
  size?: number;
  data?: Uint8Array;
}

/** What came back. */
export interface FtpReply {
  seq: number;
  session: number;
  isAck: boolean;
  requestOpcode: number;
  /** As it was sent; more than 239 is nonsense. */
  size: number;
  offset: number;
  burstComplete: number;
  /** `size` bytes, zeros included that the frame had cut off. */
  data: Uint8Array;
}

/** Message 110 for `target`. */
export function encodeRequest(target: { systemId: number; componentId: number }, request: FtpRequest): Uint8Array {
  const message = new Uint8Array(MESSAGE_BYTES);
  const data = request.data;
  message[1] = target.systemId;
  message[2] = target.componentId;
  message[3] = request.seq & 0xff;
  message[4] = request.seq >>> 8;
  message[5] = request.session ?? 0;
  message[6] = request.opcode;
  message[7] = data?.length ?? request.size ?? 0;
  new DataView(message.buffer).setUint32(PACKET_AT + 8, request.offset ?? 0, true);
  if (data !== undefined) message.set(data, PACKET_AT + HEADER_BYTES);
  return message;
}

/** The reply in message 110, or `undefined` when it is none: a request of somebody else's. */
export function parseReply(message: Uint8Array): FtpReply | undefined {
  const opcode = message[6]!;
  if (opcode !== OPCODE.ACK && opcode !== OPCODE.NAK) return undefined;
  const size = message[7]!;
  const dataAt = PACKET_AT + HEADER_BYTES;
  return {
    seq: message[3]! | (message[4]! << 8),
    session: message[5]!,
    isAck: opcode === OPCODE.ACK,
    requestOpcode: message[8]!,
    size,
    burstComplete: message[9]!,
    offset: (message[11]! | (message[12]! << 8) | (message[13]! << 16) | (message[14]! << 24)) >>> 0,
    data: message.subarray(dataAt, dataAt + Math.min(size, DATA_BYTES_MAX)),
  };
}

/** Why a request was refused; an answer without a reason, which the specification does not know, counts as `Fail`. */
export function nakCode(reply: FtpReply): number {
  const code = reply.data[0];
  return code === undefined || code === 0 ? NAK.FAIL : code;
}

const WORDS: Readonly<Record<number, string>> = {
  [NAK.FAIL]: "failure",
  [NAK.DATA_SIZE]: "invalid size",
  [NAK.SESSION]: "invalid session",
  [NAK.NO_SESSIONS]: "no session is free",
  [NAK.EOF]: "end of file",
  [NAK.UNKNOWN]: "unknown command",
  [NAK.EXISTS]: "file exists",
  [NAK.PROTECTED]: "file is protected",
  [NAK.NOT_FOUND]: "no such file",
};

/** A NAK in words. The number of an errno is the autopilot's own. */
export function nakWords(reply: FtpReply): string {
  const code = nakCode(reply);
  if (code === NAK.ERRNO) return `system error ${reply.data[1] ?? "unknown"}`;
  return WORDS[code] ?? `error ${code}`;
}

/** A little-endian number of 32 bits at the beginning of the data; `undefined` when it is not there. */
export function dataU32(reply: FtpReply): number | undefined {
  const { data } = reply;
  if (data.length < 4) return undefined;
  return (data[0]! | (data[1]! << 8) | (data[2]! << 16) | (data[3]! << 24)) >>> 0;
}

const SEQ_COUNT = 0x10000;

/** `seq` moved by `count`, around the end of 16 bits. */
export function addSeq(seq: number, count: number): number {
  return (((seq + count) % SEQ_COUNT) + SEQ_COUNT) % SEQ_COUNT;
}

/** How far `a` is ahead of `b` on the circle of 16 bits, -32768 to 32767. */
export function seqDistance(a: number, b: number): number {
  const distance = addSeq(a, -b);
  return distance >= SEQ_COUNT / 2 ? distance - SEQ_COUNT : distance;
}
