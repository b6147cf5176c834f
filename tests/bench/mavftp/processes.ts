/** The two ends of a measurement, each a process of its own: a simulated autopilot, and the driver as a host runs it. */
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fingerprintOf } from "../../../lib/driver/mod.ts";
import { discoverPlugins, HostedDevice } from "../../../lib/host/mod.ts";
import { PERSONALITIES, type PersonalityName } from "../../support/autopilot/mod.ts";
import type { VehicleStats } from "../../support/autopilot/main.ts";
import { childrenOf, cpuOf, wait } from "../proc.ts";

const VEHICLE_MAIN = fileURLToPath(new URL("../../support/autopilot/main.ts", import.meta.url));
/** User and system time of the driver so far with the small programs that read and write a serial port, seconds. */
export function cpuWithChildren(pid: number): number {
  return [pid, ...childrenOf(pid)].reduce((sum, one) => sum + cpuOf(one), 0);
}

/** Options of `tests/support/autopilot/main.ts`, without their dashes. */
export interface VehicleOptions {
  personality: PersonalityName;
  [option: string]: string | number | boolean;
}

/** A simulated autopilot in a process of its own. */
export class VehicleProcess implements AsyncDisposable {
  readonly url: string;
  /** The logs of the card, the smallest first: on the vehicle, and below the root of the driver. */
  readonly logs: { remote: string; path: string }[];
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncIterator<string>;

  private constructor(
    child: Deno.ChildProcess,
    lines: AsyncIterator<string>,
    hello: { url: string; files: { path: string }[] },
    root: string,
  ) {
    this.#child = child;
    this.#writer = child.stdin.getWriter();
    this.#lines = lines;
    this.url = hello.url;
    this.logs = hello.files.map(({ path }) => path).filter((path) => /\.(ulg|BIN)$/.test(path))
      .map((remote) => ({ remote, path: remote.slice(root.length).replace(/^\//, "") }));
  }

  /** The largest log. */
  get log(): { remote: string; path: string } {
    return this.logs.at(-1)!;
  }

  static async start(options: VehicleOptions): Promise<VehicleProcess> {
    const args = Object.entries(options).flatMap(([name, value]) =>
      value === true ? [`--${name}`] : value === false ? [] : [`--${name}`, String(value)]
    );
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", VEHICLE_MAIN, "--json", ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const lines = linesOf(child.stdout);
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`The simulated autopilot ended with ${(await child.status).code}`);
    return new VehicleProcess(child, lines, JSON.parse(value), PERSONALITIES[options.personality].logRoot);
  }

  /** A command that answers nothing: `arm`, `disarm`, `reboot`, … */
  async tell(command: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(`${command}\n`));
  }

  async stats(): Promise<VehicleStats> {
    await this.tell("stats");
    const { value } = await this.#lines.next();
    return JSON.parse(value);
  }

  /** Looks every 50 ms until the counts are so. */
  async until(isSo: (stats: VehicleStats) => boolean): Promise<VehicleStats> {
    for (let tries = 0; tries < 1200; tries++) {
      const stats = await this.stats();
      if (isSo(stats)) return stats;
      await wait(50);
    }
    throw new Error("The simulated autopilot did not come to it in a minute");
  }

  get cpuS(): number {
    return cpuOf(this.#child.pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tell("quit").catch(() => {});
    await this.#writer.close().catch(() => {});
    await this.#child.status;
    // What it still says is of no use.
    await this.#lines.return?.();
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let held = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (held + text).split("\n");
    held = lines.pop()!;
    yield* lines;
  }
}

/** The driver as a process, its spool and its state in `dir`. */
export class DriverProcess implements AsyncDisposable {
  readonly client: HostedDevice;
  readonly logs: string[] = [];
  readonly #dir: string;
  #files = 0;

  constructor(url: string, dir: string, args: Record<string, unknown> = {}) {
    this.#dir = dir;
    for (const name of ["spool", "state"]) mkdirSync(`${dir}/${name}`, { recursive: true, mode: 0o700 });
    this.client = new HostedDevice({
      plugin: discoverPlugins().get("mavftp")!,
      name: "bench",
      role: "source",
      args: { url, settle_after_disarm: 0, ...args },
      spoolDir: `${dir}/spool`,
      stateDir: `${dir}/state`,
      logLevel: "debug",
      log: (_level, message) => void this.logs.push(message),
    });
  }

  get pid(): number {
    return this.client.pid!;
  }

  /** A new, empty spool file. */
  spoolFile(): string {
    const file = `${this.#dir}/spool/${++this.#files}`;
    writeFileSync(file, "", { mode: 0o600 });
    return file;
  }

  /** Downloads a log. @returns what the whole call took, seconds */
  async fetch(path: string, spoolFile: string = this.spoolFile()): Promise<number> {
    const expect = fingerprintOf(await this.client.stat(path));
    const startMs = performance.now();
    const offsetBytes = statSync(spoolFile).size;
    await this.client.download({ path, spoolFile, offsetBytes, expect });
    return (performance.now() - startMs) / 1000;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
  }
}
