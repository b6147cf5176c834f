/**
 * Gives back what a process does not need while nothing moves: garbage that V8 would keep until it needs the room, free
 * memory of the C library, and the pages of the program's own file that only its start and its work had touched.
 */
import { loadLibc } from "./libc.ts";

/** Linux, sys/auxv.h and elf.h: where the program's headers are, how many there are, and the parts of each that count. */
const AT_PHDR = 3n;
const AT_PHNUM = 5n;
const HEADER_BYTES = 56;
const PT_PHDR = 6;
const PT_LOAD = 1;
const PF_W = 2;
/** The machine's own order. */
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
/** Linux, sys/mman.h. */
const MADV_DONTNEED = 4;
const PAGE_BYTES = 64 * 1024;

const SYMBOLS = {
  getauxval: { parameters: ["u64"], result: "u64" },
  madvise: { parameters: ["u64", "usize", "i32"], result: "i32" },
  malloc_trim: { parameters: ["usize"], result: "i32" },
  // For reading memory by its address: Deno's own way needs the right to call every library there is.
  memcpy: { parameters: ["buffer", "u64", "usize"], result: "void" },
} as const;

type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let libc: Libc | null | undefined;
let constants: { start: bigint; lengthBytes: bigint }[] | undefined;

/**
 * Does what can be done here: the collector needs V8's `--expose-gc`, the rest the right to call libc. Takes some 10 ms;
 * what is needed again comes back by itself, from the page cache.
 */
export function spareMemory(): void {
  const { gc } = globalThis as { gc?: (options: { type: string; flavor: string }) => void };
  gc?.({ type: "major", flavor: "last-resort" });
  spareStart();
}

/** The part of {@linkcode spareMemory} that leaves V8's heap as it is. Takes some 2 ms. */
export function spareStart(): void {
  libc ??= loadLibc(SYMBOLS);
  if (libc === null) return;
  libc.malloc_trim(0n);
  constants ??= constantParts(libc);
  for (const { start, lengthBytes } of constants) libc.madvise(start, lengthBytes, MADV_DONTNEED);
}

/** The parts of the running program that are mapped as they are in its file: nobody has written there, so nothing is lost. */
function constantParts({ getauxval, memcpy }: Libc): { start: bigint; lengthBytes: bigint }[] {
  const at = getauxval(AT_PHDR);
  if (at === 0n) return [];
  const bytes = new Uint8Array(Number(getauxval(AT_PHNUM)) * HEADER_BYTES);
  memcpy(bytes, at, BigInt(bytes.length));
  const view = new DataView(bytes.buffer);
  const headers = Array.from({ length: bytes.length / HEADER_BYTES }, (_, n) => n * HEADER_BYTES).map((offset) => ({
    type: view.getUint32(offset, IS_LITTLE_ENDIAN),
    flags: view.getUint32(offset + 4, IS_LITTLE_ENDIAN),
    address: view.getBigUint64(offset + 16, IS_LITTLE_ENDIAN),
    lengthBytes: view.getBigUint64(offset + 40, IS_LITTLE_ENDIAN),
  }));
  const own = headers.find(({ type }) => type === PT_PHDR);
  if (own === undefined) return [];
  const base = at - own.address;
  const page = BigInt(PAGE_BYTES);
  return headers.filter(({ type, flags }) => type === PT_LOAD && (flags & PF_W) === 0).map(
    ({ address, lengthBytes }) => {
      // Whole pages of the largest size there is: what shares its last page with something else stays.
      const start = (base + address + page - 1n) / page * page;
      const end = (base + address + lengthBytes) / page * page;
      return { start, lengthBytes: end - start };
    },
  ).filter(({ lengthBytes }) => lengthBytes > 0n);
}
