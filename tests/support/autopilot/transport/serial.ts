/**
 * A serial line: socat makes a pty pair and carries the far end over its stdin and stdout. Pulling the cable ends socat,
 * so the device vanishes as a USB device does; plugging it in again makes another device, and a link as in
 * `/dev/serial/by-id` follows it.
 */
import type { OnBytes, Transport } from "./transport.ts";

/** Bytes that wait for a client that does not read; a UART loses the rest. */
const WAITING_MAX = 64 * 1024;

export class SerialTransport implements Transport {
  /** The link that follows the device. */
  readonly byId: string;
  #child: Deno.ChildProcess | undefined;
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #waitingBytes = 0;
  #reading: Promise<void> = Promise.resolve();
  /** Keeps the device open: socat would end with the first client that closes it. */
  #keeper: Deno.FsFile | undefined;
  #count = 0;
  #device = "";

  private constructor(
    readonly dir: string,
    readonly baud: number,
    readonly onBytes: OnBytes,
    byIdDir: string | undefined,
  ) {
    this.byId = `${byIdDir ?? dir}/usb-3D_Robotics_PX4_FMU_v4.x_0-if00`;
  }

  static async open(options: { baud?: number; byIdDir?: string }, onBytes: OnBytes): Promise<SerialTransport> {
    const dir = await Deno.makeTempDir({ prefix: "filesync-tty-" });
    const transport = new SerialTransport(dir, options.baud ?? 115200, onBytes, options.byIdDir);
    try {
      await transport.replug();
    } catch (error) {
      await transport.stop();
      throw error;
    }
    return transport;
  }

  /** The device as it is named now. */
  get path(): string {
    return this.#device;
  }

  get url(): string {
    return `serial://${this.byId}?baud=${this.baud}`;
  }

  send(bytes: Uint8Array): void {
    const writer = this.#writer;
    if (writer === undefined || this.#waitingBytes + bytes.length > WAITING_MAX) return;
    this.#waitingBytes += bytes.length;
    const done = () => this.#waitingBytes -= bytes.length;
    writer.write(bytes).then(done, done);
  }

  async unplug(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    this.#writer?.abort().catch(() => {});
    this.#writer = undefined;
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    this.#keeper?.close();
    this.#keeper = undefined;
    await child.status;
    await this.#reading;
    this.#waitingBytes = 0;
    await Deno.remove(this.byId).catch(() => {});
    await Deno.remove(this.#device).catch(() => {});
  }

  async replug(): Promise<void> {
    this.#device = `${this.dir}/ttyACM${this.#count++}`;
    const device = this.#device;
    const child = new Deno.Command("socat", {
      args: ["-b", "65536", `PTY,raw,echo=0,link=${device}`, "STDIO"],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#child = child;
    this.#writer = child.stdin.getWriter();
    this.#writer.closed.catch(() => {});
    this.#reading = this.#read(child.stdout);
    for (let n = 0; !await exists(device); n++) {
      if (n > 500) throw new Error("socat made no pty within 5 s");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    this.#keeper = await Deno.open(device, { write: true });
    // As udev does: the link is there at once and whole.
    const fresh = `${this.dir}/link`;
    await Deno.remove(fresh).catch(() => {});
    await Deno.symlink(await Deno.realPath(device), fresh);
    await Deno.rename(fresh, this.byId);
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    try {
      for await (const bytes of stream) this.onBytes(bytes);
    } catch {
      // The cable was pulled in the middle of a read.
    }
  }

  async stop(): Promise<void> {
    await this.unplug();
    await Deno.remove(this.byId).catch(() => {});
    await Deno.remove(this.dir, { recursive: true }).catch(() => {});
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}
