/** Stands between an HTTP client and a real server, counts what passes, and does harm where it is told to. */
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What happens to one request instead of the usual. */
export type RelayFault =
  /** Ends both connections after this many bytes of the request's body; the server gets all of them. */
  | { cutRequestAtByte: number }
  /** Ends both connections after this many bytes of the answer's body. */
  | { cutReplyAtByte: number }
  /** The server does it, and its answer never comes. */
  | "lose answer"
  /** Answers in the server's place, which does it or hears nothing of it. */
  | { status: number; body?: string; headers?: Record<string, string>; isDone?: boolean };

interface FaultParts {
  cutRequestAtByte?: number;
  cutReplyAtByte?: number;
  status?: number;
  body?: string;
  headers?: Record<string, string>;
  isDone?: boolean;
}

/** Bytes of a file that passed, in one request. */
export interface RelayTransfer {
  verb: string;
  path: string;
  bytes: number;
}

export class HttpRelay {
  /** Bodies of PUT and PATCH to the server, and of GET from it. */
  readonly transfers: RelayTransfer[] = [];
  /** Asked for each request, before anything of it is handed on. */
  onRequest: (method: string, path: string) => RelayFault | undefined = () => undefined;
  readonly #server = createServer((request, response) => this.#relay(request, response));
  readonly #serverPort: number;

  private constructor(serverPort: number) {
    this.#serverPort = serverPort;
  }

  static async start(serverPort: number): Promise<HttpRelay> {
    const relay = new HttpRelay(serverPort);
    await new Promise<void>((resolve) => relay.#server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #relay(request: IncomingMessage, response: ServerResponse): void {
    const { method = "", url = "", headers } = request;
    const path = decodeURIComponent(url);
    const fault = this.onRequest(method, path);
    const part: FaultParts = typeof fault === "object" ? fault : {};
    request.on("error", () => {});
    response.on("error", () => {});
    const told = part.status === undefined ? undefined : { ...part, status: part.status };
    if (told !== undefined && told.isDone !== true) {
      request.resume();
      request.on("end", () => void response.writeHead(told.status, told.headers).end(told.body ?? ""));
      return;
    }
    const transfer: RelayTransfer = { verb: method, path, bytes: 0 };
    if (["PUT", "PATCH", "GET"].includes(method)) this.transfers.push(transfer);
    const cutRequestAt = part.cutRequestAtByte ?? Infinity;
    const cutReplyAt = part.cutReplyAtByte ?? Infinity;
    const upstream = httpRequest({
      host: "127.0.0.1",
      port: this.#serverPort,
      method,
      path: url,
      headers,
      agent: false,
    });
    upstream.on("error", () => request.socket.destroy());
    let sentBytes = 0;
    request.on("data", (chunk: Uint8Array) => {
      const bytes = chunk.subarray(0, Math.max(0, cutRequestAt - sentBytes));
      sentBytes += bytes.length;
      if (method !== "GET") transfer.bytes += bytes.length;
      const isFull = !upstream.write(bytes);
      if (sentBytes >= cutRequestAt) {
        request.removeAllListeners("data");
        request.socket.destroy();
        // What was handed on arrives, and then nothing more.
        upstream.write(new Uint8Array(), () => upstream.socket?.end());
      } else if (isFull) {
        request.pause();
        upstream.once("drain", () => request.resume());
      }
    });
    request.on("end", () => {
      if (sentBytes < cutRequestAt) upstream.end();
    });
    // A client that is gone in the middle is gone for the server, too.
    request.on("close", () => {
      if (!request.complete && sentBytes < cutRequestAt) upstream.destroy();
    });
    upstream.on("response", (reply) => {
      if (fault === "lose answer" || told !== undefined) {
        reply.resume();
        reply.on("end", () => {
          if (told === undefined) request.socket.destroy();
          else response.writeHead(told.status, told.headers).end(told.body ?? "");
        });
        return;
      }
      if (request.socket.destroyed) return void reply.resume();
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      let repliedBytes = 0;
      reply.on("data", (chunk: Uint8Array) => {
        const bytes = chunk.subarray(0, Math.max(0, cutReplyAt - repliedBytes));
        repliedBytes += bytes.length;
        if (method === "GET") transfer.bytes += bytes.length;
        const isCut = repliedBytes >= cutReplyAt;
        const isFull = !response.write(bytes, () => {
          if (isCut) request.socket.destroy();
        });
        if (isCut) {
          reply.removeAllListeners("data");
          upstream.destroy();
        } else if (isFull) {
          reply.pause();
          response.once("drain", () => reply.resume());
        }
      });
      reply.on("end", () => {
        if (repliedBytes < cutReplyAt) response.end();
      });
      reply.on("error", () => request.socket.destroy());
    });
  }
}
