/** The small picture that cameras put into a JPEG (Exif 2.32, section 4.5.1: IFD1, JPEGInterchangeFormat). */

const APP1 = 0xffe1;
const START_OF_SCAN = 0xffda;
/** "Exif", NUL, NUL: what APP1 begins with when it is Exif. */
const EXIF = 0x45786966;
const TAG_OFFSET = 0x0201;
const TAG_LENGTH = 0x0202;

/** The small picture in the first bytes of a JPEG; `undefined`: there is none, or the metadata are damaged. */
export function thumbnailOf(jpeg: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | undefined {
  const view = new DataView(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength);
  for (let at = 2; at + 10 <= view.byteLength;) {
    const marker = view.getUint16(at);
    if (marker < 0xff00 || marker === START_OF_SCAN) return undefined;
    const end = at + 2 + view.getUint16(at + 2);
    if (marker === APP1 && view.getUint32(at + 4) === EXIF && end <= view.byteLength) {
      return inExif(jpeg.subarray(at + 10, end));
    }
    at = end;
  }
  return undefined;
}

function inExif(exif: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | undefined {
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  try {
    const little = view.getUint16(0) === 0x4949;
    const first = view.getUint32(4, little);
    const second = view.getUint32(first + 2 + 12 * view.getUint16(first, little), little);
    if (second === 0) return undefined;
    const tags = new Map<number, number>();
    for (let index = 0; index < view.getUint16(second, little); index++) {
      const entry = second + 2 + 12 * index;
      tags.set(view.getUint16(entry, little), view.getUint32(entry + 8, little));
    }
    const offset = tags.get(TAG_OFFSET);
    const length = tags.get(TAG_LENGTH);
    if (offset === undefined || length === undefined || length === 0) return undefined;
    const picture = exif.subarray(offset, offset + length);
    return picture.length === length && picture[0] === 0xff && picture[1] === 0xd8 ? picture : undefined;
  } catch (error) {
    // An offset that leads out of the block.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
