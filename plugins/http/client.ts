/** Requests to one server: over connections that are kept or not, over TLS with an authority or a fingerprint of one's own. */
import { Buffer } from "node:buffer";
import { type Address, openTcp, openTls, type TlsOptions } from "./channel.ts";
import { Connection } from "./connection.ts";
import { Exchange } from "./exchange.ts";

/** A kept connection that is younger than this carries what must not be sent twice, milliseconds: a server keeps it for 5 s. */
const ONCE_IDLE_MS_MAX = 1000;

/** How to reach a server. */
export interface ClientOptions extends TlsOptions {
  /** Headers of every request. */
  headers: Record<string, string>;
  /** Connections that are kept for the next request; 0 keeps none. */
  keep: number;
  /** Told of each connection that was made, and how long its first round trip took, milliseconds. */
  onConnect?: (roundTripMs: number) => void;
}

/** How a request is sent. */
export interface BeginOptions {
  /** Its answer decides more than can be asked for again: only a connection that was used a moment ago may carry it. */
  isOnce?: boolean;
  /** Sends it at once after that one, on the same connection, where that can still take it. */
  behind?: Exchange;
}

/** Makes requests. */
export class HttpClient {
  readonly #options: ClientOptions;
  /** By origin, the last used one last. */
  readonly #idle = new Map<string, Connection[]>();
  #isClosed = false;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** Begins a request. Its body, if any, is written to the exchange, which is to be ended or closed. */
  begin(
    method: string,
    url: URL,
    headers: Record<string, string | number>,
    signal: AbortSignal,
    { isOnce = false, behind }: BeginOptions = {},
  ): Exchange {
    const connection = behind?.connection.takesMore === true
      ? behind.connection
      : this.#takeIdle(url.origin, isOnce ? ONCE_IDLE_MS_MAX : Infinity) ?? this.#open(url);
    const isKept = this.#options.keep > 0;
    const defaults = { Host: url.host, Connection: isKept ? "keep-alive" : "close" };
    return new Exchange(
      connection,
      headOf(method, url, [defaults, this.#options.headers, headers]),
      signal,
    );
  }

  /** Closes what is kept. */
  close(): void {
    this.#isClosed = true;
    const idle = [...this.#idle.values()].flat();
    this.#idle.clear();
    for (const connection of idle) connection.destroy(new Error("Client is closed"));
  }

  #takeIdle(origin: string, idleMsMax: number): Connection | undefined {
    const idle = this.#idle.get(origin) ?? [];
    for (let at = idle.length - 1; at >= 0; at--) {
      const [connection] = idle.splice(at, 1) as [Connection];
      const { idleMs } = connection;
      if (idleMs === undefined) connection.destroy(new Error("Connection is too old"));
      else if (idleMs > idleMsMax) {
        // Those before it are older still: another request may want them.
        idle.push(connection);
        return undefined;
      } else return connection;
    }
    return undefined;
  }

  #open(url: URL): Connection {
    const address = addressOf(url);
    const isTls = url.protocol === "https:";
    const connection = new Connection((sink) => isTls ? openTls(address, this.#options, sink) : openTcp(address, sink));
    const { origin } = url;
    connection.onConnect = (roundTripMs) => this.#options.onConnect?.(roundTripMs);
    connection.onIdle = () => {
      const idle = this.#idle.get(origin) ?? [];
      if (this.#isClosed || idle.length >= this.#options.keep) {
        return connection.destroy(new Error("Connection is not kept"));
      }
      idle.push(connection);
      this.#idle.set(origin, idle);
    };
    connection.onClose = () => {
      const idle = this.#idle.get(origin);
      const at = idle?.indexOf(connection) ?? -1;
      if (at >= 0) idle!.splice(at, 1);
    };
    return connection;
  }
}

function addressOf({ hostname, port, protocol }: URL): Address {
  return {
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? (protocol === "https:" ? 443 : 80) : Number(port),
  };
}

/** Request line and headers; a later one of the same name replaces an earlier one. */
function headOf(method: string, url: URL, headers: Record<string, string | number>[]): Uint8Array {
  const lines = new Map<string, string>();
  for (const [name, value] of headers.flatMap(Object.entries)) {
    const line = `${name}: ${value}`;
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name) || /[^\t\x20-\x7e\x80-\xff]/.test(line)) {
      throw new TypeError(`Header "${name}" holds what no header can`);
    }
    lines.set(name.toLowerCase(), line);
  }
  const first = `${method} ${url.pathname}${url.search} HTTP/1.1`;
  return Buffer.from([first, ...lines.values(), "", ""].join("\r\n"), "latin1");
}
