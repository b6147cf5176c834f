/** The shapes of the HTTP interface, once: requests are checked by them, and the OpenAPI document is made of them. */
import { z } from "zod";
import type { BrowsePage, LogLine, MovingFile, StatusReport } from "../observe/mod.ts";
import type { RetryRequest } from "./site.ts";
import type { Series } from "./throughput.ts";

const time = z.string().describe("ISO 8601, UTC");
const tally = z.object({ count: z.int(), bytes: z.int() }).describe("How many, and their bytes");

const target = z.object({
  name: z.string(),
  waiting: tally,
  uploading: tally,
  delivered: tally,
  parked: tally,
  uncertain: tally,
}).describe("Deliveries to one target, by state");

const job = z.object({
  name: z.string(),
  found: tally,
  downloading: tally,
  spooled: tally,
  done: tally,
  parked: tally,
  gone: tally,
  targets: z.array(target),
  lastListing: time.exactOptional().describe("When the source was last listed to its end"),
  waitsForWindow: z.string().exactOptional().describe("The time windows that it waits for"),
}).describe("Files of one job, by state");

const device = z.object({
  name: z.string(),
  role: z.enum(["source", "target"]),
  available: z.boolean(),
  held: z.boolean(),
  code: z.string().exactOptional().describe("Why it cannot be used: a code of the plugin contract"),
  reason: z.string().exactOptional(),
  since: time,
});

const parked = z.object({
  job: z.string(),
  path: z.string(),
  target: z.string().exactOptional().describe("Absent when the file could not be fetched from its source"),
  state: z.enum(["parked", "uncertain", "denied"]),
  reason: z.string(),
  hint: z.string().exactOptional(),
  attempts: z.int(),
  since: time,
});

const moving = z.object({
  job: z.string(),
  path: z.string(),
  target: z.string().exactOptional().describe("Absent while it is downloaded"),
  device: z.string().exactOptional(),
  doneBytes: z.int(),
  sizeBytes: z.int().exactOptional(),
  bytesPerSecond: z.int().exactOptional().describe("Absent until there was something to measure"),
  etaMs: z.int().exactOptional(),
  silentMs: z.int().describe("For how long nothing has moved"),
}) satisfies z.ZodType<MovingFile>;

export const statusSchema = z.object({
  schema: z.literal(1),
  time,
  word: z.enum(["ok", "working", "waiting", "attention"]),
  state: z.string().describe("The state store"),
  pid: z.int().exactOptional(),
  jobs: z.array(job),
  devices: z.array(device),
  parked: z.array(parked).describe("At most 100, the newest first"),
  parkedTotal: z.int(),
  noted: z.array(z.object({ job: z.string(), path: z.string(), note: z.string(), since: time }))
    .describe("Files that something is to be said of, at most 20, the newest first"),
  notedTotal: z.int(),
  spool: z.object({
    dir: z.string(),
    usedBytes: z.int(),
    quotaBytes: z.int(),
    pause: z.object({ reason: z.string(), since: time.exactOptional() }).exactOptional()
      .describe("Why files wait at their source: the spool takes none"),
  }),
  resentBytes: z.int(),
  resentUploadBytes: z.int(),
}) satisfies z.ZodType<StatusReport>;

export const pageStatusSchema = statusSchema.extend({
  version: z.string(),
  readOnly: z.boolean(),
  moving: z.array(moving).describe("Files that move now, at most 100"),
}).describe("What filesync status --json tells, and what moves now");

const delivery = z.object({
  target: z.string(),
  state: z.string(),
  path: z.string().exactOptional(),
  url: z.string().exactOptional(),
  reason: z.string().exactOptional(),
  hint: z.string().exactOptional(),
});

export const filesSchema = z.object({
  files: z.array(z.object({
    id: z.int(),
    job: z.string(),
    path: z.string(),
    generation: z.int(),
    state: z.string(),
    sizeBytes: z.int().exactOptional(),
    modified: time.exactOptional(),
    since: time,
    reason: z.string().exactOptional(),
    hint: z.string().exactOptional(),
    deliveries: z.array(delivery),
  })),
  next: z.int().exactOptional().describe("Pass it as before for the next page; absent: there is none"),
}) satisfies z.ZodType<BrowsePage>;

/** The query of `/api/files`. */
export const filesQuerySchema = z.object({
  q: z.string().max(1024).exactOptional().describe("Part of the path"),
  job: z.string().max(1024).exactOptional(),
  state: z.enum(["open", "parked", "delivered", "gone"]).exactOptional(),
  before: z.coerce.number().int().positive().exactOptional().describe("The last answer's next"),
  limit: z.coerce.number().int().min(1).max(500).default(50),
});

/** The query of `/api/why`. */
export const whyQuerySchema = z.object({
  path: z.string().min(1).max(8192),
  job: z.string().max(1024).exactOptional(),
});

/** The body of `/api/retry`. */
export const retrySchema = z.strictObject({
  paths: z.array(z.string().max(8192)).max(1000).exactOptional(),
  job: z.string().exactOptional(),
  target: z.string().exactOptional(),
  parked: z.boolean().exactOptional(),
  uncertain: z.boolean().exactOptional().describe("Sends again what may be there already"),
  all: z.boolean().exactOptional(),
}).refine((request) => Object.values(request).some((value) => value !== undefined && value !== false), {
  message: "Name paths, job, target, parked, uncertain or all",
}) satisfies z.ZodType<RetryRequest>;

/** The body of `/api/login`. */
export const loginSchema = z.strictObject({ token: z.string().max(1024) });

const series = z.object({
  stepMs: z.int(),
  endMs: z.int(),
  spoolBytes: z.array(z.int()),
  devices: z.record(z.string(), z.array(z.number())),
}) satisfies z.ZodType<Series>;

export const historySchema = z.object({ hour: series, day: series });

export const logSchema = z.object({
  lines: z.array(
    z.object({
      time,
      level: z.enum(["debug", "info", "warning", "error"]),
      scope: z.string(),
      message: z.string(),
    }) satisfies z.ZodType<LogLine>,
  ),
});

export const whySchema = z.object({
  schema: z.literal(1),
  sources: z.array(z.looseObject({ schema: z.literal(1), path: z.string(), known: z.boolean() })),
}).describe("What filesync why --json tells: an object for each source that has the path");

export const retriedSchema = z.looseObject({ files: z.int(), deliveries: z.int() })
  .describe("What filesync retry --json tells");

export const errorSchema = z.object({ error: z.object({ message: z.string(), hint: z.string().exactOptional() }) });
