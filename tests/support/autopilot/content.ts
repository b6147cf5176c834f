/** What a file of the simulated autopilot holds: bytes in memory, or a function of the offset that makes any size. */

export interface Content {
  readonly sizeBytes: number;
  /** Fills `target` from `offset` and returns how many bytes there were. */
  read(offset: number, target: Uint8Array): number;
}

/** Bytes in memory, which can be written. */
export class MemoryContent implements Content {
  #bytes: Uint8Array;
  sizeBytes: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.sizeBytes = bytes.length;
  }

  read(offset: number, target: Uint8Array): number {
    const count = Math.max(0, Math.min(target.length, this.sizeBytes - offset));
    target.set(this.#bytes.subarray(offset, offset + count));
    return count;
  }

  write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.sizeBytes));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, offset);
    this.sizeBytes = Math.max(this.sizeBytes, end);
  }
}

/** `fill` makes the bytes that belong at `offset`; it gets a target that ends inside the file. */
export function madeContent(sizeBytes: number, fill: (offset: number, target: Uint8Array) => void): Content {
  return {
    sizeBytes,
    read(offset, target) {
      const count = Math.max(0, Math.min(target.length, sizeBytes - offset));
      if (count > 0) fill(offset, count === target.length ? target : target.subarray(0, count));
      return count;
    },
  };
}

/** Bytes that look random and depend on seed and offset only. */
export function noise(sizeBytes: number, seed = 1): Content {
  return madeContent(sizeBytes, (offset, target) => {
    for (let at = 0; at < target.length; at++) target[at] = noiseByte(seed, offset + at);
  });
}

function noiseByte(seed: number, at: number): number {
  // The upper half counts too, so that bytes 4 GiB apart differ.
  let word = Math.imul((at & 0xffffffff) ^ Math.imul(Math.floor(at / 2 ** 32) + seed, 0x9e3779b1), 0x85ebca6b);
  word ^= word >>> 15;
  word = Math.imul(word, 0xc2b2ae35);
  return (word >>> 16) & 0xff;
}

/** Zeros, but for the islands. */
export function sparse(sizeBytes: number, islands: { offset: number; bytes: Uint8Array }[] = []): Content {
  return madeContent(sizeBytes, (offset, target) => {
    target.fill(0);
    for (const island of islands) {
      const from = Math.max(offset, island.offset);
      const to = Math.min(offset + target.length, island.offset + island.bytes.length);
      if (from < to) target.set(island.bytes.subarray(from - island.offset, to - island.offset), from - offset);
    }
  });
}

/** The first `sizeBytes` of another content, or that content and then `more`. */
export function cut(content: Content, sizeBytes: number): Content {
  return madeContent(Math.min(sizeBytes, content.sizeBytes), (offset, target) => content.read(offset, target));
}

export function joined(first: Content, more: Content): Content {
  return madeContent(first.sizeBytes + more.sizeBytes, (offset, target) => {
    const count = first.read(offset, target);
    if (count < target.length) more.read(offset + count - first.sizeBytes, target.subarray(count));
  });
}

/** A real file, read when it is asked for. */
export function fileOnDisk(path: string): Content {
  const sizeBytes = Deno.statSync(path).size;
  return madeContent(sizeBytes, (offset, target) => {
    using file = Deno.openSync(path);
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let at = 0; at < target.length;) {
      const count = file.readSync(target.subarray(at));
      if (count === null) throw new Error(`File "${path}" is shorter than ${sizeBytes} B`);
      at += count;
    }
  });
}

/** All bytes; for files that fit in memory. */
export function allBytes(content: Content): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(content.sizeBytes);
  content.read(0, bytes);
  return bytes;
}
