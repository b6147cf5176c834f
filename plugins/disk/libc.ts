/**
 * What Deno's own file functions do not tell of a system: which mount a path is on, and what /proc and /sys say, which
 * Deno keeps from a process that has not every permission.
 */
const STATX_BASIC_AND_MOUNT = 0x7ff | 0x1000;
const AT_FDCWD = -100;
/** `O_PATH | O_DIRECTORY | O_CLOEXEC`; `O_DIRECTORY` differs between x86_64 and arm64. */
const DIRECTORY_FLAGS = 0o10000000 | 0o2000000 | (Deno.build.arch === "aarch64" ? 0o40000 : 0o200000);
const O_CLOEXEC = 0o2000000;

const LIBC = {
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
  geteuid: { parameters: [], result: "u32" },
} as const;

let library: Deno.DynamicLibrary<typeof LIBC> | undefined;

function libc(): Deno.DynamicLibrary<typeof LIBC>["symbols"] {
  return (library ??= Deno.dlopen("libc.so.6", LIBC)).symbols;
}

/** What `statx` says of a path; devices as `major:minor`. */
export interface Look {
  device: string;
  inode: bigint;
  /** Of the mount that the path is on; 0 before Linux 5.8. */
  mountId: bigint;
  /** Of a device node: the device that it is. */
  isNodeOf: string;
}

/** Follows links; `undefined` when nothing is there, or nothing can be told. */
export function look(path: string): Look | undefined {
  const buffer = new Uint8Array(256);
  if (libc().statx(AT_FDCWD, text(path), 0, STATX_BASIC_AND_MOUNT, buffer) !== 0) return undefined;
  const view = new DataView(buffer.buffer);
  return {
    device: `${view.getUint32(0x88, true)}:${view.getUint32(0x8c, true)}`,
    inode: view.getBigUint64(0x20, true),
    mountId: (view.getUint32(0, true) & 0x1000) === 0 ? 0n : view.getBigUint64(0x90, true),
    isNodeOf: `${view.getUint32(0x80, true)}:${view.getUint32(0x84, true)}`,
  };
}

/** A file of /proc or /sys, whole; `undefined` when it cannot be read. */
export function readSystemFile(path: string): string | undefined {
  const file = libc().open(text(path), O_CLOEXEC);
  if (file < 0) return undefined;
  try {
    const parts: Uint8Array[] = [];
    for (;;) {
      const block = new Uint8Array(64 * 1024);
      const count = Number(libc().read(file, block, BigInt(block.length)));
      if (count < 0) return undefined;
      if (count === 0) break;
      parts.push(block.slice(0, count));
    }
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return new TextDecoder().decode(all);
  } finally {
    libc().close(file);
  }
}

/** Holds a directory, so that its filesystem cannot be unmounted but by force; `undefined` when it is not there. */
export function hold(directory: string): { release: () => void } | undefined {
  const file = libc().open(text(directory), DIRECTORY_FLAGS);
  return file < 0 ? undefined : { release: () => void libc().close(file) };
}

/** Whether this process may do what root may. */
export function isRoot(): boolean {
  return libc().geteuid() === 0;
}

function text(path: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${path}\0`);
}
