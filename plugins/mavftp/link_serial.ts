/**
 * A serial port, the USB of an autopilot or a telemetry UART, without native code: `stty` sets the line, `cat` reads
 * it, `dd` writes it.
 *
 * Deno opens what is below `/dev` for `--allow-all` only, and its tty streams stall when they write; three small
 * programs of every system need `--allow-run` for their names and nothing else. A cable that is pulled ends `cat`.
 */
import { DriverError } from "../../lib/driver/mod.ts";
import type { SerialUrl } from "./config.ts";
import { type Link, linkError, type LinkEvents } from "./link.ts";

/** Bytes that wait for a line that takes nothing (flow control); more are lost, as with a radio that is full. */
const SENDING_BYTES_MAX = 16 * 1024;
/** USB serial devices have flow control of their own. */
const USB_NAME = /ttyACM|\/usb-/i;

/** Opens the port that `url` names. @throws {DriverError} `unavailable`, `denied` */
export async function openSerial(url: SerialUrl, events: LinkEvents): Promise<Link> {
  const settings = lineSettings(url);
  try {
    // Before it is opened: `clocal`, so that opening does not wait for a carrier.
    await stty(url.path, settings);
    const port = new SerialPort(url, events);
    try {
      // And again, since opening may set the line back.
      await stty(url.path, settings);
    } catch (error) {
      await port.close();
      throw error;
    }
    return port;
  } catch (error) {
    throw linkError(`open "${url.path}"`, error);
  }
}

async function stty(path: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("stty", {
    args: ["-F", path, ...args],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (success) return;
  const words = new TextDecoder().decode(stderr).trim();
  throw Object.assign(new Error(words), { code: /permission denied/i.test(words) ? "EACCES" : "ENOENT" });
}

function lineSettings({ baud, hasFlowControl }: SerialUrl): string[] {
  return [
    ...["raw", "-echo", "-iexten", "-echoe", "-echok", "clocal", "cread", "cs8", "-cstopb", "-parenb"],
    ...["-ixon", "-ixoff", "-hupcl", hasFlowControl ? "crtscts" : "-crtscts", String(baud)],
  ];
}

class SerialPort implements Link {
  readonly name: string;
  readonly isOrdered = true;
  readonly isDatagram = false;
  readonly isUart: boolean;
  readonly #path: string;
  readonly #events: LinkEvents;
  readonly #reader: Deno.ChildProcess;
  readonly #writer: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #ended: Promise<unknown>;
  #isOpen = true;
  #sendingBytes = 0;

  constructor(url: SerialUrl, events: LinkEvents) {
    const { path, text, hasFlowControl } = url;
    this.name = text;
    this.isUart = !USB_NAME.test(path) && !hasFlowControl;
    this.#path = path;
    this.#events = events;
    this.#reader = new Deno.Command("cat", { args: [path], stdin: "null", stdout: "piped", stderr: "null" }).spawn();
    this.#writer = new Deno.Command("dd", {
      // Whatever comes is written at once; a device that vanished never becomes a file.
      args: [`of=${path}`, "bs=4096", "conv=nocreat,notrunc", "status=none"],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#input = this.#writer.stdin.getWriter();
    this.#ended = Promise.allSettled([
      this.#receive().catch(() => {}).then(() => this.#lose()),
      this.#reader.status,
      this.#writer.status.then(() => this.#lose()),
    ]);
  }

  async #receive(): Promise<void> {
    for await (const bytes of this.#reader.stdout) {
      if (this.#isOpen) this.#events.onBytes(bytes);
    }
  }

  #lose(): void {
    if (!this.#isOpen) return;
    this.#end();
    this.#events.onClosed(
      new DriverError("unavailable", `Serial port "${this.#path}" is gone`, {
        hint: "Check the cable, and use a path below /dev/serial/by-id, which stays the same",
      }),
    );
  }

  send(frame: Uint8Array): void {
    if (!this.#isOpen || this.#sendingBytes > SENDING_BYTES_MAX) return;
    this.#sendingBytes += frame.length;
    this.#input.write(frame).then(() => this.#sendingBytes -= frame.length, () => this.#lose());
  }

  #end(): void {
    this.#isOpen = false;
    this.#input.abort().catch(() => {});
    for (const child of [this.#reader, this.#writer]) {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended already.
      }
    }
  }

  async close(): Promise<void> {
    if (this.#isOpen) this.#end();
    await this.#ended;
  }
}
