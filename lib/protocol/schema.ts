/**
 * Every message of the protocol as a schema: what `plugins/protocol.schema.json` is made from, and what the conformance
 * suite holds each message of a driver against. The host itself reads answers by hand (`lib/host/check_answers.ts`),
 * since entries come by the million and it forgives what it can do without; nothing that fits here is refused or
 * changed there. Plugins never load this file: zod would cost each of them 8 MB.
 */
import * as z from "zod";
import {
  type Capabilities,
  type Checksum,
  type DeviceState,
  type DownloadParams,
  type DownloadResult,
  type Entry,
  ERROR_CODES,
  type ErrorCode,
  type Finding,
  type Fingerprint,
  type InitializeParams,
  type InitializeResult,
  type ListParams,
  PATH_BYTES_MAX,
  type Progress,
  type Receipt,
  type Release,
  type RemoveParams,
  type UploadParams,
} from "../driver/mod.ts";
import {
  CALLS_MAX,
  DEVICE_ERROR,
  DEVICE_ID_CHARS_MAX,
  ENTRIES_MAX,
  ETAG_CHARS_MAX,
  FINDINGS_MAX,
  fitsJson,
  isObject,
  NAME_CHARS_MAX,
  NOTE_CHARS_MAX,
  PROTOCOL_VERSION,
  RESUME_BYTES_MAX,
  type RpcMessage,
  TIME_MS_MAX,
  WAIT_MS_MAX,
} from "./messages.ts";

// Messages are looked at in tests of drivers only: code that zod compiled for them would just take memory.
z.config({ jitless: true });

const PART = "(?!\\.{1,2}(?:/|$))[^/]+";
/** Names joined by `/`, none of them empty, `.` or `..`. */
const BELOW = new RegExp(`^${PART}(?:/${PART})*$`);
const SAFE_PART = "(?!\\.{1,2}(?:/|$))[^/\\u0000-\\u001f\\u007f]+";
const SAFE = new RegExp(`^${SAFE_PART}(?:/${SAFE_PART})*$`);
const SAFE_OR_ROOT = new RegExp(`^(?:${SAFE_PART}(?:/${SAFE_PART})*)?$`);

const sizeBytes = () => z.int().min(0);
const timeMs = () => z.int().min(-TIME_MS_MAX).max(TIME_MS_MAX);
const rate = () => z.number().positive().describe("Most bytes a second; absent: no limit");
const path = () => z.string().max(PATH_BYTES_MAX).regex(SAFE_OR_ROOT).describe('Below the root, which is ""');
const filePath = () => z.string().max(PATH_BYTES_MAX).regex(SAFE);
const absolute = () => z.string().regex(/^\//);
const resume = () => z.unknown().describe(`Opaque, at most ${RESUME_BYTES_MAX} bytes of JSON`);
const id = z.union([z.int(), z.string()]).meta({ id: "Id", description: "What an answer repeats of its request" });

const checksum = z.object({
  algorithm: z.string().regex(/^[a-z0-9_-]{1,32}$/),
  value: z.string().regex(/^[0-9a-f]{1,256}$/).describe("Lower-case hex"),
}).meta({ id: "Checksum" });

const fingerprintFields = {
  sizeBytes: sizeBytes().exactOptional(),
  modifiedMs: timeMs().exactOptional().describe("Milliseconds since 1970-01-01 UTC"),
  etag: z.string().max(ETAG_CHARS_MAX).exactOptional().describe("Any opaque identity of the content"),
  checksum: checksum.exactOptional(),
};
const fingerprint = z.object(fingerprintFields).meta({
  id: "Fingerprint",
  description: "What is known of a file's content without reading it",
});

const entry = z.object({
  path: z.string().min(1).regex(BELOW).describe("Relative to the device's root"),
  kind: z.enum(["file", "directory"]),
  ...fingerprintFields,
  problem: z.string().min(1).exactOptional().describe(
    "Why this name cannot be fetched: the file is parked with these words",
  ),
}).meta({ id: "Entry" });
const rootEntry = entry.extend({ path: z.string().regex(new RegExp(`^$|${BELOW.source}`)) }).meta({
  id: "StatResult",
  description: "An entry; that of the root has an empty path",
});

const receipt = z.object({
  path: filePath().describe("The name that the file has now"),
  sizeBytes: sizeBytes(),
  url: z.string().exactOptional(),
  checksum: checksum.exactOptional(),
  verified: z.enum(["checksum", "size", "accepted", "none"]),
}).meta({ id: "Receipt" });

// deno-lint-ignore no-control-regex
const DEVICE_ID = /^(?!\.{1,2}$)[^\u0000-\u001f\u007f]+$/;
const deviceId = () => z.string().max(DEVICE_ID_CHARS_MAX).regex(DEVICE_ID);
const callsMax = () => z.int().min(1).max(CALLS_MAX);
const capabilities = z.object({
  callsMax: callsMax().exactOptional().describe("Calls that may be under way at once; absent: 1"),
  callsAhead: z.int().min(0).max(CALLS_MAX).exactOptional()
    .describe("Calls of small files that may be given beyond callsMax, and wait in the driver; absent: 0"),
  resumeDownload: z.boolean().exactOptional(),
  resumeUpload: z.boolean().exactOptional(),
  atomicReplace: z.boolean().exactOptional(),
  repeatable: z.boolean().exactOptional(),
  confirm: z.boolean().exactOptional(),
  recursiveList: z.boolean().exactOptional(),
  remove: z.boolean().exactOptional(),
  rateLimit: z.boolean().exactOptional(),
  takesSpoolFile: z.boolean().exactOptional(),
  release: z.boolean().exactOptional(),
  modifiedPrecisionMs: z.int().min(1).max(TIME_MS_MAX).exactOptional(),
  checksums: z.array(z.string()).max(32).exactOptional(),
}).meta({ id: "Capabilities", description: "Absent means no" });

const errorCode = z.enum(ERROR_CODES.filter((code) => code !== "broken") as [ErrorCode, ...ErrorCode[]]);
const deviceError = z.object({
  code: z.literal(DEVICE_ERROR),
  message: z.string(),
  data: z.object({
    code: errorCode,
    scope: z.literal("file").exactOptional(),
    hint: z.string().exactOptional(),
    pointer: z.string().exactOptional(),
    retryAfterMs: z.number().min(0).exactOptional(),
    resume: resume().exactOptional(),
  }),
}).meta({ id: "DeviceError", description: "A failure of the device; data.code alone decides what the engine does" });
const rpcError = z.object({
  code: z.int().refine((code) => code !== DEVICE_ERROR),
  message: z.string(),
}).meta({
  id: "RpcError",
  not: { properties: { code: { const: DEVICE_ERROR } } },
  description: "-32601 for a method that is not there, -32602 for wrong parameters",
});

const initializeParams = z.object({
  protocol: z.literal(PROTOCOL_VERSION),
  device: z.string().describe("For messages only"),
  role: z.enum(["source", "target"]),
  args: z.record(z.string(), z.unknown()),
  spoolDir: absolute(),
  stateDir: absolute(),
  logLevel: z.enum(["debug", "info", "warning", "error"]),
});
const initializeResult = z.object({
  name: z.string().max(NAME_CHARS_MAX),
  version: z.string().max(NAME_CHARS_MAX),
  deviceId: deviceId().exactOptional(),
  capabilities,
});

const downloadParams = z.object({
  path: filePath(),
  spoolFile: absolute(),
  offsetBytes: sizeBytes(),
  expect: fingerprint,
  maxBytesPerSecond: rate().exactOptional(),
});
const downloadResult = z.object({
  sizeBytes: sizeBytes(),
  fingerprint,
  checksum: checksum.exactOptional(),
  note: z.string().min(1).max(NOTE_CHARS_MAX).exactOptional().describe("What a person should know of the file"),
});

const uploadParams = z.object({
  spoolFile: absolute(),
  path: filePath(),
  sizeBytes: sizeBytes(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  modifiedMs: timeMs().exactOptional(),
  onExisting: z.enum(["replace", "rename", "fail"]),
  mayTake: z.boolean().exactOptional(),
  resume: resume().exactOptional(),
  maxBytesPerSecond: rate().exactOptional(),
}).meta({ id: "UploadParams" });

const finding = z.object({
  name: z.string(),
  ok: z.boolean(),
  detail: z.string(),
  remedy: z.string().exactOptional(),
  code: errorCode.exactOptional(),
}).meta({ id: "Finding" });

const nothing = z.object({}).meta({ id: "Nothing" });
const listParams = z.object({ directory: path(), recursive: z.boolean().exactOptional() });
const removeParams = z.object({ path: filePath(), expect: fingerprint });
const release = z.object({ safe: z.boolean() });

/** What the host asks, and what a result is. */
const METHODS = {
  initialize: { params: initializeParams, result: initializeResult },
  list: { params: listParams, result: z.object({ complete: z.literal(true) }) },
  stat: { params: z.object({ path: path() }), result: rootEntry },
  download: { params: downloadParams, result: downloadResult },
  upload: { params: uploadParams, result: receipt },
  confirm: { params: uploadParams, result: z.object({ receipt: receipt.nullable() }) },
  remove: { params: removeParams, result: nothing },
  check: { params: nothing, result: z.array(finding).max(FINDINGS_MAX) },
  release: { params: nothing, result: release },
  shutdown: { params: nothing, result: nothing },
} as const;

const HOST_NOTIFICATIONS = {
  "$/cancel": z.object({ id }),
  "$/limit": z.object({ id, maxBytesPerSecond: z.number().min(0).nullable().exactOptional() }),
} as const;

const progress = z.object({
  doneBytes: sizeBytes(),
  waitMs: z.number().min(0).max(WAIT_MS_MAX).exactOptional(),
  resume: resume().exactOptional(),
});
const deviceState = z.object({
  available: z.boolean().exactOptional(),
  held: z.boolean().exactOptional(),
  reason: z.string().exactOptional(),
  deviceId: deviceId().exactOptional(),
  callsMax: callsMax().exactOptional(),
});
const PLUGIN_NOTIFICATIONS = {
  "$/entries": z.object({ id, entries: z.array(entry).max(ENTRIES_MAX) }),
  "$/progress": progress.extend({ id }),
  "$/state": deviceState,
  "$/log": z.object({ level: z.enum(["debug", "info", "warning", "error"]), message: z.string() }),
} as const;

/** Holds a schema to the type that the code works with, down to each optional field. */
type Same<A, B> = [Required<A>, Required<B>] extends [Required<B>, Required<A>] ? true : never;
type Of<Schema extends z.ZodType> = z.infer<Schema>;
({
  checksum: true satisfies Same<Of<typeof checksum>, Checksum>,
  fingerprint: true satisfies Same<Of<typeof fingerprint>, Fingerprint>,
  entry: true satisfies Same<Of<typeof entry>, Entry>,
  receipt: true satisfies Same<Of<typeof receipt>, Receipt>,
  capabilities: true satisfies Same<Of<typeof capabilities>, Capabilities>,
  finding: true satisfies Same<Of<typeof finding>, Finding>,
  initializeParams: true satisfies Same<
    Omit<Of<typeof initializeParams>, "protocol">,
    Omit<InitializeParams, "protocol">
  >,
  initializeResult: true satisfies Same<Of<typeof initializeResult>, InitializeResult>,
  listParams: true satisfies Same<Of<typeof listParams>, ListParams>,
  downloadParams: true satisfies Same<Of<typeof downloadParams>, DownloadParams>,
  downloadResult: true satisfies Same<Of<typeof downloadResult>, DownloadResult>,
  uploadParams: true satisfies Same<Of<typeof uploadParams>, UploadParams>,
  removeParams: true satisfies Same<Of<typeof removeParams>, RemoveParams>,
  release: true satisfies Same<Of<typeof release>, Release>,
  progress: true satisfies Same<Of<typeof progress>, Progress>,
  deviceState: true satisfies Same<Of<typeof deviceState>, DeviceState>,
});

const jsonrpc = z.literal("2.0");

function inWords(method: string): string {
  return method.replace(/^\$\//, "").replace(/^./, (letter) => letter.toUpperCase());
}

/** The schema under a name of its own, unless it has one. */
function called(name: string, schema: z.ZodType): z.ZodType {
  return schema.meta()?.id === undefined ? schema.meta({ id: name }) : schema;
}

function requestOf(method: string, params: z.ZodType): z.ZodType {
  const name = inWords(method);
  return z.object({ jsonrpc, id, method: z.literal(method), params: called(`${name}Params`, params) })
    .meta({ id: `${name}Request` });
}

function notificationOf(method: string, params: z.ZodType): z.ZodType {
  return z.object({ jsonrpc, method: z.literal(method), params }).meta({ id: `${inWords(method)}Notification` });
}

function answerOf(method: string, result: z.ZodType): z.ZodType {
  const name = inWords(method);
  return z.object({ jsonrpc, id, result: called(`${name}Result`, result) }).meta({ id: `${name}Answer` });
}

const failure = z.object({ jsonrpc, id, error: z.union([deviceError, rpcError]) }).meta({ id: "Failure" });

/**
 * The JSON Schema (draft 2020-12) of every message, each under its name in `$defs`: `ListRequest`, `ListAnswer`,
 * `EntriesNotification`, … What it does not know is no error: both sides ignore fields and notifications of a later
 * minor version.
 */
export function protocolJsonSchema(): Record<string, unknown> {
  const methods = Object.entries(METHODS);
  const fromHost = z.union([
    ...methods.map(([method, { params }]) => requestOf(method, params)),
    ...Object.entries(HOST_NOTIFICATIONS).map(([method, params]) => notificationOf(method, params)),
  ]).meta({ id: "HostMessage", description: "What a plugin reads from its stdin" });
  const fromPlugin = z.union([
    ...methods.map(([method, { result }]) => answerOf(method, result)),
    failure,
    ...Object.entries(PLUGIN_NOTIFICATIONS).map(([method, params]) => notificationOf(method, params)),
  ]).meta({ id: "PluginMessage", description: "What a plugin writes to its stdout, one a line" });
  return z.toJSONSchema(
    z.union([fromHost, fromPlugin]).meta({
      title: `FileSync driver protocol, version ${PROTOCOL_VERSION}`,
      description: "One message is one line of JSON. plugins/README.md is the normative text.",
    }),
    { io: "input" },
  );
}

/** Requests of the host that were not answered yet, as {@linkcode messageProblem} needs them. */
export type AskedMethods = Map<unknown, string>;

/**
 * What is wrong with a message of a plugin by the schema; `undefined` when it fits, or when nothing is known of its
 * kind, which is no error.
 * @param asked methods by the ids of their requests: an answer does not say what it answers
 */
export function messageProblem(message: RpcMessage, asked: AskedMethods): string | undefined {
  const { method, id: messageId } = message;
  if (method !== undefined) {
    const schema = messageId === undefined ? (PLUGIN_NOTIFICATIONS as Record<string, z.ZodType>)[method] : undefined;
    const params = isObject(message.params) ? message.params : {};
    return schema === undefined ? undefined : problemOf(schema, params, `"${method}"`) ?? resumeProblem(params, method);
  }
  const asks = asked.get(messageId);
  if (asks === undefined) return undefined;
  if (message.error !== undefined) {
    const data = isObject(message.error.data) ? message.error.data : {};
    return problemOf(failure.shape.error, message.error, `the error of "${asks}"`) ?? resumeProblem(data, asks);
  }
  const known = (METHODS as Record<string, { result: z.ZodType }>)[asks];
  return known === undefined ? undefined : problemOf(known.result, message.result, `the result of "${asks}"`);
}

/** The same for what the host sends. */
export function hostMessageProblem({ method, params }: RpcMessage): string | undefined {
  if (method === undefined) return undefined;
  const schema = (METHODS as Record<string, { params: z.ZodType }>)[method]?.params ??
    (HOST_NOTIFICATIONS as Record<string, z.ZodType>)[method];
  return schema === undefined ? undefined : problemOf(schema, params, `"${method}"`);
}

function problemOf(schema: z.ZodType, value: unknown, what: string): string | undefined {
  const checked = schema.safeParse(value);
  if (checked.success) return undefined;
  const words = checked.error.issues.slice(0, 3).map(({ path, message }) =>
    `${path.length === 0 ? "" : `"${path.join(".")}": `}${message.replace(/^Invalid input: /, "")}`
  );
  return `${what} does not fit the schema: ${words.join("; ")}`;
}

/** The one limit that JSON Schema has no word for. */
function resumeProblem({ resume }: Record<string, unknown>, method: string): string | undefined {
  if (resume === undefined || fitsJson(resume, RESUME_BYTES_MAX)) return undefined;
  return `"resume" of "${method}" is over ${RESUME_BYTES_MAX} bytes of JSON`;
}
