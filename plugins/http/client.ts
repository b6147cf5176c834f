/** Connections to one server: kept or not, over TLS with an authority or a fingerprint of one's own. */
import { Agent, request as httpRequest, type RequestOptions } from "node:http";
import { Agent as TlsAgent, request as httpsRequest } from "node:https";
import { connect, type TLSSocket } from "node:tls";
import type { Duplex } from "node:stream";
import { Exchange } from "./exchange.ts";

/** How to reach a server. */
export interface ClientOptions {
  /** Headers of every request. */
  headers: Record<string, string>;
  /** Connections that are kept for the next request; 0 keeps none. */
  keep: number;
  /** Certificates of authorities, PEM, instead of the system's. */
  ca?: string;
  /** SHA-256 of the server's certificate, lower-case hex: trusts that one, whatever its name and signer. */
  pin?: string;
}

/** Makes requests. */
export class HttpClient {
  readonly #options: ClientOptions;
  readonly #kept: { http: Agent; https: TlsAgent };
  readonly #fresh: TlsAgent | false;

  constructor(options: ClientOptions) {
    this.#options = options;
    const { keep, pin } = options;
    const kept = { keepAlive: keep > 0, ...(keep > 0 ? { maxFreeSockets: keep } : {}) };
    this.#kept = { http: new Agent(kept), https: pin === undefined ? new TlsAgent(kept) : new PinAgent(kept, pin) };
    this.#fresh = pin === undefined ? false : new PinAgent({ keepAlive: false }, pin);
  }

  /**
   * Begins a request. Its body, if any, is written to the exchange, which is to be ended or closed.
   * @param isOnce must not be sent twice: on a kept connection that breaks, Deno sends a request again by itself
   */
  begin(
    method: string,
    url: URL,
    headers: Record<string, string | number>,
    signal: AbortSignal,
    isOnce = false,
  ): Exchange {
    const isTls = url.protocol === "https:";
    const { ca, keep } = this.#options;
    const kept = isTls ? this.#kept.https : this.#kept.http;
    const fresh = isTls ? this.#fresh : false;
    const options: RequestOptions & { ca?: string } = {
      method,
      agent: isOnce || keep === 0 ? fresh : kept,
      headers: { ...this.#options.headers, ...headers },
      ...(ca === undefined ? {} : { ca }),
    };
    return new Exchange((isTls ? httpsRequest : httpRequest)(url, options), signal, isTls);
  }

  /** Closes what is kept. */
  close(): void {
    this.#kept.http.destroy();
    this.#kept.https.destroy();
  }
}

/** Looks at the certificate before the first byte of a request, which may be a password, is sent. */
class PinAgent extends TlsAgent {
  readonly #pin: string;

  constructor(options: ConstructorParameters<typeof TlsAgent>[0], pin: string) {
    super(options);
    this.#pin = pin;
  }

  override createConnection(
    options: Record<string, unknown>,
    onCreate?: (error: Error | null, socket: Duplex) => void,
  ): Duplex {
    const socket: TLSSocket = connect({ ...options, rejectUnauthorized: false });
    let isTold = false;
    const tell = (error: Error | null) => {
      if (isTold) return;
      isTold = true;
      onCreate?.(error, socket);
    };
    socket.once("error", tell);
    socket.once("secureConnect", () => {
      const shown = (socket.getPeerCertificate().fingerprint256 ?? "").replaceAll(":", "").toLowerCase();
      if (shown === this.#pin) return tell(null);
      socket.destroy();
      tell(new Error(`certificate's SHA-256 is ${shown || "not shown"}: expected ${this.#pin}`));
    });
    // Nothing now: the socket is handed over once it was looked at. The types do not know this form.
    return undefined as unknown as Duplex;
  }
}
