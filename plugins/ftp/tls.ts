/**
 * TLS for control and data connections. OpenSSL where the machine has it, since data connections must resume the control
 * connection's session on many servers; else Deno's own TLS, which serves servers that do not ask for that.
 */
import { cString, type Openssl, opensslError, verifyProblem } from "./openssl.ts";
import {
  type ByteStream,
  closeConn,
  CONNECT_TIMEOUT_MS,
  ConnectionLost,
  ConnStream,
  drain,
  messageOf,
  TlsRefused,
} from "./stream.ts";

/** What to do when the server answers a TLS handshake in clear. */
const CLEAR_HINT =
  'Server speaks no TLS at once on this port: try "secure": "explicit", or its port for TLS (mostly 990)';

/** How a server proves itself. */
export interface TlsOptions {
  /** The name or address that the certificate must be for. */
  hostname: string;
  /** PEM file of the authorities to trust instead of the system's. */
  ca?: string;
  /** SHA-256 of the server's certificate, lower-case hex; it replaces authorities and name. */
  pin?: string;
}

/** Puts TLS on connections of one server. */
export interface TlsClient {
  /** Whether a data connection resumes the session of the control connection. */
  readonly resumes: boolean;
  /**
   * Handshakes within {@linkcode CONNECT_TIMEOUT_MS}; closes `conn` when that fails.
   * @param control stream that an earlier `wrap` returned, whose session is resumed
   * @throws {TlsRefused} the certificate does not fit, or no protocol does
   * @throws {ConnectionLost}
   */
  wrap(conn: Deno.TcpConn, control?: ByteStream): Promise<ByteStream>;
  close(): void;
}

/** A client with the best TLS there is. */
export function makeTlsClient(options: TlsOptions, openssl: Openssl | null): TlsClient {
  return openssl === null ? new DenoTls(options) : new OpensslTls(openssl, options);
}

class DenoTls implements TlsClient {
  readonly resumes = false;
  readonly #options: TlsOptions;

  constructor(options: TlsOptions) {
    this.#options = options;
  }

  async wrap(conn: Deno.TcpConn): Promise<ByteStream> {
    const { hostname, ca } = this.#options;
    return await withinTime(conn, async () => {
      const options = ca === undefined ? {} : { caCerts: [Deno.readTextFileSync(ca)] };
      const secured = await Deno.startTls(conn, { hostname, ...options });
      try {
        await secured.handshake();
      } catch (error) {
        closeConn(secured);
        if (error instanceof Deno.errors.InvalidData) {
          const words = messageOf(error);
          throw new TlsRefused(`Cannot agree on TLS with "${hostname}": ${words}`, {
            ...(/corrupt message|InvalidContentType/i.test(words) ? { hint: CLEAR_HINT } : {}),
            cause: error,
          });
        }
        throw new ConnectionLost(`Connection broke during the TLS handshake: ${messageOf(error)}`, { cause: error });
      }
      return new ConnStream(secured);
    });
  }

  close(): void {}
}

const SSL_ERROR_WANT_READ = 2;
const SSL_ERROR_ZERO_RETURN = 6;
const SSL_VERIFY_PEER = 1;
const SSL_CTRL_MODE = 33;
const SSL_CTRL_SET_TLSEXT_HOSTNAME = 55;
const SSL_CTRL_SET_MIN_PROTO_VERSION = 123;
const TLS1_2_VERSION = 0x0303n;
/** Partial writes from a buffer that may move. */
const SSL_MODES = 3n;
const SENT_AND_RECEIVED_SHUTDOWN = 3;

class OpensslTls implements TlsClient {
  readonly resumes = true;
  readonly #ssl: Openssl;
  readonly #options: TlsOptions;
  readonly #context: Deno.PointerValue;

  constructor(ssl: Openssl, options: TlsOptions) {
    this.#ssl = ssl;
    this.#options = options;
    this.#context = ssl.SSL_CTX_new(ssl.TLS_client_method());
    ssl.SSL_CTX_ctrl(this.#context, SSL_CTRL_MODE, SSL_MODES, null);
    ssl.SSL_CTX_ctrl(this.#context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, null);
    if (options.pin !== undefined) return;
    ssl.SSL_CTX_set_verify(this.#context, SSL_VERIFY_PEER, null);
    if (options.ca === undefined) ssl.SSL_CTX_set_default_verify_paths(this.#context);
    else if (ssl.SSL_CTX_load_verify_file(this.#context, cString(options.ca)) !== 1) {
      throw new TlsRefused(`Cannot read certificates from "${options.ca}": ${opensslError(ssl)}`);
    }
  }

  async wrap(conn: Deno.TcpConn, control?: ByteStream): Promise<ByteStream> {
    return await withinTime(conn, async () => {
      const { hostname, pin } = this.#options;
      const stream = new OpensslStream(this.#ssl, this.#ssl.SSL_new(this.#context), conn);
      try {
        if (pin === undefined) stream.expectName(hostname);
        if (control instanceof OpensslStream) stream.resume(control);
        await stream.handshake(hostname);
        if (pin !== undefined && stream.fingerprint() !== pin) {
          throw new TlsRefused(
            `Server "${hostname}" shows another certificate: expected ${pin}, got ${stream.fingerprint()}`,
          );
        }
        return stream;
      } catch (error) {
        stream.close();
        throw error;
      }
    });
  }

  close(): void {
    this.#ssl.SSL_CTX_free(this.#context);
  }
}

/** Buffers of closed streams for the next ones: each file has a data connection of its own. */
const spareBuffers: Uint8Array<ArrayBuffer>[] = [];
const SPARES_MAX = 4;

/** TLS by OpenSSL; the bytes on the wire go through two memory BIOs that it owns. */
class OpensslStream implements ByteStream {
  readonly #ssl: Openssl;
  readonly #handle: Deno.PointerValue;
  readonly #input: Deno.PointerValue;
  readonly #output: Deno.PointerValue;
  readonly #conn: Deno.TcpConn;
  readonly #received = spareBuffers.pop() ?? new Uint8Array(32 * 1024);
  /** A read that is pending still owns the buffer. */
  #isReceiving = false;
  #flushing: Promise<void> = Promise.resolve();
  /** Nothing of OpenSSL may be touched any more once it is set: its memory is gone. */
  #closed = false;

  constructor(ssl: Openssl, handle: Deno.PointerValue, conn: Deno.TcpConn) {
    this.#ssl = ssl;
    this.#handle = handle;
    this.#conn = conn;
    this.#input = ssl.BIO_new(ssl.BIO_s_mem());
    this.#output = ssl.BIO_new(ssl.BIO_s_mem());
    ssl.SSL_set_bio(handle, this.#input, this.#output);
    ssl.SSL_set_connect_state(handle);
  }

  expectName(hostname: string): void {
    const name = cString(hostname);
    if (isAddress(hostname)) this.#ssl.X509_VERIFY_PARAM_set1_ip_asc(this.#ssl.SSL_get0_param(this.#handle), name);
    else this.#ssl.SSL_set1_host(this.#handle, name);
  }

  /** Offers the newest session of `control`: with TLS 1.3 its tickets arrive only after the handshake. */
  resume(control: OpensslStream): void {
    control.#assertOpen();
    const session = this.#ssl.SSL_get1_session(control.#handle);
    if (session === null) return;
    this.#ssl.SSL_set_session(this.#handle, session);
    this.#ssl.SSL_SESSION_free(session);
  }

  async handshake(hostname: string): Promise<void> {
    if (!isAddress(hostname)) {
      this.#ssl.SSL_set_server_name(this.#handle, SSL_CTRL_SET_TLSEXT_HOSTNAME, 0n, cString(hostname));
    }
    for (;;) {
      this.#assertOpen();
      this.#ssl.ERR_clear_error();
      const result = this.#ssl.SSL_do_handshake(this.#handle);
      if (result === 1) return await this.#flush();
      const reason = this.#ssl.SSL_get_error(this.#handle, result);
      const verified = Number(this.#ssl.SSL_get_verify_result(this.#handle));
      const words = reason === SSL_ERROR_WANT_READ ? "" : opensslError(this.#ssl);
      // Also after a failure: the alert tells the server why.
      await this.#flush();
      if (reason !== SSL_ERROR_WANT_READ) {
        const why = verified === 0 ? words : verifyProblem(verified);
        // OpenSSL's words for a peer that answers in clear.
        const isClear = /wrong version number|packet length too long|unknown protocol|http request/i.test(why);
        throw new TlsRefused(`Cannot agree on TLS with "${hostname}": ${why}`, isClear ? { hint: CLEAR_HINT } : {});
      }
      if (!await this.#receive()) throw new ConnectionLost("Server ended the connection during the TLS handshake");
    }
  }

  /** SHA-256 of the server's certificate, lower-case hex. */
  fingerprint(): string {
    const digest = new Uint8Array(32);
    const certificate = this.#ssl.SSL_get1_peer_certificate(this.#handle);
    if (certificate === null) return "none";
    this.#ssl.X509_digest(certificate, this.#ssl.EVP_sha256(), digest, new Uint8Array(4));
    this.#ssl.X509_free(certificate);
    return digest.toHex();
  }

  async read(into: Uint8Array): Promise<number | null> {
    for (;;) {
      this.#assertOpen();
      let count = 0;
      let reason = 0;
      while (count < into.length) {
        this.#ssl.ERR_clear_error();
        const part = into.subarray(count) as Uint8Array<ArrayBuffer>;
        const result = this.#ssl.SSL_read(this.#handle, part, part.length);
        if (result <= 0) {
          reason = this.#ssl.SSL_get_error(this.#handle, result);
          break;
        }
        count += result;
      }
      if (count > 0) return count;
      if (reason === SSL_ERROR_ZERO_RETURN) return null;
      if (reason !== SSL_ERROR_WANT_READ) throw new ConnectionLost(`TLS broke: ${opensslError(this.#ssl)}`);
      if (this.#ssl.BIO_ctrl_pending(this.#output) > 0n) await this.#flush();
      if (!await this.#receive()) return null;
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      this.#assertOpen();
      this.#ssl.ERR_clear_error();
      // In slices, so that the memory BIO stays small.
      const part = bytes.subarray(at, at + 64 * 1024) as Uint8Array<ArrayBuffer>;
      const result = this.#ssl.SSL_write(this.#handle, part, part.length);
      if (result <= 0) throw new ConnectionLost(`TLS broke: ${opensslError(this.#ssl)}`);
      at += result;
      await this.#flush();
    }
  }

  async end(): Promise<void> {
    this.#assertOpen();
    this.#ssl.SSL_shutdown(this.#handle);
    await this.#flush();
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
    // Freed without a shutdown, OpenSSL marks the session, which the control connection shares, as not resumable.
    this.#ssl.SSL_set_shutdown(this.#handle, SENT_AND_RECEIVED_SHUTDOWN);
    this.#ssl.SSL_free(this.#handle);
    if (!this.#isReceiving && spareBuffers.length < SPARES_MAX) spareBuffers.push(this.#received);
    closeConn(this.#conn);
  }

  #assertOpen(): void {
    if (this.#closed) throw new ConnectionLost("Connection is closed");
  }

  /** Waits for bytes of the wire; false at its end. */
  async #receive(): Promise<boolean> {
    let count: number | null;
    this.#isReceiving = true;
    try {
      count = await this.#conn.read(this.#received);
    } catch (error) {
      throw new ConnectionLost(`Connection broke: ${messageOf(error)}`, { cause: error });
    } finally {
      this.#isReceiving = false;
    }
    this.#assertOpen();
    if (count === null) return false;
    this.#ssl.BIO_write(this.#input, this.#received.subarray(0, count), count);
    return true;
  }

  /** Sends what OpenSSL has written; reader and writer may both ask, the order of bytes holds. */
  #flush(): Promise<void> {
    const flushed = this.#flushing.then(async () => {
      const out = new Uint8Array(Math.min(80 * 1024, this.#pendingBytes()));
      while (this.#pendingBytes() > 0) {
        const count = this.#ssl.BIO_read(this.#output, out, out.length);
        for (let at = 0; at < count;) at += await this.#conn.write(out.subarray(at, count));
      }
    }).catch((error) => {
      if (error instanceof ConnectionLost) throw error;
      throw new ConnectionLost(`Connection broke: ${messageOf(error)}`, { cause: error });
    });
    this.#flushing = flushed.catch(() => {});
    return flushed;
  }

  #pendingBytes(): number {
    this.#assertOpen();
    return Number(this.#ssl.BIO_ctrl_pending(this.#output));
  }
}

/** Whether `hostname` is an IP address: certificates name those otherwise, and SNI forbids them. */
function isAddress(hostname: string): boolean {
  return hostname.includes(":") || /^\d+\.\d+\.\d+\.\d+$/.test(hostname);
}

async function withinTime(conn: Deno.TcpConn, handshake: () => Promise<ByteStream>): Promise<ByteStream> {
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    closeConn(conn);
  }, CONNECT_TIMEOUT_MS);
  try {
    return await handshake();
  } catch (error) {
    if (isLate) throw new ConnectionLost(`Server did not finish the TLS handshake in ${CONNECT_TIMEOUT_MS / 1000} s`);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
