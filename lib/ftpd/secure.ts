/**
 * TLS, as its server, over a connection that has begun without it (RFC 4217). The runtime speaks TLS on what its own
 * listener accepts, and on nothing else: so the ciphertext is carried to a listener on loopback, which takes this one
 * connection. An end that TLS did not announce, as an attacker or a broken link makes it, is an error to the reader.
 */
import type { ServerIdentity } from "./certificate.ts";
import { TlsRecords } from "./tls_records.ts";
import { type Wire, writeAll } from "./types.ts";

/** How long what was written last has to leave after `close()`, milliseconds. */
const LINGER_MS = 1000;
/** Bytes that may be on their way through loopback: what the client has not taken must not count as sent. */
const AHEAD_MAX = 256 * 1024;
const BLOCK_BYTES = 64 * 1024;
const LOOPBACK = "127.0.0.1";

/** Options of {@linkcode secureOver}. */
export interface SecureOptions {
  /** Bytes of the client's that were read already. */
  first?: Uint8Array;
  /**
   * Nothing is sent to the client between the handshake and the end. TLS 1.3 sends session tickets, which a client that
   * only writes never reads; with something unread its system ends the connection by a reset, and throws away what was
   * not sent yet.
   */
  onlyReads?: boolean;
}

/**
 * TLS over a plain connection, which is closed with it.
 * @throws {Error} If the system has no connection left; the plain one stays open
 */
export async function secureOver(
  plain: Wire,
  identity: ServerIdentity,
  options: SecureOptions = {},
): Promise<SecureWire> {
  using listener = Deno.listenTls({ hostname: LOOPBACK, port: 0, ...identity });
  const cipher = await Deno.connect({ hostname: LOOPBACK, port: listener.addr.port });
  try {
    cipher.setNoDelay(true);
    let clear = await listener.accept();
    // Whoever else on this machine was quicker.
    while (clear.remoteAddr.port !== cipher.localAddr.port) {
      clear.close();
      clear = await listener.accept();
    }
    return new SecureWire(plain, cipher, clear, options);
  } catch (error) {
    cipher.close();
    throw error;
  }
}

/** The clear side of a connection that is TLS to its client. */
export class SecureWire implements Wire {
  readonly ended: Promise<unknown>;
  readonly #plain: Wire;
  readonly #cipher: Deno.TcpConn;
  readonly #clear: Deno.TlsConn;
  readonly #onlyReads: boolean;
  readonly #records = new TlsRecords();
  readonly #carriedOut: Promise<void>;
  #held: Uint8Array[] = [];
  #written = 0;
  #carried = 0;
  #carries = Promise.withResolvers<void>();
  #failure: unknown;
  #isClosed = false;
  #isEnded = false;
  #linger: ReturnType<typeof setTimeout> | undefined;

  constructor(plain: Wire, cipher: Deno.TcpConn, clear: Deno.TlsConn, options: SecureOptions) {
    this.#plain = plain;
    this.#cipher = cipher;
    this.#clear = clear;
    this.#onlyReads = options.onlyReads ?? false;
    this.#carriedOut = this.#carryOut();
    this.ended = Promise.all([this.#carryIn(options.first ?? new Uint8Array(0)), this.#carriedOut]);
  }

  read(buffer: Uint8Array): Promise<number | null> {
    return this.#clear.read(buffer);
  }

  async write(bytes: Uint8Array): Promise<number> {
    // What is carried is never less than what was written: each record has its own bytes, too.
    while (this.#written - this.#carried > AHEAD_MAX && !this.#isEnded) await this.#carries.promise;
    const count = await this.#clear.write(bytes.subarray(0, BLOCK_BYTES));
    this.#written += count;
    return count;
  }

  /**
   * Says that all was written, and waits until it has gone to the client's connection.
   * @throws {Error} If that broke
   */
  async finish(): Promise<void> {
    // Without a byte written nothing has begun.
    await this.#clear.handshake();
    await this.#clear.closeWrite();
    await this.#carriedOut;
    if (this.#failure !== undefined) throw this.#failure;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (!this.#isEnded) this.#linger = setTimeout(() => this.#end(), LINGER_MS);
    // TLS says goodbye, so that a client can tell the end from a cut. What is carried out then ends the rest.
    this.#clear.closeWrite().catch(() => {}).finally(() => this.#clear.close());
  }

  async #carryIn(first: Uint8Array): Promise<void> {
    const buffer = new Uint8Array(BLOCK_BYTES);
    try {
      await this.#takeIn(first);
      for (let count = await this.#plain.read(buffer); count !== null; count = await this.#plain.read(buffer)) {
        await this.#takeIn(buffer.subarray(0, count));
      }
      await this.#cipher.closeWrite();
    } catch {
      // One of the two broke: whoever reads the clear side learns of it there.
      this.#end();
    }
  }

  async #takeIn(bytes: Uint8Array): Promise<void> {
    this.#records.push(bytes);
    await writeAll(this.#cipher, bytes);
  }

  async #carryOut(): Promise<void> {
    const buffer = new Uint8Array(BLOCK_BYTES);
    try {
      for (let count = await this.#cipher.read(buffer); count !== null; count = await this.#cipher.read(buffer)) {
        const bytes = buffer.subarray(0, count);
        if (this.#onlyReads && this.#records.haveData && !this.#isClosed) this.#held.push(bytes.slice());
        else await this.#bringOut(bytes);
      }
      await this.#bringOut(new Uint8Array(0));
    } catch (error) {
      this.#failure = error;
    } finally {
      this.#end();
    }
  }

  async #bringOut(bytes: Uint8Array): Promise<void> {
    for (const held of this.#held.splice(0)) await writeAll(this.#plain, held);
    await writeAll(this.#plain, bytes);
    this.#carried += bytes.length;
    this.#carries.resolve();
    this.#carries = Promise.withResolvers<void>();
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    clearTimeout(this.#linger);
    this.#carries.resolve();
    this.#cipher.close();
    this.#plain.close();
  }
}
