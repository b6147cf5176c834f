/** Byte streams under an FTP connection: TCP, or TLS over it. */

/** A two-way stream of bytes. Any pending read or write fails once it is closed. */
export interface ByteStream {
  /** Reads at least one byte; `null` at the end. A TLS peer that ends without close_notify counts as an end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Writes all of `bytes`. */
  write(bytes: Uint8Array): Promise<void>;
  /** Says that nothing more will be written; what was written still arrives. */
  end(): Promise<void>;
  /** Closes both directions at once; may be called again. */
  close(): void;
}

/** The connection could not be made or broke: nothing is known of what the server did last. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
}

/** The server's certificate is not the expected one, or no TLS could be agreed upon. */
export class TlsRefused extends Error {
  override readonly name = "TlsRefused";
  /** What to do; absent: it is about the certificate. */
  readonly hint: string | undefined;

  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.hint = options.hint;
  }
}

/** Time for a TCP connection and for a TLS handshake, milliseconds. */
export const CONNECT_TIMEOUT_MS = 15_000;

/**
 * Connects with Nagle's algorithm off and keepalive on.
 * @throws {ConnectionLost} refused, unreachable, no such name, or no answer in time
 */
export async function connectTcp(hostname: string, port: number, signal?: AbortSignal): Promise<Deno.TcpConn> {
  const timeout = AbortSignal.timeout(CONNECT_TIMEOUT_MS);
  let conn: Deno.TcpConn;
  try {
    conn = await Deno.connect({ hostname, port, signal: signal ? AbortSignal.any([timeout, signal]) : timeout });
  } catch (error) {
    signal?.throwIfAborted();
    // A missing permission is no trouble of the network.
    if (error instanceof Deno.errors.NotCapable) throw error;
    const why = timeout.aborted ? `no answer in ${CONNECT_TIMEOUT_MS / 1000} s` : messageOf(error);
    throw new ConnectionLost(`Cannot connect to "${hostname}" port ${port}: ${why}`, { cause: error });
  }
  conn.setNoDelay(true);
  conn.setKeepAlive(true);
  return conn;
}

/** A TCP connection, or one that Deno put TLS upon, as a stream. */
export class ConnStream implements ByteStream {
  readonly #conn: Deno.Conn;
  #closed = false;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async read(into: Uint8Array): Promise<number | null> {
    try {
      return await this.#conn.read(into);
    } catch (error) {
      if (error instanceof Deno.errors.UnexpectedEof && !this.#closed) return null;
      throw new ConnectionLost(`Connection broke: ${messageOf(error)}`, { cause: error });
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
    } catch (error) {
      throw new ConnectionLost(`Connection broke: ${messageOf(error)}`, { cause: error });
    }
  }

  async end(): Promise<void> {
    try {
      await this.#conn.closeWrite();
    } catch (error) {
      throw new ConnectionLost(`Connection broke: ${messageOf(error)}`, { cause: error });
    }
    drain(this);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeConn(this.#conn);
  }
}

/** Closes a connection that a timeout or a cancellation may have closed already. */
export function closeConn(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/**
 * Reads on until the peer closes. Bytes that lie unread at a close (TLS 1.3 session tickets) would turn it into a reset,
 * and a reset can cost the peer the tail of what was sent.
 */
export function drain(stream: ByteStream): void {
  (async () => {
    const scratch = new Uint8Array(4096);
    while (await stream.read(scratch) !== null);
  })().catch(() => {}); // Ends with the stream; the reply on the control channel decides what happened.
}

/** The words of an error, without Deno's number in parentheses. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/ \(os error \d+\)/g, "");
}
