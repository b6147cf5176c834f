/** What the kernel holds of a TCP connection of this process: SIOCOUTQ and FIONREAD of tcp(7). */

const SIOCOUTQ = 0x5411;
const FIONREAD = 0x541b;
const ADDRESS_BYTES = 28;

const libc = Deno.build.os === "linux"
  ? Deno.dlopen("libc.so.6", {
    getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
    ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  }).symbols
  : undefined;

const address = new Uint8Array(ADDRESS_BYTES);
const length = new Uint32Array(1);
const answer = new Int32Array(1);

function hasPorts(descriptor: number, localPort: number, remotePort: number): boolean {
  const port = () => address[2]! << 8 | address[3]!;
  length[0] = ADDRESS_BYTES;
  if (libc!.getsockname(descriptor, address, length) !== 0 || port() !== localPort) return false;
  length[0] = ADDRESS_BYTES;
  return libc!.getpeername(descriptor, address, length) === 0 && port() === remotePort;
}

/** The connection with these two ports of loopback, found once. */
export class SocketQueue {
  readonly #localPort: number;
  readonly #remotePort: number;
  #descriptor = -1;

  constructor(localPort: number, remotePort: number) {
    this.#localPort = localPort;
    this.#remotePort = remotePort;
  }

  /** Bytes that were written and that the peer has not acknowledged; 0 when the connection is gone. */
  get bytes(): number {
    return this.#ask(SIOCOUTQ);
  }

  /** Bytes that came, were acknowledged to the peer, and that nobody has read. */
  get unreadBytes(): number {
    return this.#ask(FIONREAD);
  }

  #ask(request: number): number {
    if (libc === undefined || !this.#find()) return 0;
    return libc.ioctl(this.#descriptor, BigInt(request), answer) === 0 ? answer[0]! : 0;
  }

  #find(): boolean {
    if (this.#descriptor >= 0 && hasPorts(this.#descriptor, this.#localPort, this.#remotePort)) return true;
    for (let descriptor = 3; descriptor < 1024; descriptor++) {
      if (!hasPorts(descriptor, this.#localPort, this.#remotePort)) continue;
      this.#descriptor = descriptor;
      return true;
    }
    return false;
  }
}
