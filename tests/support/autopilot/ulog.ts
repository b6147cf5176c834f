/**
 * Sample ULogs of any size: header, flag bits, information, formats, one subscription and then logged data, made from
 * the offset so that nothing is kept in memory. The last message is a logged string that fills the file to the byte.
 */
import { type Content, madeContent } from "./content.ts";

const MAGIC = [0x55, 0x4c, 0x6f, 0x67, 0x01, 0x12, 0x35, 0x01];
const FIELDS = "sensor_combined:uint64_t timestamp;float[3] gyro_rad;float[3] accelerometer_m_s2;uint32_t count;";
/** Message header, message id, timestamp, six floats and a counter. */
const RECORD_BYTES = 3 + 2 + 8 + 24 + 4;
/** Header, level, timestamp, one letter. */
const STRING_MIN = 3 + 1 + 8 + 1;

function message(type: string, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(3 + body.length);
  new DataView(bytes.buffer).setUint16(0, body.length, true);
  bytes[2] = type.charCodeAt(0);
  bytes.set(body, 3);
  return bytes;
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function concat(...pieces: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function info(key: string, value: string): Uint8Array {
  const name = `char[${value.length}] ${key}`;
  return message("I", concat(Uint8Array.of(name.length), text(name), text(value)));
}

function prelude(seed: number): Uint8Array {
  const header = new Uint8Array(16);
  header.set(MAGIC);
  new DataView(header.buffer).setBigUint64(8, 1_000_000n + BigInt(seed), true);
  return concat(
    header,
    // Flag bits: compatible and incompatible flags, three offsets of appended data; all zero.
    message("B", new Uint8Array(40)),
    info("sys_name", "PX4"),
    info("ver_hw", "PX4_FMU_V4"),
    info("sys_uuid", `0002${(seed >>> 0).toString(16).padStart(32, "0")}`),
    message("F", text(FIELDS)),
    // Subscription: multi id 0, message id 0.
    message("A", concat(Uint8Array.of(0, 0, 0), text("sensor_combined"))),
  );
}

function logString(length: number): Uint8Array {
  const body = new Uint8Array(length - 3).fill(46);
  body[0] = 54;
  new DataView(body.buffer).setBigUint64(1, 2_000_000n, true);
  body.set(text("[logger] closing").subarray(0, body.length - 9), 9);
  return message("L", body);
}

function mix(seed: number, n: number): number {
  let word = Math.imul((n & 0xffffffff) + Math.imul(seed + 1, 0x9e3779b1), 0x85ebca6b);
  word ^= word >>> 13;
  word = Math.imul(word, 0xc2b2ae35);
  return (word ^ (word >>> 16)) >>> 0;
}

/** Writes record `n` at `at`. */
function writeRecord(view: DataView, at: number, seed: number, n: number): void {
  view.setUint16(at, RECORD_BYTES - 3, true);
  view.setUint8(at + 2, 68);
  view.setUint16(at + 3, 0, true);
  const timeUs = 1_000_000 + n * 4000;
  view.setUint32(at + 5, timeUs % 2 ** 32, true);
  view.setUint32(at + 9, Math.floor(timeUs / 2 ** 32), true);
  for (let k = 0; k < 6; k++) view.setFloat32(at + 13 + 4 * k, (mix(seed, n * 6 + k) / 2 ** 32 - 0.5) * 20, true);
  view.setUint32(at + 37, n % 2 ** 32, true);
}

/** A whole ULog of exactly `sizeBytes`; one shorter than its head is cut, as a crash leaves it. */
export function ulog(sizeBytes: number, seed = 1): Content {
  const head = prelude(seed);
  return framedContent(sizeBytes, head, RECORD_BYTES, STRING_MIN, logString, (view, at, n) => {
    writeRecord(view, at, seed, n);
  });
}

/** A head, records of one length, and a tail that fills the rest to the byte. */
export function framedContent(
  sizeBytes: number,
  head: Uint8Array,
  recordBytes: number,
  tailMin: number,
  makeTail: (length: number) => Uint8Array,
  write: (view: DataView, at: number, n: number) => void,
): Content {
  const room = sizeBytes - head.length;
  const count = Math.max(0, Math.floor((room - tailMin) / recordBytes));
  const tailFrom = head.length + count * recordBytes;
  const tailBytes = sizeBytes - tailFrom;
  const tail = tailBytes >= tailMin ? makeTail(tailBytes) : new Uint8Array(Math.max(0, tailBytes));
  const record = new Uint8Array(recordBytes);
  const view = new DataView(record.buffer);
  return madeContent(sizeBytes, (offset, target) => {
    for (let at = 0; at < target.length;) {
      const from = offset + at;
      let piece: Uint8Array;
      if (from < head.length) piece = head.subarray(from);
      else if (from >= tailFrom) piece = tail.subarray(from - tailFrom);
      else {
        const n = Math.floor((from - head.length) / recordBytes);
        write(view, 0, n);
        piece = record.subarray(from - head.length - n * recordBytes);
      }
      const taken = piece.subarray(0, target.length - at);
      target.set(taken, at);
      at += taken.length;
    }
  });
}
