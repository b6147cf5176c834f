/**
 * The configuration as zod knows it: every key with its description, its default and its limits. The types of this
 * file are the file's; `build.ts` makes the `Config` of them.
 */
import * as z from "zod";
import type { JsonSchema } from "./json_schema.ts";
import type { ListenAddress } from "./types.ts";
import { parseDuration, parseRate, parseSize, parseWindow } from "./units.ts";

// A configuration is parsed once: code that zod compiled for it would only take memory for as long as the program runs.
z.config({ jitless: true });

/** Longest interval that the runtime's timers take, milliseconds. */
const INTERVAL_MS_MAX = 24 * 86_400_000;

function parsed<In extends string | number, Out>(
  inner: z.ZodType<In, In>,
  parse: (value: In) => Out,
  expected: string,
) {
  return inner.meta({ expected }).transform((value, context) => {
    try {
      return parse(value);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      context.addIssue({ code: "custom", message: error.message });
      return z.NEVER;
    }
  });
}

const text = () => z.union([z.string(), z.number()]);
const size = () => parsed(text(), parseSize, 'a size such as "200MiB"');
const rate = () => parsed(text(), parseRate, 'a rate such as "500KiB/s"').nullable();
const duration = () => parsed(text(), parseDuration, 'a duration such as "10s"');
const path = () =>
  z.string().min(1).refine((value) => !isHomePath(value), { error: ({ input }) => homePathMessage(String(input)) });
const names = () => z.array(z.string().min(1));
const count = (min: number, max: number) => z.int().min(min).max(max);

const interval = () =>
  parsed(text(), (value) => {
    const ms = parseDuration(value);
    if (ms > INTERVAL_MS_MAX) {
      throw new SyntaxError(`Expected an interval of at most 24d, got ${JSON.stringify(value)}`);
    }
    return ms;
  }, 'a duration such as "10s"');

/** `args` may hold secrets: their values are never shown. */
const args = z.record(z.string(), z.unknown()).prefault({})
  .describe("Arguments of the driver: filesync plugins info DRIVER lists them");
const driver = z.string().min(1).describe("Driver of the device: filesync plugins list shows them");

const DEVICE = '{ "driver": …, "args": … }';
const device = z.strictObject({ driver, args }).meta({ expected: DEVICE });
const target = z.strictObject({
  name: z.string().min(1).optional().describe("Name of the target in this job, part of its identity"),
  driver,
  args,
}).meta({ expected: DEVICE });
const deviceName = () => z.string().min(1).meta({ expected: "the name of a device" });

const rules = z.strictObject({
  include: names().prefault(["*"]).describe('Patterns of the files to take; "*" matches "/" too'),
  exclude: names().prefault([]).describe("Patterns of the files to leave; wins over include"),
  min_size: size().prefault("0B").describe("Smallest size to take"),
  max_size: size().nullable().prefault(null).describe("Largest size to take; null is no limit"),
});

const finder = z.strictObject({
  interval: interval().prefault("10s").describe(
    "Pause between two listings of the source, at least as long as the last one took",
  ),
  settle: duration().prefault("5s").describe(
    "How long a file must be unchanged before it is taken; 0s takes it at once",
  ),
  order: z.enum(["newest", "oldest", "name"]).prefault("newest").describe("Which found file is fetched first"),
  max_first: count(0, Number.MAX_SAFE_INTEGER).nullable().prefault(null)
    .describe("How many files of an unknown source to take, the newest; null takes all"),
});

const limits = z.strictObject({
  download: rate().prefault(null).describe("Most bytes per second from the source; null is no limit"),
  upload: rate().prefault(null).describe("Most bytes per second to each target; null is no limit"),
});

const job = z.strictObject({
  name: z.string().min(1).describe("Name of the job, part of the identity of its files"),
  enable: z.boolean().prefault(true).describe("false keeps the job in the file without running it"),
  source: z.union([deviceName(), device]).describe('Name of a device, or { "driver": …, "args": … }'),
  target: z.union([deviceName(), target]).optional().describe('Name of a device, or { "driver": …, "args": … }'),
  targets: z.array(z.union([deviceName(), target])).min(1).optional()
    .describe('Several targets: names of devices, or { "name": …, "driver": …, "args": … }'),
  path: z.string().min(1).prefault("{path}")
    .describe("Name on the target, from {path} {job} {device} {host} {date}"),
  rules: rules.prefault({}).describe("Which files are taken"),
  finder: finder.prefault({}).describe("How the source is listed"),
  movers: count(1, 64).prefault(4).describe(
    "How many files of this job move at once; up to eight small ones (256 KiB) in the place of each",
  ),
  after: z.enum(["keep", "delete"]).prefault("keep").describe("What becomes of the source's copy after delivery"),
  grace: duration().prefault("0s").describe("How long after delivery the source's copy is deleted"),
  delete_proof: z.enum(["size", "checksum", "accepted"]).prefault("size")
    .describe("How well the delivery must be proven before the source's copy is deleted"),
  on_change: z.enum(["replace", "rename"]).nullable().prefault(null)
    .describe("A newer file under a delivered name; null is the source driver's default"),
  on_conflict: z.enum(["rename", "replace", "park"]).prefault("rename")
    .describe("Other bytes under that name on the target"),
  on_uncertain: z.enum(["hold", "retry"]).prefault("hold")
    .describe("An upload whose answer was lost and cannot be asked for"),
  attempts: count(1, 1000).prefault(5).describe("How often a file is tried before it is parked"),
  limits: limits.prefault({}).describe("Limits of the rate"),
  window: z.array(parsed(z.string(), parseWindow, 'a window of local time such as "22:00-06:00"')).prefault([])
    .describe("When files may move, local time; empty is always"),
});

const MEMORY_MIN = 16 * 2 ** 20;
/** As the manifest or the program's defaults say where a key is absent. */
const pluginLimits = z.strictObject({
  memory: size().refine((bytes) => bytes >= MEMORY_MIN, "Expected at least 16MiB: no interpreter starts with less")
    .optional().describe("Most memory of the driver with all that it starts, such as 512MiB"),
  open_files: count(32, 1_048_576).optional().describe("Most files, sockets and pipes that are open at once"),
  nice: count(0, 19).optional().describe("How much it yields when the processor is busy"),
});
const wrapper = z.union([z.literal("bubblewrap"), z.array(z.string().min(1)).min(1)])
  .meta({ expected: '"bubblewrap", or a command as a list of its words' });

/** The whole file. */
export const configSchema = z.strictObject({
  $schema: z.string().optional().describe("JSON Schema of this file, for editors"),
  state: path().optional()
    .describe(
      "The state store; by default beside this file, else in $STATE_DIRECTORY, else in $XDG_STATE_HOME/filesync",
    ),
  spool: z.strictObject({
    dir: path().optional().describe("Where files wait between source and target; by default <state>.spool"),
    quota: size().prefault("2GiB").describe("Most bytes in the spool"),
    min_free: size().prefault("200MiB").describe("Bytes of the disk that are left free"),
    refetch: z.boolean().prefault(true)
      .describe("Whether a file that only absent targets need may be dropped from a full spool and fetched again"),
  }).prefault({}).describe("The local copy of what is on its way"),
  log: z.strictObject({
    level: z.enum(["debug", "info", "warning", "error"]).prefault("info").describe(
      "Least severity that is logged; `debug` also names each of many files with one trouble",
    ),
    file: path().nullable().prefault(null).describe("Log file; null logs to stderr only"),
    console: z.boolean().prefault(true).describe("Whether the log goes to stderr"),
    max_size: size().prefault("10MiB").describe("Size at which the log file is rotated"),
    keep: count(0, 1000).prefault(5).describe("How many rotated log files are kept"),
    max_age: duration().nullable().prefault(null).describe(
      "Rotated log files that were not written to for so long are removed, such as 30d; null: none for its age",
    ),
  }).prefault({}).describe("The log"),
  plugins: z.strictObject({
    dirs: z.array(path()).prefault([]).describe("Directories that hold plugins, searched after the built-in ones"),
    limits: z.record(z.string(), pluginLimits).prefault({})
      .describe(
        'What a driver\'s processes may take, by the driver\'s name: { "memory": …, "open_files": …, "nice": … }',
      ),
    wrappers: z.record(z.string(), wrapper).prefault({})
      .describe('What is put around a plugin, by its name: "bubblewrap", or a command that its own is appended to'),
  }).prefault({}).describe("Where drivers are found"),
  http: z.strictObject({
    listen: parsed(z.string(), parseListen, 'an address such as "127.0.0.1:8384"').nullable().prefault(null)
      .describe('Address of the status page, such as "127.0.0.1:8384" or "unix:/run/filesync/page.sock"; null is none'),
    read_only: z.boolean().prefault(false).describe("Whether nobody can change anything on the page"),
    hosts: z.array(z.string()).prefault([])
      .describe("Further names of this machine that browsers may ask for, such as the name that a proxy has"),
    proxy: z.strictObject({
      header: z.string().regex(/^[\w-]+$/).describe('Header that names who was let in, such as "X-Forwarded-User"'),
      from: z.array(z.string()).prefault(["127.0.0.1", "::1"]).describe("Addresses of the proxy"),
    }).nullable().prefault(null).describe("A proxy that lets people in itself; without its header the token is needed"),
  }).prefault({}).describe("The status page"),
  hooks: z.strictObject({
    delivered: hook().describe("A file has arrived on a target"),
    parked: hook().describe("A file or a delivery needs a person: it is parked, or nobody knows whether it arrived"),
    held: hook().describe("A device cannot be used any more, or can again"),
    safe_to_unplug: hook().describe("A drive may be pulled"),
    idle: hook().describe("Nothing is left to do"),
  }).prefault({}).describe("What is done on events: a program is run, without a shell, or an address is told"),
  devices: z.record(z.string(), device).prefault({}).describe("Devices by name, for use in several jobs"),
  jobs: z.array(job).describe("What is moved from where to where"),
});

/** The file with its defaults filled in and its units parsed. */
export type ConfigFile = z.output<typeof configSchema>;
export type JobFile = ConfigFile["jobs"][number];

let fileSchema: JsonSchema | undefined;

/** The JSON Schema of what may be written, with our keyword `expected`; made when a message needs it, to save memory. */
export function fileJsonSchema(): JsonSchema {
  fileSchema ??= z.toJSONSchema(configSchema, { io: "input" }) as JsonSchema;
  return fileSchema;
}

/** A program as a list of its words, an address, or either with more to say. */
function hook() {
  const command = z.array(z.string()).refine((words) => (words[0] ?? "") !== "", { error: "Expected a program" });
  const url = z.url({ protocol: /^https?$/, error: 'Expected an address such as "https://example.org/hook"' });
  const timeout = interval().prefault("30s").describe("Longest time that it may take");
  const headers = z.record(z.string(), z.unknown()).prefault({}).describe(
    "Headers of the request; values may be secrets",
  );
  return z.union([
    command,
    url,
    z.strictObject({ command, timeout }),
    z.strictObject({ url, headers, timeout }),
  ]).meta({ expected: 'a command as a list of its words, such as ["gpioset", "gpiochip0", "17=1"], or an address' })
    .optional();
}

function parseListen(value: string): ListenAddress {
  const path = /^unix:(.+)$/.exec(value.trim())?.[1];
  if (path !== undefined) return { path };
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/[\]]*)):(\d{1,5})$/.exec(value.trim());
  const port = Number(match?.[3] ?? 0);
  if (match === null || port > 65535) {
    throw new SyntaxError(`Expected an address such as "127.0.0.1:8384", got ${JSON.stringify(value)}`);
  }
  // ":8384" is every address of the machine, as elsewhere.
  return { hostname: match[1] ?? (match[2] === "" ? "0.0.0.0" : match[2]!), port };
}

/** Whether a path starts with `~`, which only a shell expands. */
export function isHomePath(path: string): boolean {
  return path === "~" || path.startsWith("~/");
}

export function homePathMessage(path: string): string {
  return `Expected a whole path, got ${JSON.stringify(path)}: only a shell knows "~"`;
}
