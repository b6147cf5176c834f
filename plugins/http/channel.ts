/**
 * The two ways to a server, of one shape: TCP by Deno's own connection, whose reading goes on when writing has failed, so
 * that an answer that came before the server hung up is read; TLS by `node:tls`, which shows a server's certificate.
 */
import { isIP } from "node:net";
import { connect as connectTls } from "node:tls";

/** Taken from the system at once. */
const READ_BYTES = 64 * 1024;
/** Bytes that may wait to be taken by the system before a writer is told to wait. */
const BACKLOG_BYTES_MAX = 64 * 1024;

/** Told what happens on a channel. After `onOver` nothing more comes. */
export interface ChannelSink {
  /** There is a connection, and the server is the one that was wanted. Nothing is sent before. */
  onConnect(): void;
  /** The first round trip is over, in so many milliseconds; before `onConnect`. */
  onRoundTrip(ms: number): void;
  onData(bytes: Uint8Array): void;
  /** All that was written is with the system. */
  onDrain(): void;
  /** It has ended, by the server's wish when there is no error. */
  onOver(error?: unknown): void;
}

/** Bytes both ways. */
export interface Channel {
  /** Takes bytes, also before there is a connection; `false` when it is better to wait for `onDrain`. */
  write(bytes: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  /** Ends it at once; the sink is told nothing. */
  destroy(): void;
}

/** Where to. */
export interface Address {
  host: string;
  port: number;
}

/** Connects in clear. */
export function openTcp(address: Address, sink: ChannelSink): Channel {
  return new TcpChannel(address, sink);
}

class TcpChannel implements Channel {
  readonly #sink: ChannelSink;
  #conn: Deno.TcpConn | undefined;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #isWriting = false;
  #hasFailed = false;
  #isOver = false;
  #paused: { promise: Promise<void>; resolve: () => void } | undefined;

  constructor(address: Address, sink: ChannelSink) {
    this.#sink = sink;
    void this.#run(address);
  }

  write(bytes: Uint8Array): boolean {
    // What became of it is found out by reading: an answer, or the end.
    if (this.#hasFailed || this.#isOver) return false;
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (!this.#isWriting && this.#conn !== undefined) void this.#writeAll(this.#conn);
    return this.#queuedBytes <= BACKLOG_BYTES_MAX;
  }

  pause(): void {
    this.#paused ??= Promise.withResolvers();
  }

  resume(): void {
    this.#paused?.resolve();
    this.#paused = undefined;
  }

  destroy(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.resume();
    this.#conn?.close();
  }

  async #run({ host, port }: Address): Promise<void> {
    try {
      const startMs = performance.now();
      const conn = await Deno.connect({ hostname: host, port });
      if (this.#isOver) return conn.close();
      this.#conn = conn;
      // Answers are waited for: what is sent must not wait for the acknowledgement of what went before.
      conn.setNoDelay(true);
      this.#sink.onRoundTrip(performance.now() - startMs);
      this.#sink.onConnect();
      if (this.#queue.length > 0) void this.#writeAll(conn);
      await this.#readAll(conn);
    } catch (error) {
      this.#end(error);
    }
  }

  async #readAll(conn: Deno.TcpConn): Promise<void> {
    let buffer = new Uint8Array(READ_BYTES);
    let usedBytes = 0;
    while (!this.#isOver) {
      if (this.#paused !== undefined) {
        await this.#paused.promise;
        continue;
      }
      const count = await conn.read(buffer.subarray(usedBytes));
      if (this.#isOver) return;
      if (count === null) return this.#end();
      this.#sink.onData(buffer.subarray(usedBytes, usedBytes + count));
      // What was handed on is kept by others: only the rest of the memory is used again.
      usedBytes += count;
      if (usedBytes > READ_BYTES / 2) {
        buffer = new Uint8Array(READ_BYTES);
        usedBytes = 0;
      }
    }
  }

  async #writeAll(conn: Deno.TcpConn): Promise<void> {
    this.#isWriting = true;
    try {
      for (let bytes = this.#queue.shift(); bytes !== undefined; bytes = this.#queue.shift()) {
        for (let at = 0; at < bytes.length && !this.#isOver;) at += await conn.write(bytes.subarray(at));
        this.#queuedBytes -= bytes.length;
      }
    } catch {
      this.#hasFailed = true;
      this.#queue = [];
      return;
    }
    this.#isWriting = false;
    if (!this.#isOver) this.#sink.onDrain();
  }

  #end(error?: unknown): void {
    if (this.#isOver) return;
    this.destroy();
    this.#sink.onOver(error);
  }
}

/** How a server proves who it is. */
export interface TlsOptions {
  /** Certificates of authorities, PEM, instead of the system's. */
  ca?: string;
  /** SHA-256 of the server's certificate, lower-case hex: trusts that one, whatever its name and signer. */
  pin?: string;
}

/** Connects over TLS. */
export function openTls({ host, port }: Address, { ca, pin }: TlsOptions, sink: ChannelSink): Channel {
  const startMs = performance.now();
  const socket = connectTls({
    host,
    port,
    // Names only (RFC 6066 section 3).
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca }),
    ...(pin === undefined ? {} : { rejectUnauthorized: false }),
  });
  socket.setNoDelay(true);
  /** Written before the server was looked at: the first bytes may be a password. */
  let early: Uint8Array[] | undefined = [];
  let isOver = false;
  const end = (error?: unknown) => {
    if (isOver) return;
    isOver = true;
    socket.destroy();
    sink.onOver(error);
  };
  socket.once("connect", () => sink.onRoundTrip(performance.now() - startMs));
  socket.once("secureConnect", () => {
    if (isOver) return;
    const shown = (socket.getPeerCertificate()?.fingerprint256 ?? "").replaceAll(":", "").toLowerCase();
    if (pin !== undefined && shown !== pin) {
      return end(new Error(`certificate's SHA-256 is ${shown || "not shown"}: expected ${pin}`));
    }
    sink.onConnect();
    let isTaken = true;
    for (const bytes of early ?? []) isTaken = socket.write(bytes);
    early = undefined;
    if (isTaken) sink.onDrain();
  });
  socket.on("data", (bytes: Uint8Array) => {
    if (!isOver) sink.onData(bytes);
  });
  socket.on("drain", () => {
    if (!isOver) sink.onDrain();
  });
  socket.on("error", end);
  socket.on("end", () => end());
  socket.on("close", () => end());
  return {
    write(bytes) {
      if (early === undefined) return socket.write(bytes);
      early.push(bytes);
      return false;
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    destroy() {
      isOver = true;
      socket.destroy();
    },
  };
}
