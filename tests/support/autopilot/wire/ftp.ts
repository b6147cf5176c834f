/** The packet of MAVLink FTP inside message 110. */

export const OPCODES = {
  None: 0,
  TerminateSession: 1,
  ResetSessions: 2,
  ListDirectory: 3,
  OpenFileRO: 4,
  ReadFile: 5,
  CreateFile: 6,
  WriteFile: 7,
  RemoveFile: 8,
  CreateDirectory: 9,
  RemoveDirectory: 10,
  OpenFileWO: 11,
  TruncateFile: 12,
  Rename: 13,
  CalcFileCRC32: 14,
  BurstReadFile: 15,
  ListDirectoryWithTime: 16,
} as const;

export type OpcodeName = keyof typeof OPCODES;

export const ACK = 128;
export const NAK = 129;
export const DATA_MAX = 239;

export const ERRORS = {
  None: 0,
  Fail: 1,
  FailErrno: 2,
  InvalidDataSize: 3,
  InvalidSession: 4,
  NoSessionsAvailable: 5,
  Eof: 6,
  UnknownCommand: 7,
  FileExists: 8,
  FileProtected: 9,
  FileNotFound: 10,
} as const;

const NAMES = new Map(Object.entries(OPCODES).map(([name, code]) => [code as number, name as OpcodeName]));

/** The word for an opcode; `opcode 99` for one that is not known. */
export function opcodeName(opcode: number): OpcodeName | `opcode ${number}` {
  return NAMES.get(opcode) ?? `opcode ${opcode}`;
}

/** The 251 bytes of one packet, seen as fields. Reading and writing a field changes the bytes. */
export class FtpPacket {
  readonly #view: DataView;
  constructor(readonly bytes: Uint8Array = new Uint8Array(251)) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, 251);
  }

  static of(fields: Partial<FtpFields>): FtpPacket {
    return Object.assign(new FtpPacket(), fields);
  }

  get seq(): number {
    return this.#view.getUint16(0, true);
  }
  set seq(value: number) {
    this.#view.setUint16(0, value, true);
  }
  get session(): number {
    return this.bytes[2]!;
  }
  set session(value: number) {
    this.bytes[2] = value;
  }
  get opcode(): number {
    return this.bytes[3]!;
  }
  set opcode(value: number) {
    this.bytes[3] = value;
  }
  get size(): number {
    return this.bytes[4]!;
  }
  set size(value: number) {
    this.bytes[4] = value;
  }
  get reqOpcode(): number {
    return this.bytes[5]!;
  }
  set reqOpcode(value: number) {
    this.bytes[5] = value;
  }
  get burstComplete(): number {
    return this.bytes[6]!;
  }
  set burstComplete(value: number) {
    this.bytes[6] = value;
  }
  get offset(): number {
    return this.#view.getUint32(8, true);
  }
  set offset(value: number) {
    this.#view.setUint32(8, value, true);
  }
  /** The data area, 239 bytes. */
  get area(): Uint8Array {
    return this.bytes.subarray(12, 251);
  }
  /** The `size` bytes of data. */
  get data(): Uint8Array {
    return this.bytes.subarray(12, 12 + Math.min(this.size, DATA_MAX));
  }
  /** Sets the data and its size; what is behind it stays. */
  set data(value: Uint8Array) {
    this.bytes.set(value, 12);
    this.size = value.length;
  }
  getU32(): number {
    return this.#view.getUint32(12, true);
  }
  setU32(value: number): void {
    this.#view.setUint32(12, value, true);
    this.size = 4;
  }
  /** The data as a path: bytes as characters up to the first NUL or `size`. */
  get path(): string {
    const { data } = this;
    const end = data.indexOf(0);
    return latin1(end < 0 ? data : data.subarray(0, end));
  }
  copy(): FtpPacket {
    return new FtpPacket(this.bytes.slice());
  }
}

export interface FtpFields {
  seq: number;
  session: number;
  opcode: number;
  size: number;
  reqOpcode: number;
  burstComplete: number;
  offset: number;
  data: Uint8Array;
}

/** Bytes as a string with one character a byte, so that any name survives. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

export function fromLatin1(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0) & 0xff);
}
