/** How many files a station moves at once: `movers` of the configuration, where small files count less than large ones. */

/** Up to this size a file is small, bytes: its time goes into round trips and fsyncs, and many of them can share these. */
export const SMALL_FILE_BYTES = 256 * 1024;
/** Whether a file, of a size that may not be known, is small. */
export function isSmallFile(sizeBytes: number | undefined): boolean {
  return sizeBytes !== undefined && sizeBytes <= SMALL_FILE_BYTES;
}

/** Small files that move in the place of one. */
const SMALL_PER_MOVER = 8;

/** The places of one station. The device's own `callsMax` bounds them further. */
export class MoverPlaces {
  /** Measured in small files. */
  readonly #size: number;
  readonly #ofSmall: number;
  #taken = 0;

  /** @param movers large files at once; 1 is one file at a time, whatever its size */
  constructor(movers: number) {
    this.#size = movers * SMALL_PER_MOVER;
    this.#ofSmall = movers === 1 ? SMALL_PER_MOVER : 1;
  }

  /** Whether a file of this size, absent where it is not known, can begin now. */
  hasPlace(sizeBytes: number | undefined): boolean {
    return this.#taken + this.#placeOf(sizeBytes) <= this.#size;
  }

  /** Takes a place; what is returned gives it back and is safe to call twice. */
  take(sizeBytes: number | undefined): () => void {
    let place = this.#placeOf(sizeBytes);
    this.#taken += place;
    return () => {
      this.#taken -= place;
      place = 0;
    };
  }

  #placeOf(sizeBytes: number | undefined): number {
    return isSmallFile(sizeBytes) ? this.#ofSmall : SMALL_PER_MOVER;
  }
}
