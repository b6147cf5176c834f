/**
 * What the system tells by itself of drives and mounts: the kernel and udev each send a message about a block device
 * (`NETLINK_KOBJECT_UEVENT`, what `udevadm monitor` prints; anybody may listen), and the table of mounts wakes whoever
 * polls it. Between them nothing runs, and the links of /dev/disk need not be there yet, nor their folders.
 */
import { readSystemFile } from "./libc.ts";

/** linux/socket.h, linux/netlink.h; groups: 1 the kernel, 2 udev, which tells when its links are made. */
const AF_NETLINK = 16;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0o4000 | 0o2000000;
const NETLINK_KOBJECT_UEVENT = 15;
const GROUPS = 1 | 2;
/** poll.h */
const POLLIN = 0x1;
const POLLPRI = 0x2;
const POLLFD_BYTES = 8;
const O_CLOEXEC = 0o2000000;
const EFD_CLOEXEC = 0o2000000;
/** Longest message: 2 KiB of the kernel's (UEVENT_BUFFER_SIZE), 8 KiB of udev's. */
const MESSAGE_BYTES = 8192;
/** A process that sees all users as they are is in the first user namespace: the kernel tells others nothing. */
const ALL_USERS = /^\s*0\s+0\s+4294967295\s*$/;

const LIBC = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
  // Waits in a thread of its own.
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32", nonblocking: true },
} as const;

type Libc = Deno.DynamicLibrary<typeof LIBC>;

export class SystemEvents {
  readonly #library: Libc;
  readonly #messages: number;
  readonly #mounts: number;
  /** Ends a wait. */
  readonly #end: number;
  #waiting: Promise<unknown> | undefined;
  #isClosed = false;

  private constructor(library: Libc, messages: number, mounts: number, end: number) {
    this.#library = library;
    this.#messages = messages;
    this.#mounts = mounts;
    this.#end = end;
  }

  /** `undefined` where the system tells us nothing: in a container with users of its own, or where the socket is forbidden. */
  static open(): SystemEvents | undefined {
    if (!ALL_USERS.test(readSystemFile("/proc/self/uid_map") ?? "")) return undefined;
    const library = Deno.dlopen("libc.so.6", LIBC);
    const libc = library.symbols;
    const messages = libc.socket(AF_NETLINK, SOCK_RAW_NONBLOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
    const mounts = libc.open(new TextEncoder().encode("/proc/self/mountinfo\0"), O_CLOEXEC);
    const end = libc.eventfd(0, EFD_CLOEXEC);
    const files = [messages, mounts, end];
    if (files.every((file) => file >= 0) && libc.bind(messages, address(), 12) === 0) {
      return new SystemEvents(library, messages, mounts, end);
    }
    for (const file of files) if (file >= 0) libc.close(file);
    library.close();
    return undefined;
  }

  /** Waits for the next change of a block device or of a mount; `false` when `waitMs` passed or this was closed. */
  async next(waitMs: number): Promise<boolean> {
    const until = performance.now() + waitMs;
    while (!this.#isClosed) {
      const restMs = Math.ceil(until - performance.now());
      if (restMs <= 0) return false;
      const { told, mounted } = await this.#wait(restMs);
      // Others, such as network interfaces, are told of on the same socket.
      if (mounted || (told && this.#tellOfDrive())) return true;
    }
    return false;
  }

  /** Ends a wait, and hears no more. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { symbols } = this.#library;
    symbols.write(this.#end, new BigUint64Array([1n]), 8n);
    await this.#waiting;
    for (const file of [this.#messages, this.#mounts, this.#end]) symbols.close(file);
    this.#library.close();
  }

  async #wait(restMs: number): Promise<{ told: boolean; mounted: boolean }> {
    const polled = new DataView(new ArrayBuffer(3 * POLLFD_BYTES));
    for (const [n, [file, events]] of this.#files().entries()) {
      polled.setInt32(n * POLLFD_BYTES, file, true);
      polled.setInt16(n * POLLFD_BYTES + 4, events, true);
    }
    const waiting = this.#library.symbols.poll(new Uint8Array(polled.buffer), 3n, restMs);
    this.#waiting = waiting;
    await waiting;
    const said = (n: number) => polled.getInt16(n * POLLFD_BYTES + 6, true) !== 0;
    return { told: said(0), mounted: said(1) };
  }

  #files(): [number, number][] {
    return [[this.#messages, POLLIN], [this.#mounts, POLLPRI], [this.#end, POLLIN]];
  }

  /** Reads all messages; whether one is about a block device, or some were lost. */
  #tellOfDrive(): boolean {
    const message = new Uint8Array(MESSAGE_BYTES);
    const words = new TextDecoder("latin1");
    let isOfDrive = false;
    for (let count = 0;; count++) {
      const length = Number(this.#library.symbols.recv(this.#messages, message, BigInt(MESSAGE_BYTES), 0));
      // The first read fails when the socket has overflowed.
      if (length < 0) return isOfDrive || count === 0;
      isOfDrive ||= words.decode(message.subarray(0, length)).includes("\0SUBSYSTEM=block\0");
    }
  }
}

/** `struct sockaddr_nl`; the kernel chooses the port. */
function address(): Uint8Array<ArrayBuffer> {
  const bytes = new DataView(new ArrayBuffer(12));
  bytes.setUint16(0, AF_NETLINK, true);
  bytes.setUint32(8, GROUPS, true);
  return new Uint8Array(bytes.buffer);
}
