/**
 * The whole wire between an FTP client and its server: control and data connections go through it (passive replies name
 * its own ports), every byte of a transfer is counted, and every connection can be cut, reset, stopped or made silent.
 */
import net from "node:net";
import { SocketQueue } from "./socket_queue.ts";

/** What happens to a transfer when it has come to a byte of its file. */
export interface Break {
  /** Position in the file, REST included. */
  atByte: number;
  /**
   * `cut` ends the data connection as an orderly close, `reset` by RST, `stall` stops its bytes, `link` ends control and
   * data together by RST, `silence` keeps both open and lets nothing through any more, `late` ends the client's side by
   * RST while the server still gets, slowly, what was on its way.
   */
  how: "cut" | "reset" | "stall" | "link" | "silence" | "late";
}

/** One STOR, APPE, RETR, MLSD or LIST. */
export interface WireTransfer {
  verb: string;
  path: string;
  /** REST before it; an APPE starts where the server says. */
  startByte: number;
  /** Bytes that were passed on, in either direction. */
  bytes: number;
  /** What broke it. */
  broken?: Break["how"];
  /** Bytes that the sender's system knows to have arrived at this end of the wire, and that were not passed on then. */
  strandedBytes?: number;
}

export interface WireHooks {
  /** A reply instead of forwarding the command; `"cut"` ends both connections. */
  onCommand?: (line: string) => string | undefined;
  /** The reply to pass on, perhaps later; `"cut"` ends both connections, `"lose"` passes nothing and keeps them. */
  onReply?: (verb: string, reply: string, line: string) => string | Promise<string>;
  /** Where this transfer is to be broken. */
  onTransfer?: (transfer: WireTransfer) => Break | undefined;
  /** A greeting instead of the server's, `"silence"` for none at all, `"reset"` for a port where nobody listens. */
  onConnect?: () => string | undefined;
}

export interface FtpWireOptions {
  /** Port of the server on loopback, asked anew for each connection. */
  serverPort: () => number;
  hooks?: WireHooks;
  /** Bytes a second, over all transfers. */
  bytesPerSecond?: number;
}

/** See the head of the file. */
export class FtpWire {
  readonly port: number;
  hooks: WireHooks;
  bytesPerSecond: number | undefined;
  /** Commands that came, in order, over all connections. */
  readonly commands: string[] = [];
  readonly transfers: WireTransfer[] = [];
  /** Control connections that were taken. */
  connectionsCount = 0;
  #silent = false;
  readonly #server: net.Server;
  readonly #links = new Set<Link>();
  readonly #options: FtpWireOptions;
  #freeAtMs = 0;
  /** Nothing passes any more, and what is still under way comes to its end. */
  isStopped = false;
  /** What ends each rest that is going on. */
  readonly #rests = new Set<() => void>();

  private constructor(server: net.Server, options: FtpWireOptions) {
    this.#server = server;
    this.#options = options;
    this.port = (server.address() as net.AddressInfo).port;
    this.hooks = options.hooks ?? {};
    this.bytesPerSecond = options.bytesPerSecond;
    server.on("connection", (client: net.Socket) => this.#take(client));
  }

  static async start(options: FtpWireOptions): Promise<FtpWire> {
    return new FtpWire(await listen(), options);
  }

  /** From now on nothing passes and nothing is closed, also on connections to come: the peer is gone without a word. */
  silence(): void {
    this.#silent = true;
    for (const link of this.#links) link.isSilent = true;
  }

  /** New connections work again; those of before stay silent, since the peer knows nothing of them any more. */
  heal(): void {
    this.#silent = false;
  }

  /** Ends every connection there is: by RST, or as an orderly close. */
  endAll(how: "reset" | "cut"): void {
    for (const link of this.#links) link.end(how);
  }

  async stop(): Promise<void> {
    this.hooks = { onConnect: () => "reset" };
    this.isStopped = true;
    this.endAll("reset");
    for (const endRest of this.#rests) endRest();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Resolves after `ms`, or when the wire is stopped. */
  async rest(ms: number): Promise<void> {
    if (this.isStopped) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#rests.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#rests.delete(resolve);
  }

  /** Resolves when `bytes` more may pass. */
  async pace(bytes: number): Promise<void> {
    if (this.bytesPerSecond === undefined) return;
    const nowMs = performance.now();
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + bytes * 1000 / this.bytesPerSecond;
    const waitMs = this.#freeAtMs - nowMs;
    if (waitMs > 1) await this.rest(waitMs);
  }

  #take(client: net.Socket): void {
    this.connectionsCount++;
    client.on("error", () => {});
    const greeting = this.hooks.onConnect?.();
    if (greeting === "reset") {
      client.resetAndDestroy();
      return;
    }
    const link = new Link(this, client);
    this.#links.add(link);
    client.once("close", () => {
      // A silent link lives on at the server's side until the wire is stopped.
      if (!link.isSilent) this.#links.delete(link);
    });
    if (this.#silent || greeting === "silence") {
      link.isSilent = true;
      return;
    }
    if (greeting !== undefined) {
      client.end(`${greeting}\r\n`);
      return;
    }
    link.run(this.#options.serverPort()).catch(() => link.end("cut"));
  }
}

/** One command after the other: the next one when the one before has its last reply. The greeting is the first. */
export class Turns {
  #owed = 1;
  #wake: (() => void) | undefined;

  /** Resolves when nothing is owed any more, and owes a reply from then on. */
  async next(): Promise<void> {
    while (this.#owed > 0) await new Promise<void>((resolve) => this.#wake = resolve);
    this.#owed++;
  }

  /** The last reply to the command under way was passed on, or will never be. */
  end(): void {
    this.#owed--;
    this.#wake?.();
    this.#wake = undefined;
  }

  /** The connection is over: nobody waits any more. */
  stop(): void {
    this.#owed = -Infinity;
    this.end();
  }
}

/** One control connection with its data connections. */
class Link {
  isSilent = false;
  readonly #wire: FtpWire;
  readonly #client: net.Socket;
  #server: net.Socket | undefined;
  readonly #data = new Set<net.Socket>();
  readonly #listeners = new Set<net.Server>();
  #restByte = 0;
  /** The client is gone, and the server still gets bytes. */
  #isLate = false;
  /** Set by EPSV or PASV; the command after it says what moves. */
  #pending: PromiseWithResolvers<{ transfer: WireTransfer; broken: Break | undefined } | undefined> | undefined;

  constructor(wire: FtpWire, client: net.Socket) {
    this.#wire = wire;
    this.#client = client;
  }

  async run(port: number): Promise<void> {
    this.#server = await connect(port);
    const asked: string[] = ["greeting"];
    const turns = new Turns();
    const up = eachLine(this.#client, async (line) => {
      // Commands that come together are passed on one after the other, so that hooks and ports meet the right ones.
      await turns.next();
      this.#wire.commands.push(line);
      if (this.isSilent) return;
      this.#note(line);
      const answer = this.#wire.hooks.onCommand?.(line);
      if (answer === "cut") return this.end("cut");
      if (answer !== undefined) {
        this.#dropPending();
        await send(this.#client, answer);
        return turns.end();
      }
      asked.push(line);
      await send(this.#server!, line);
    });
    const down = eachLine(this.#server, async (line) => {
      const isFinal = /^[1-6]\d\d /.test(line);
      const command = asked[0] ?? "";
      const isEnd = /^[2-6]\d\d /.test(line);
      if (isEnd) asked.shift();
      const verb = command.split(" ", 1)[0]!;
      let reply = line;
      // What is said to a client that is gone is no reply.
      if (isFinal && !this.#client.destroyed) {
        const asking = this.#wire.hooks.onReply?.(verb, line, command);
        if (asking !== undefined) reply = await asking;
      }
      if (reply === "cut") return this.end("cut");
      if (reply === "lose" || this.isSilent) {
        if (isEnd) turns.end();
        return;
      }
      if (/^[45]/.test(reply) && TRANSFERS.test(verb)) this.#dropPending();
      await send(this.#client, isFinal ? await this.#openData(verb, reply) : reply);
      if (isEnd) turns.end();
    });
    // The end of one side is passed on to the other, unless nothing passes any more.
    await Promise.race([up, down]);
    turns.stop();
    if (!this.isSilent && !this.#isLate) this.end("cut");
    await Promise.all([up, down]);
  }

  /** Ends control and data. */
  end(how: "reset" | "cut"): void {
    this.#dropPending();
    for (const listener of this.#listeners) listener.close();
    this.#listeners.clear();
    for (const socket of [this.#client, this.#server, ...this.#data]) if (socket !== undefined) endSocket(socket, how);
    this.#data.clear();
  }

  #note(line: string): void {
    const [verb, ...rest] = line.split(" ");
    if (verb === "REST") this.#restByte = Number(rest[0]);
    else if (TRANSFERS.test(verb!)) {
      const transfer: WireTransfer = { verb: verb!, path: rest.join(" "), startByte: this.#restByte, bytes: 0 };
      this.#restByte = 0;
      this.#wire.transfers.push(transfer);
      this.#pending?.resolve({ transfer, broken: this.#wire.hooks.onTransfer?.(transfer) });
    }
  }

  #dropPending(): void {
    this.#pending?.resolve(undefined);
  }

  /** A passive reply with a port of ours in it; other replies as they are. */
  async #openData(verb: string, reply: string): Promise<string> {
    if (verb !== "EPSV" && verb !== "PASV") return reply;
    const long = /\(\|\|\|(\d+)\|\)/.exec(reply);
    const short = /(\d+,\d+,\d+,\d+),(\d+),(\d+)/.exec(reply);
    if (long === null && short === null) return reply;
    const port = long !== null ? Number(long[1]) : Number(short![2]) * 256 + Number(short![3]);
    const listener = await listen();
    this.#listeners.add(listener);
    const pending = Promise.withResolvers<{ transfer: WireTransfer; broken: Break | undefined } | undefined>();
    this.#pending?.resolve(undefined);
    this.#pending = pending;
    // What never is connected to ends with the control connection.
    listener.once("connection", (client: net.Socket) => {
      listener.close();
      this.#listeners.delete(listener);
      client.on("error", () => {});
      this.#data.add(client);
      this.#carry(client, port, pending.promise).catch(() => endSocket(client, "reset"));
    });
    const ours = (listener.address() as net.AddressInfo).port;
    return long !== null
      ? reply.replace(long[0], `(|||${ours}|)`)
      : reply.replace(short![0], `${short![1]},${ours >> 8},${ours & 255}`);
  }

  async #carry(
    client: net.Socket,
    port: number,
    plan: Promise<{ transfer: WireTransfer; broken: Break | undefined } | undefined>,
  ): Promise<void> {
    const server = await connect(port);
    this.#data.add(server);
    const planned = await plan;
    if (planned === undefined) {
      endSocket(client, "cut");
      endSocket(server, "cut");
      return;
    }
    const { transfer, broken } = planned;
    await Promise.all([
      this.#pump(client, server, transfer, broken, () => [client, server]),
      this.#pump(server, client, transfer, broken, () => [client, server]),
    ]);
    this.#data.delete(client);
    this.#data.delete(server);
  }

  async #pump(
    from: net.Socket,
    to: net.Socket,
    transfer: WireTransfer,
    broken: Break | undefined,
    both: () => net.Socket[],
  ): Promise<void> {
    try {
      for await (const part of from as AsyncIterable<Uint8Array>) {
        if (this.isSilent) return await never();
        const leftBytes = broken === undefined ? Infinity : broken.atByte - transfer.startByte - transfer.bytes;
        const passed = part.length < leftBytes ? part : part.subarray(0, Math.max(0, leftBytes));
        await this.#wire.pace(passed.length);
        if (this.isSilent) return await never();
        // What nobody takes any more does not pass; the other direction may not know yet that the peer is gone.
        if (to.destroyed) throw new Error("The peer is gone");
        if (passed.length > 0) {
          transfer.bytes += passed.length;
          to.write(passed);
          // A byte counts as passed when the peer has it, not when it lies in a buffer of ours.
          await flushed(this.#wire, to);
        }
        if (passed.length === part.length && part.length !== leftBytes) continue;
        transfer.broken = broken!.how;
        transfer.strandedBytes = part.length - passed.length + from.readableLength + queueOf(from).unreadBytes;
        switch (broken!.how) {
          case "cut":
          case "reset":
            for (const socket of both()) endSocket(socket, broken!.how === "cut" ? "cut" : "reset");
            return;
          case "link":
            return this.end("reset");
          case "silence":
            this.isSilent = true;
            return await never();
          case "stall":
            return await never();
          case "late":
            this.#isLate = true;
            this.#client.resetAndDestroy();
            from.resetAndDestroy();
            await trickle(this.#wire, to, part.subarray(passed.length));
            return this.end("cut");
        }
      }
      if (this.isSilent) return await never();
      to.end();
    } catch {
      // One side broke: so does the other.
      if (!this.isSilent) endSocket(to, "reset");
    }
  }
}

const TRANSFERS = /^(STOR|APPE|RETR|MLSD|LIST|NLST)$/;

/** Writes `bytes` in a few slices over two seconds. */
async function trickle(wire: FtpWire, to: net.Socket, bytes: Uint8Array): Promise<void> {
  const step = Math.max(1, Math.ceil(bytes.length / 8));
  for (let at = 0; at < bytes.length && !to.destroyed && !wire.isStopped; at += step) {
    await wire.rest(250);
    to.write(bytes.subarray(at, at + step));
    await flushed(wire, to);
  }
}

/** The sockets of something that stands still are ended by the link. */
function never(): Promise<never> {
  return new Promise(() => {});
}

/** Resolves when the peer's kernel has all bytes: what still lies in ours would not survive a reset. */
async function flushed(wire: FtpWire, socket: net.Socket): Promise<void> {
  const queue = queueOf(socket);
  while (!socket.destroyed && !wire.isStopped && (socket.writableLength > 0 || queue.bytes > 0)) {
    await wire.rest(1);
  }
}

const queues = new WeakMap<net.Socket, SocketQueue>();

function queueOf(socket: net.Socket): SocketQueue {
  let queue = queues.get(socket);
  if (queue === undefined) queues.set(socket, queue = new SocketQueue(socket.localPort ?? 0, socket.remotePort ?? 0));
  return queue;
}

function endSocket(socket: net.Socket, how: "reset" | "cut"): void {
  if (socket.destroyed) return;
  if (how === "reset") socket.resetAndDestroy();
  else {
    socket.end();
    socket.destroySoon();
  }
}

async function listen(): Promise<net.Server> {
  const server = net.createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve());
  });
  return server;
}

async function connect(port: number): Promise<net.Socket> {
  const socket = net.connect(port, "127.0.0.1");
  socket.setNoDelay(true);
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", () => resolve());
    socket.once("error", reject);
  });
  socket.on("error", () => {});
  return socket;
}

async function eachLine(socket: net.Socket, take: (line: string) => void | Promise<void>): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for await (const part of socket as AsyncIterable<Uint8Array>) {
      const lines = (rest + decoder.decode(part, { stream: true })).split("\r\n");
      rest = lines.pop()!;
      for (const line of lines) await take(line);
    }
  } catch {
    // Closed by either side.
  }
}

async function send(socket: net.Socket, line: string): Promise<void> {
  if (socket.destroyed) return;
  if (!socket.write(`${line}\r\n`)) {
    await new Promise((resolve) => socket.once("drain", resolve).once("close", resolve));
  }
}
