/**
 * Sample DataFlash logs (ArduPilot's `.BIN`) of any size: FMT messages for every type that is used, then IMU records,
 * and small messages that fill the file to the byte.
 */
import type { Content } from "./content.ts";
import { framedContent } from "./ulog.ts";

const HEAD = [0xa3, 0x95];
const FMT = 128;
/** Head and id, type, length, name[4], format[16], labels[64]. */
const FMT_BYTES = 89;
const IMU = 131;
/** Head and id, time, six floats. */
const IMU_BYTES = 3 + 8 + 24;
const [FOUR, FIVE] = [132, 133];
/** Every length from here on is a sum of fours and fives. */
const TAIL_MIN = 12;

function format(type: number, length: number, name: string, fields: string, labels: string): Uint8Array {
  const bytes = new Uint8Array(FMT_BYTES);
  bytes.set([...HEAD, FMT, type, length]);
  const put = (value: string, at: number) => bytes.set(new TextEncoder().encode(value), at);
  put(name, 5);
  put(fields, 9);
  put(labels, 25);
  return bytes;
}

function head(): Uint8Array {
  const formats = [
    format(FMT, FMT_BYTES, "FMT", "BBnNZ", "Type,Length,Name,Format,Columns"),
    format(IMU, IMU_BYTES, "IMU", "Qffffff", "TimeUS,GyrX,GyrY,GyrZ,AccX,AccY,AccZ"),
    format(FOUR, 4, "MODE", "B", "Mode"),
    format(FIVE, 5, "EV", "H", "Id"),
  ];
  const bytes = new Uint8Array(formats.length * FMT_BYTES);
  for (const [n, one] of formats.entries()) bytes.set(one, n * FMT_BYTES);
  return bytes;
}

function tail(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const type = (length - at) % 4 === 0 ? FOUR : FIVE;
    bytes.set([...HEAD, type, 1], at);
    at += type === FOUR ? 4 : 5;
  }
  return bytes;
}

/** A whole DataFlash log of exactly `sizeBytes`; one shorter than its head is cut. */
export function dataflash(sizeBytes: number, seed = 1): Content {
  return framedContent(sizeBytes, head(), IMU_BYTES, TAIL_MIN, tail, (view, at, n) => {
    view.setUint8(at, HEAD[0]!);
    view.setUint8(at + 1, HEAD[1]!);
    view.setUint8(at + 2, IMU);
    const timeUs = 1_000_000 + n * 2500;
    view.setUint32(at + 3, timeUs % 2 ** 32, true);
    view.setUint32(at + 7, Math.floor(timeUs / 2 ** 32), true);
    for (let k = 0; k < 6; k++) view.setFloat32(at + 11 + 4 * k, Math.sin(seed + n * 6 + k) * 9.81, true);
  });
}
