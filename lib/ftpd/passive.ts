/** The listener of one data connection (PASV, EPSV). It takes the control connection's peer and nobody else. */
import { Refusal } from "./refusal.ts";

/** Options of {@linkcode openPassive}. */
export interface PassiveOptions {
  /** Address on which the control connection came in. */
  local: string;
  /** Address of the control connection's peer. */
  peer: string;
  ports?: { first: number; last: number };
  /** How long the client may take to connect, milliseconds. */
  connectMs: number;
  /** Called for each connection from another address, which is closed at once. */
  onStranger: (address: string) => void;
}

/** A port that waits for its one connection. */
export class PassivePort {
  readonly port: number;
  readonly #listener: Deno.Listener;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #accepted: Promise<Deno.TcpConn | undefined>;
  #taken = false;
  #listening = true;

  constructor(listener: Deno.TcpListener, options: PassiveOptions) {
    this.#listener = listener;
    this.port = listener.addr.port;
    this.#timer = setTimeout(() => this.#stopListening(), options.connectMs);
    this.#accepted = this.#accept(listener, options);
  }

  /** The data connection, once the client has opened it; `undefined` when it did not in time. */
  connection(): Promise<Deno.TcpConn | undefined> {
    this.#taken = true;
    return this.#accepted;
  }

  /** Gives the port up, with a connection that was opened and never used. */
  async close(): Promise<void> {
    this.#stopListening();
    const conn = await this.#accepted;
    if (!this.#taken) conn?.close();
  }

  async #accept(listener: Deno.TcpListener, options: PassiveOptions): Promise<Deno.TcpConn | undefined> {
    try {
      for (;;) {
        const conn = await listener.accept();
        const from = plainAddress(conn.remoteAddr.hostname);
        if (from === options.peer) return conn;
        conn.close();
        options.onStranger(from);
      }
    } catch {
      // Closed from our side (too late, not wanted) or refused by the system: to the client both mean no connection.
      return undefined;
    } finally {
      this.#stopListening();
    }
  }

  #stopListening(): void {
    if (!this.#listening) return;
    this.#listening = false;
    clearTimeout(this.#timer);
    this.#listener.close();
  }
}

/**
 * Opens a port for the next data connection.
 * @throws {Refusal} 425 when no port of the range is free
 */
export function openPassive(options: PassiveOptions): PassivePort {
  if (options.ports === undefined) {
    return new PassivePort(Deno.listen({ hostname: options.local, port: 0 }), options);
  }
  const { first, last } = options.ports;
  const count = last - first + 1;
  const start = Math.floor(Math.random() * count);
  for (let n = 0; n < count; n++) {
    try {
      return new PassivePort(Deno.listen({ hostname: options.local, port: first + (start + n) % count }), options);
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Refusal(425, `No free port from ${first} to ${last} for a data connection`);
}

/** An IPv4 address that came in over an IPv6 socket in its plain form. */
export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") ? address.slice(7) : address;
}

/** The six numbers of PASV's reply (RFC 959). */
export function passiveNumbers(address: string, port: number): string {
  return [...address.split("."), port >> 8, port & 255].join(",");
}
