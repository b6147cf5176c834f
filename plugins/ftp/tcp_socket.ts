/**
 * What Deno has no call for of a TCP connection, asked of the kernel through libc: how much it holds, and how much of what
 * was sent has arrived.
 *
 * On a slow link Linux takes up to 4 MB that it has not sent: they would count as sent, be lost with the connection, and
 * be sent again. Measured at 200 kB/s: 0.5 to 1.0 MB ahead of the server without a bound, about 0.2 MB with it. What is
 * on its way is not bounded, so a long fast link stays fast. And it takes megabytes that nobody reads yet: they are lost
 * with a driver that is killed, and fetched again.
 */
import { loadLibc } from "../../lib/driver/libc.ts";

/** Bytes that the kernel may hold unsent before a write waits. */
export const UNSENT_BYTES = 64 * 1024;
/** Linux, tcp(7), socket(7) and their headers. */
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_BUF_LOCK = 72;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const TCP_NOTSENT_LOWAT = 25;
/** In `struct tcp_info`: the round trip in microseconds, and what the peer has acknowledged. */
const RTT_AT = 68;
const BYTES_ACKED_AT = 120;
const INFO_BYTES = 128;
/** Room for an address of either family (`struct sockaddr_in6`), bytes; the port is in the third and fourth. */
const ADDRESS_BYTES = 28;
/** Descriptors that are looked through; a driver has a few dozen. */
const DESCRIPTORS_MAX = 512;

const SYMBOLS = {
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
} as const;

type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** Loaded with the module, once; `null` where it is not there or not allowed. */
const libc = loadLibc(SYMBOLS);

/** One connection of this process. */
export class TcpSocket {
  readonly #libc: Libc;
  readonly #descriptor: number;
  readonly #localPort: number;
  readonly #info = new DataView(new ArrayBuffer(INFO_BYTES));

  private constructor(libc: Libc, descriptor: number, localPort: number) {
    this.#libc = libc;
    this.#descriptor = descriptor;
    this.#localPort = localPort;
  }

  /** `undefined` where the kernel cannot be asked: a connection works without, too. */
  static of(conn: Deno.TcpConn): TcpSocket | undefined {
    if (libc === null) return undefined;
    const { localAddr, remoteAddr } = conn;
    // Deno does not tell the descriptor of a connection: it is the one with the same two ports.
    for (let descriptor = 3; descriptor < DESCRIPTORS_MAX; descriptor++) {
      if (portBy(libc.getsockname, descriptor) !== localAddr.port) continue;
      if (portBy(libc.getpeername, descriptor) !== remoteAddr.port) continue;
      return new TcpSocket(libc, descriptor, localAddr.port);
    }
    return undefined;
  }

  /** Makes writes wait while more than {@linkcode UNSENT_BYTES} lie unsent in the kernel. Returns whether that is done. */
  boundUnsent(): boolean {
    return this.#set(IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
  }

  /**
   * Bounds what the kernel takes of the peer's before it is read, to some one and a half times `bytes`. `undefined` lets
   * it choose again.
   */
  boundUnread(bytes: number | undefined): boolean {
    // Kernels before 5.15 cannot be given back the choice: they keep the last bound.
    return bytes === undefined ? this.#set(SOL_SOCKET, SO_BUF_LOCK, 0) : this.#set(SOL_SOCKET, SO_RCVBUF, bytes);
  }

  /** Bytes of the connection that the peer's system has acknowledged, also once the connection is broken. */
  get ackedBytes(): number | undefined {
    return this.#ask() ? Number(this.#info.getBigUint64(BYTES_ACKED_AT, IS_LITTLE_ENDIAN)) : undefined;
  }

  /** There and back, milliseconds. */
  get roundTripMs(): number | undefined {
    return this.#ask() ? this.#info.getUint32(RTT_AT, IS_LITTLE_ENDIAN) / 1000 : undefined;
  }

  #ask(): boolean {
    if (!this.#isOurs()) return false;
    length[0] = INFO_BYTES;
    const { buffer } = this.#info;
    return this.#libc.getsockopt(this.#descriptor, IPPROTO_TCP, TCP_INFO, buffer, length) === 0 &&
      length[0] === INFO_BYTES;
  }

  #set(level: number, option: number, value: number): boolean {
    if (!this.#isOurs()) return false;
    return this.#libc.setsockopt(this.#descriptor, level, option, new Uint32Array([value]), 4) === 0;
  }

  /** Another connection may have the descriptor once this one is closed. */
  #isOurs(): boolean {
    return portBy(this.#libc.getsockname, this.#descriptor) === this.#localPort;
  }
}

const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
const address = new Uint8Array(ADDRESS_BYTES);
const length = new Uint32Array(1);

function portBy(ask: Libc["getsockname"], descriptor: number): number {
  length[0] = ADDRESS_BYTES;
  return ask(descriptor, address, length) === 0 ? address[2]! << 8 | address[3]! : -1;
}
