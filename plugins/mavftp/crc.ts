/** The two checksums of MAVLink: CRC-16/MCRF4XX of a frame, and the CRC-32 of its file transfer. */

const X25 = new Uint16Array(256);
const CRC32 = new Uint32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let short = byte;
  let long = byte;
  for (let bit = 0; bit < 8; bit++) {
    short = (short & 1) === 0 ? short >>> 1 : (short >>> 1) ^ 0x8408;
    long = (long & 1) === 0 ? long >>> 1 : (long >>> 1) ^ 0xedb88320;
  }
  X25[byte] = short;
  CRC32[byte] = long;
}

/** Checksum of `bytes[from, to)` followed by the message's CRC_EXTRA. */
export function frameCrc(bytes: Uint8Array, from: number, to: number, crcExtra: number): number {
  let crc = 0xffff;
  for (let at = from; at < to; at++) crc = (crc >>> 8) ^ X25[(crc ^ bytes[at]!) & 0xff]!;
  return (crc >>> 8) ^ X25[(crc ^ crcExtra) & 0xff]!;
}

/**
 * CRC-32 as PX4, ArduPilot and MAVSDK compute it for a file: zlib's polynomial, but it starts with 0 and is not
 * inverted at the end. Leading zeros do not change it: compare the size as well.
 * @param crc the value of the bytes before
 */
export function fileCrc(bytes: Uint8Array, crc: number = 0): number {
  let value = crc >>> 0;
  for (let at = 0; at < bytes.length; at++) value = (value >>> 8) ^ CRC32[(value ^ bytes[at]!) & 0xff]!;
  return value >>> 0;
}
