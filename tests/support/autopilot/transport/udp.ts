/** UDP, as a vehicle that sends to a known port or as one that waits to be spoken to. */
import { createSocket, type Socket } from "node:dgram";
import type { OnBytes, Transport } from "./transport.ts";

interface Peer {
  port: number;
  host: string;
}

export class UdpTransport implements Transport {
  #isPlugged = true;
  #isStopped = false;

  private constructor(
    readonly socket: Socket,
    readonly url: string,
    readonly port: number,
    private peer: Peer | undefined,
  ) {}

  static async open(
    options: { to?: number; host?: string; localPort?: number },
    onBytes: OnBytes,
  ): Promise<UdpTransport> {
    const host = options.host ?? "127.0.0.1";
    // Bursts come faster than a busy machine reads them: the kernel's room is not what shall be tested.
    const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 20, sendBufferSize: 1 << 20 });
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(options.localPort ?? 0, options.to === undefined ? host : "0.0.0.0", () => resolve());
    });
    const { port } = socket.address();
    const url = options.to === undefined ? `udpout://${host}:${port}` : `udp://${host}:${options.to}`;
    const peer = options.to === undefined ? undefined : { host, port: options.to };
    const transport = new UdpTransport(socket, url, port, peer);
    // Nobody listens there yet, or no more: a vehicle does not care.
    socket.on("error", () => {});
    socket.on("message", (bytes, from) => {
      if (!transport.#isPlugged) return;
      if (options.to === undefined) transport.peer = { host: from.address, port: from.port };
      onBytes(bytes);
    });
    return transport;
  }

  send(bytes: Uint8Array): void {
    if (this.peer === undefined || !this.#isPlugged || this.#isStopped) return;
    this.socket.send(bytes, this.peer.port, this.peer.host, () => {});
  }

  unplug(): Promise<void> {
    this.#isPlugged = false;
    return Promise.resolve();
  }

  replug(): Promise<void> {
    this.#isPlugged = true;
    return Promise.resolve();
  }

  stop(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    this.#isStopped = true;
    return new Promise((resolve) => this.socket.close(() => resolve()));
  }
}
