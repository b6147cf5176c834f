/** The simulator on real transports: each byte reaches a plain client, cables can be pulled, nothing is left behind. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { testNeeding } from "../needs.ts";
import { type Autopilot, noise, startAutopilot, type TransportOptions } from "./mod.ts";
import { encodeFrame, type Frame, FrameReader } from "./wire/frame.ts";
import { fromLatin1, FtpPacket, OPCODES } from "./wire/ftp.ts";
import { MESSAGES } from "./wire/messages.ts";

const LOG = "/fs/microsd/log/a.ulg";
const SIZE = 60_000;
/** Nothing takes longer on the slowest machine. */
const LIMIT_MS = 20_000;

/** A client that sends bytes and collects frames. */
class Client {
  readonly frames: Frame[] = [];
  readonly #reader = new FrameReader();
  #seq = 0;
  #wake: () => void = () => {};

  constructor(readonly write: (bytes: Uint8Array) => void, readonly close: () => Promise<void>) {}

  feed(bytes: Uint8Array): void {
    this.frames.push(...this.#reader.push(bytes));
    this.#wake();
  }

  say(message: (typeof MESSAGES)[keyof typeof MESSAGES], payload: Uint8Array): void {
    const head = { version: 2, seq: this.#seq++ & 0xff, systemId: 245, componentId: 191 } as const;
    this.write(encodeFrame(head, message, payload));
  }

  heartbeat(): void {
    this.say(MESSAGES.HEARTBEAT, Uint8Array.of(0, 0, 0, 0, 18, 8, 0, 4, 3));
  }

  ftp(opcode: keyof typeof OPCODES, seq: number, fields: { path?: string; offset?: number; size?: number } = {}): void {
    const { path, ...rest } = fields;
    const packet = FtpPacket.of({ seq, opcode: OPCODES[opcode] });
    if (path !== undefined) packet.data = fromLatin1(path);
    Object.assign(packet, rest);
    const payload = new Uint8Array(254);
    payload.set([0, 1, 1]);
    payload.set(packet.bytes, 3);
    this.say(MESSAGES.FILE_TRANSFER_PROTOCOL, payload);
  }

  get packets(): FtpPacket[] {
    const frames = this.frames.filter(({ messageId }) => messageId === MESSAGES.FILE_TRANSFER_PROTOCOL.id);
    return frames.map(({ payload }) => new FtpPacket(payload.slice(3, 254)));
  }

  async until(what: string, test: () => boolean): Promise<void> {
    const giveUp = Date.now() + LIMIT_MS;
    while (!test()) {
      if (Date.now() > giveUp) throw new Error(`Waited in vain for ${what}`);
      const woken = new Promise<void>((resolve) => this.#wake = resolve);
      let timer;
      await Promise.race([woken, new Promise<void>((resolve) => timer = setTimeout(resolve, 100))]);
      clearTimeout(timer);
    }
  }
}

async function udpClient(port: number, to?: number): Promise<Client> {
  const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 20 });
  await new Promise<void>((resolve) => socket.bind(port, "127.0.0.1", () => resolve()));
  let peer = to;
  const write = (bytes: Uint8Array) => peer !== undefined && socket.send(bytes, peer, "127.0.0.1");
  const client = new Client(write, () => new Promise((resolve) => socket.close(() => resolve())));
  socket.on("message", (bytes, from) => {
    peer = from.port;
    client.feed(bytes);
  });
  return client;
}

async function tcpClient(port: number): Promise<Client> {
  const socket = connect(port, "127.0.0.1");
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const client = new Client((bytes) => void socket.write(bytes), () => (socket.destroy(), closed));
  socket.on("data", (bytes) => client.feed(bytes));
  return client;
}

function serialClient(path: string): Client {
  const child = new Deno.Command("socat", {
    args: ["STDIO", `${path},raw,echo=0`],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  const client = new Client((bytes) => void writer.write(bytes).catch(() => {}), async () => {
    await writer.close().catch(() => {});
    try {
      child.kill("SIGKILL");
    } catch {
      // The cable was pulled, and it has ended.
    }
    await child.status;
    await reading;
  });
  const reading = (async () => {
    for await (const bytes of child.stdout) client.feed(bytes);
  })();
  return client;
}

async function readWhole(client: Client, wanted: Uint8Array): Promise<void> {
  client.heartbeat();
  await client.until("a heartbeat", () => client.frames.some(({ messageId }) => messageId === MESSAGES.HEARTBEAT.id));
  const seq = Math.floor(Math.random() * 60_000);
  client.frames.length = 0;
  client.ftp("OpenFileRO", seq, { path: LOG });
  await client.until("the open file", () => client.packets.length > 0);
  assert.equal(client.packets[0]?.getU32(), wanted.length);
  const got = new Uint8Array(wanted.length);
  for (let at = 0, next = seq + 2; at < wanted.length; next += 1000) {
    client.frames.length = 0;
    client.ftp("BurstReadFile", next, { offset: at, size: 239 });
    const isOver = () => client.packets.some(({ burstComplete, opcode }) => opcode === 129 || burstComplete === 1);
    await client.until("the end of a burst", isOver);
    for (const packet of client.packets) {
      if (packet.opcode !== 128 || packet.offset !== at) continue;
      got.set(packet.data, at);
      at += packet.size;
    }
  }
  assert.deepEqual(got, wanted);
}

async function start(transport: TransportOptions, more: object = {}): Promise<Autopilot> {
  return await startAutopilot({ files: { [LOG]: noise(SIZE) }, transport, ...more });
}

Deno.test("A vehicle on UDP sends to its port; one that waits answers whom it hears", async () => {
  const listener = createSocket("udp4");
  await new Promise<void>((resolve) => listener.bind(0, "127.0.0.1", () => resolve()));
  const { port } = listener.address();
  await new Promise<void>((resolve) => listener.close(() => resolve()));
  {
    await using autopilot = await start({ kind: "udp", to: port });
    assert.equal(autopilot.url, `udp://127.0.0.1:${port}`);
    const ground = await udpClient(port);
    await readWhole(ground, autopilot.files.bytes(LOG));
    await ground.close();
  }
  await using autopilot = await start({ kind: "udp-listen" }, { link: { pack: { packets: 5, withinMs: 3 } } });
  const ground = await udpClient(0, autopilot.port);
  await readWhole(ground, autopilot.files.bytes(LOG));
  assert.equal(autopilot.stats.heartbeats["245/191"], 1);
  await ground.close();
});

Deno.test("A vehicle on TCP is cut at odd places, breaks off and takes connections again", async () => {
  await using autopilot = await start({ kind: "tcp" }, { link: { segment: { min: 1, max: 500 } } });
  const first = await tcpClient(autopilot.port!);
  await readWhole(first, autopilot.files.bytes(LOG));
  await autopilot.unplug();
  await first.close();
  await assert.rejects(tcpClient(autopilot.port!));
  await autopilot.replug();
  const second = await tcpClient(autopilot.port!);
  second.ftp("TerminateSession", 5);
  await readWhole(second, autopilot.files.bytes(LOG));
  await second.close();
});

testNeeding(
  "socat",
  "A vehicle on a serial line is paced, survives its clients, and comes back as another device",
  async () => {
    const autopilot = await start({ kind: "serial", baud: 921600 });
    const byId = autopilot.url.replace(/^serial:\/\/|\?.*$/g, "");
    try {
      const first = serialClient(byId);
      await readWhole(first, autopilot.files.bytes(LOG));
      await first.close();
      const second = serialClient(byId);
      second.ftp("TerminateSession", 5);
      await readWhole(second, autopilot.files.bytes(LOG));
      const device = autopilot.path!;
      const target = await Deno.realPath(byId);
      await autopilot.reboot({ silentMs: 100, changes: (files) => files.shrink(LOG, 30_000) });
      await second.close();
      assert.notEqual(autopilot.path, device);
      await assert.rejects(Deno.stat(device));
      const third = serialClient(byId);
      await readWhole(third, autopilot.files.bytes(LOG));
      assert.equal(autopilot.files.bytes(LOG).length, 30_000);
      await third.close();
      assert.ok(target.startsWith("/dev/pts/"));
    } finally {
      await autopilot.stop();
    }
    await assert.rejects(Deno.lstat(byId), Deno.errors.NotFound);
  },
);

Deno.test("main.ts says where it is, obeys and ends with its stdin", async () => {
  const main = new URL("./main.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", main, "--tcp", "0", "--json", "--personality", "ardupilot-4.5", "--logs", "1"],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { port } = JSON.parse((await lines.read()).value!) as { port: number };
  const client = await tcpClient(port);
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("arm\n"));
  const isArmed = ({ messageId, payload }: Frame) => messageId === MESSAGES.HEARTBEAT.id && (payload[6]! & 128) !== 0;
  await client.until("an armed heartbeat", () => client.frames.some(isArmed));
  await client.close();
  await writer.close();
  assert.equal((await child.status).code, 0);
  await lines.cancel();
  const wrong = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", main, "--loss", "many"] }).output();
  assert.equal(wrong.code, 2);
  assert.match(new TextDecoder().decode(wrong.stderr), /--loss wants a number: "many"/);
});
