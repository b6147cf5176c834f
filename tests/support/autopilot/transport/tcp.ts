/** A TCP server that every client may connect to; all hear the vehicle. */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { OnBytes, Transport } from "./transport.ts";

/** What a client does not take is dropped from here on, as a router does. */
const WAITING_MAX = 4 << 20;

export class TcpTransport implements Transport {
  readonly #sockets = new Set<Socket>();
  #isStopped = false;

  private constructor(private server: Server, readonly host: string, readonly port: number, readonly onBytes: OnBytes) {
    this.#accept(server);
  }

  get url(): string {
    return `tcp://${this.host}:${this.port}`;
  }

  static async open({ port = 0, host = "127.0.0.1" }: { port?: number; host?: string }, onBytes: OnBytes) {
    const server = await listen(port, host);
    return new TcpTransport(server, host, (server.address() as AddressInfo).port, onBytes);
  }

  #accept(server: Server): void {
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("data", (bytes) => this.onBytes(bytes));
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  send(bytes: Uint8Array): void {
    for (const socket of this.#sockets) if (socket.writableLength < WAITING_MAX) socket.write(bytes);
  }

  async unplug(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async replug(): Promise<void> {
    this.server = await listen(this.port, this.host);
    this.#accept(this.server);
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    if (this.server.listening) await this.unplug();
  }
}

async function listen(port: number, host: string): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve());
  });
  return server;
}
