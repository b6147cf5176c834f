/** Real programs to check the simulator with: pymavlink's FTP client, MAVSDK's client and MAVSDK's server. */
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";

/** A hanging client is ended after this. */
const LIMIT_MS = 150_000;

/** Whether python3 has the module. */
export function hasPython(module: string): boolean {
  try {
    execFileSync("python3", ["-c", `import ${module}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** A UDP port that nobody has now. */
export async function freeUdpPort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(0, "127.0.0.1", () => resolve());
  });
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

function script(name: string): string {
  return new URL(`./${name}`, import.meta.url).pathname;
}

async function outcomes(name: string, args: string[]): Promise<unknown[]> {
  const { code, stdout, stderr } = await new Deno.Command("python3", {
    args: ["-u", script(name), ...args],
    stdin: "null",
    env: { MAVLINK20: "1" },
    signal: AbortSignal.timeout(LIMIT_MS),
  }).output();
  const text = new TextDecoder().decode(stdout);
  const found = /^OUTCOME (.*)$/m.exec(text);
  if (code !== 0 || found === null) {
    throw new Error(`${name} ended with ${code}: ${text}${new TextDecoder().decode(stderr)}`);
  }
  return JSON.parse(found[1]!) as unknown[];
}

/** Steps of `pymavlink_client.py`; gives the outcome of each. */
export function runPymavlink(url: string, steps: unknown[][]): Promise<unknown[]> {
  return outcomes("pymavlink_client.py", [url, JSON.stringify(steps)]);
}

/** Reads `path` for so many seconds, one request after another. */
export async function runLockStep(url: string, path: string, seconds: number) {
  const [read] = await outcomes("pymavlink_lock_step.py", [url, path, String(seconds)]);
  return read as { bytes: number; seconds: number };
}

/** What `pymavlink_codec.py` makes of messages and frames. */
export async function askPymavlinkCodec(asked: { names: string[]; frames: string[]; key: string }) {
  const [answer] = await outcomes("pymavlink_codec.py", [JSON.stringify(asked)]);
  return answer as {
    /** Id, CRC_EXTRA, bytes with extensions. */
    messages: Record<string, [number, number, number]>;
    read: Record<string, unknown>[];
    signed: string;
  };
}

/** Steps of `mavsdk_client.py`; downloads land in `localDir`. */
export function runMavsdk(url: string, localDir: string, steps: unknown[][]): Promise<unknown[]> {
  return outcomes("mavsdk_client.py", [url, localDir, JSON.stringify(steps)]);
}

/**
 * One command of MAVProxy's FTP module, which is a client of its own; ended as soon as its words match `isOver`.
 * @returns what it said
 */
export async function runMavproxy(url: string, dir: string, command: string, isOver: RegExp): Promise<string> {
  const child = new Deno.Command("python3", {
    // deno-fmt-ignore
    args: [
      "-u", "-m", "MAVProxy.mavproxy", `--master=${url}`, "--daemon", "--non-interactive", "--default-modules=ftp",
      "--source-system=245", "--state-basedir=.", `--cmd=${command}`,
    ],
    cwd: dir,
    env: { HOME: dir },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
    signal: AbortSignal.timeout(LIMIT_MS),
  }).spawn();
  let said = "";
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    said += part;
    if (!isOver.test(said)) continue;
    // It writes the rest of its file when it ends.
    child.kill("SIGTERM");
    break;
  }
  await child.status;
  if (!isOver.test(said)) throw new Error(`MAVProxy ended, or took too long: ${said}`);
  return said;
}

export interface MavsdkServer {
  /** `url` of the driver mavftp that reaches it. */
  url: string;
  port: number;
  /** As it tells it: `v4.1.0`. */
  version: string;
  stop(): Promise<void>;
}

/** MAVSDK as an autopilot (system 1) that serves `dir` by its real FTP server and waits to be spoken to on UDP. */
export async function startMavsdkServer(dir: string): Promise<MavsdkServer> {
  const port = await freeUdpPort();
  const child = new Deno.Command("python3", {
    args: ["-u", script("mavsdk_server.py"), dir, `udpin://127.0.0.1:${port}`],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let text = "";
  let version: string | undefined;
  const ready = Promise.withResolvers<void>();
  const reading = (async () => {
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      if (version !== undefined) continue;
      text += chunk;
      version = /^ready (.*)$/m.exec(text)?.[1];
      if (version !== undefined) ready.resolve();
    }
    ready.reject(new Error(`MAVSDK's server has ended: ${text}`));
  })();
  const stop = async () => {
    await child.stdin.close().catch(() => {});
    const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
    await child.status;
    clearTimeout(timer);
    await reading;
  };
  try {
    await ready.promise;
  } catch (error) {
    await stop();
    throw error;
  }
  ready.promise.catch(() => {});
  return { url: `udpout://127.0.0.1:${port}`, port, version: version!, stop };
}
