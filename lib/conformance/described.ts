/**
 * A fixture from a file, for drivers that are tested by people who have no source of ours: where the driver finds its
 * device, as data. The device's files lie in a directory of this machine, reached directly or through a server.
 */
import * as z from "zod";
import type { Role } from "../driver/mod.ts";
import type { Plugin } from "../host/mod.ts";
import { directoryBackdoor } from "./directory_device.ts";
import type { Fixture, TestDevice } from "./fixture.ts";
import { freePort, listensOn } from "./port.ts";

/** The description in a plugin's folder. */
export const TEST_FILE_NAME = "filesync-test.json";
/** For a server that was started to take connections, milliseconds. */
const SERVE_MS = 15_000;
/** Between SIGTERM and SIGKILL of a server, milliseconds. */
const STOP_MS = 2000;

const argsSchema = z.record(z.string(), z.unknown());

const descriptionSchema = z.strictObject({
  $schema: z.string().optional(),
  args: argsSchema,
  serve: z.array(z.string().min(1)).min(1).optional(),
  absentArgs: argsSchema.optional(),
  refused: z.array(z.strictObject({ args: argsSchema, pointer: z.string() })).default([]),
  roles: z.array(z.enum(["source", "target"])).min(1).optional(),
  keepsTime: z.boolean().default(false),
  breaks: z.boolean().default(true),
  reads: z.boolean().default(false),
  names: z.array(z.string().min(1)).optional(),
});

/**
 * How a driver is tested. `{dir}` in `args` and `serve` is the device's directory, `{port}` a free port of 127.0.0.1
 * (`"{port:number}"` as a number); `{folder}` is the plugin's folder.
 */
export type TestDescription = z.infer<typeof descriptionSchema>;

/** Why a description cannot be used. */
export class DescriptionError extends Error {
  override readonly name = "DescriptionError";
}

/**
 * The description in `text`. A file without `args` is taken as the arguments alone.
 * @throws {DescriptionError} If it does not fit
 */
export function parseDescription(text: string): TestDescription {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DescriptionError((error as Error).message);
  }
  const isPlain = typeof value === "object" && value !== null && !("args" in value);
  const checked = descriptionSchema.safeParse(isPlain ? { args: value } : value);
  if (checked.success) return checked.data;
  const words = checked.error.issues.map(({ path, message }) =>
    `${path.length === 0 ? "" : `"${path.join(".")}": `}${message.replace(/^Invalid input: /, "")}`
  );
  throw new DescriptionError(words.join("; "));
}

/** Whether the suite can put files on the device: without `{dir}` there is no way to it but the driver. */
export function hasDirectory({ args, serve }: TestDescription): boolean {
  return JSON.stringify([args, serve ?? []]).includes("{dir}");
}

/** The fixture that a description stands for. Without a directory its devices have no way in but the driver. */
export function describedFixture(plugin: Plugin, description: TestDescription): Fixture {
  const { args, serve, absentArgs, refused, roles, keepsTime, breaks, names } = description;
  const folder = plugin.origin;
  return {
    plugin,
    roles: roles ?? plugin.roles,
    absentArgs: fill(absentArgs ?? args, { dir: "/nowhere/at/all", port: "9", folder }),
    refused,
    keepsTime,
    breaks,
    ...(names === undefined ? {} : { names }),
    device: (_role: Role) => hasDirectory(description) ? openDevice({ args, serve, folder }) : closedDevice(args),
  };
}

/** A device that is not ours to look into. */
function closedDevice(args: Record<string, unknown>): Promise<TestDevice> {
  const refuse = () => Promise.reject(new DescriptionError("The device has no directory"));
  return Promise.resolve({
    args,
    put: refuse,
    read: refuse,
    names: refuse,
    remove: refuse,
    breakIt: refuse,
    restore: refuse,
    close: () => Promise.resolve(),
  });
}

async function openDevice(
  { args, serve, folder }: { args: Record<string, unknown>; serve: string[] | undefined; folder: string },
): Promise<TestDevice> {
  const base = await Deno.makeTempDir({ prefix: "filesync-device-" });
  const dir = `${base}/root`;
  await Deno.mkdir(dir);
  const backdoor = directoryBackdoor(dir);
  if (serve === undefined) {
    const close = () => Deno.remove(base, { recursive: true });
    return { ...backdoor, args: fill(args, { dir, folder }), close };
  }
  const server = await serveOnFreePort((port) => fill(serve, { dir, port: String(port), folder })).catch(
    async (error) => {
      await Deno.remove(base, { recursive: true });
      throw error;
    },
  );
  return {
    ...backdoor,
    args: fill(args, { dir, port: String(server.port), folder }),
    breakIt: () => server.stop(),
    restore: () => server.start(),
    async close() {
      await server.stop();
      await Deno.remove(base, { recursive: true });
    },
  };
}

/** How often another port is tried. */
const PORTS_MAX = 5;

/** Somebody was faster: what answers on the port is not the server that was started. */
class PortTaken extends DescriptionError {}

async function serveOnFreePort(argvOf: (port: number) => string[]): Promise<DeviceServer> {
  for (let left = PORTS_MAX - 1;; left--) {
    const port = freePort();
    const server = new DeviceServer(argvOf(port), port);
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.stop();
      if (!(error instanceof PortTaken) || left === 0) throw error;
    }
  }
}

/** A server that a description names, between the driver and the directory. */
class DeviceServer {
  readonly #argv: string[];
  readonly port: number;
  #child: Deno.ChildProcess | undefined;

  constructor(argv: string[], port: number) {
    this.#argv = argv;
    this.port = port;
  }

  async start(): Promise<void> {
    const [command = "", ...args] = this.#argv;
    const child = this.#child = new Deno.Command(command, { args, stdin: "null", stdout: "null", stderr: "null" })
      .spawn();
    let code: number | undefined;
    child.status.then((status) => code = status.code);
    for (const endMs = performance.now() + SERVE_MS; !await takesConnections(this.port);) {
      if (code !== undefined) {
        throw new DescriptionError(`"serve" ended with exit code ${code}: ${this.#argv.join(" ")}`);
      }
      if (performance.now() > endMs) throw new DescriptionError(`"serve" opens no port ${this.port}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    if (!listensOn(child.pid, this.port)) throw new PortTaken(`Another server listens on port ${this.port}`);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const kill = (signal: "SIGTERM" | "SIGKILL") => {
      try {
        child.kill(signal);
      } catch (error) {
        // It has ended by itself.
        if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
      }
    };
    kill("SIGTERM");
    const timer = setTimeout(() => kill("SIGKILL"), STOP_MS);
    await child.status;
    clearTimeout(timer);
  }
}

async function takesConnections(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}

/** `value` with `{name}` filled in; `"{port:number}"` becomes a number. */
function fill<T>(value: T, values: Record<string, string>): T {
  if (typeof value === "string") {
    if (value === "{port:number}") return Number(values["port"]) as T;
    return value.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole) as T;
  }
  if (Array.isArray(value)) return value.map((item) => fill(item, values)) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, values)])) as T;
}
