/** The two checksums of MAVLink: CRC-16/MCRF4XX of a frame, and the CRC-32 of its file transfer. */

const X25 = new Uint16Array(256);
const CRC32 = new Uint32Array(256);
for (let n = 0; n < 256; n++) {
  let x25 = n;
  let crc32 = n;
  for (let bit = 0; bit < 8; bit++) {
    x25 = (x25 & 1) !== 0 ? (x25 >>> 1) ^ 0x8408 : x25 >>> 1;
    crc32 = (crc32 & 1) !== 0 ? (crc32 >>> 1) ^ 0xedb88320 : crc32 >>> 1;
  }
  X25[n] = x25;
  CRC32[n] = crc32;
}

/** The checksum of a frame: `bytes[from, to)` and then the CRC_EXTRA of the message. */
export function frameCrc(bytes: Uint8Array, from: number, to: number, crcExtra: number): number {
  let crc = 0xffff;
  for (let at = from; at < to; at++) crc = (crc >>> 8) ^ X25[(crc ^ bytes[at]!) & 0xff]!;
  return (crc >>> 8) ^ X25[(crc ^ crcExtra) & 0xff]!;
}

/** CRC-32 as MAVLink FTP has it: reflected 0x04C11DB7, starts with 0 and is not inverted at the end. */
export function ftpCrc32(bytes: Uint8Array, before = 0): number {
  let crc = before >>> 0;
  for (let at = 0; at < bytes.length; at++) crc = (crc >>> 8) ^ CRC32[(crc ^ bytes[at]!) & 0xff]!;
  return crc >>> 0;
}
