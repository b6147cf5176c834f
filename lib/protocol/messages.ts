/**
 * JSON-RPC 2.0 messages and the limits of the wire. A message is one line of JSON in UTF-8.
 */
import { asDriverError, DriverError, ERROR_CODES, type ErrorCode, type ErrorDetails } from "../driver/mod.ts";

/** The version of the protocol that this program speaks. */
export const PROTOCOL_VERSION = 1;
/** Longest line, bytes without the newline. A longer one is dropped and counted. */
export const LINE_BYTES_MAX = 1024 * 1024;
/** Most entries in one `$/entries`. */
export const ENTRIES_MAX = 1000;
/** Longest `resume` state, bytes of JSON. */
export const RESUME_BYTES_MAX = 4096;
/** Shortest time between two `$/progress` of one call, milliseconds: at most 5 a second. */
export const PROGRESS_INTERVAL_MS = 200;
/** Longest patience that `waitMs` can ask for, milliseconds. */
export const WAIT_MS_MAX = 30 * 60 * 1000;

/** Most calls that a device may have under way at once. */
export const CALLS_MAX = 64;
/** Longest name and version that a driver tells of itself, UTF-16 units. */
export const NAME_CHARS_MAX = 100;
/** Longest identity of a device, UTF-16 units; of bytes of UTF-8 it may have no more either. */
export const DEVICE_ID_CHARS_MAX = 255;
/** Longest `etag`, UTF-16 units. */
export const ETAG_CHARS_MAX = 1024;
/** Most findings of one `check`. */
export const FINDINGS_MAX = 200;
/** Longest `note` of a download, UTF-16 units. */
export const NOTE_CHARS_MAX = 500;
/** Latest time that a Date can hold, milliseconds. */
export const TIME_MS_MAX = 8.64e15;

export const METHOD_NOT_FOUND = -32601;
export const INVALID_PARAMS = -32602;
export const INVALID_REQUEST = -32600;
export const DEVICE_ERROR = -32000;

export interface RpcError {
  code: number;
  message: string;
  data?: unknown;
}

/** What an answer repeats of its request. */
export type RpcId = number | string | null;

export interface RpcMessage {
  jsonrpc: "2.0";
  id?: RpcId;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: RpcError;
}

/** A plain object, neither null nor an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The message in `line`, or `undefined` when it is none. */
export function parseMessage(line: string): RpcMessage | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isObject(value) || value["jsonrpc"] !== "2.0") return undefined;
  const { id, method, error } = value;
  if (id !== undefined && id !== null && typeof id !== "number" && typeof id !== "string") return undefined;
  if (method !== undefined) return typeof method === "string" ? value as unknown as RpcMessage : undefined;
  if (id === undefined) return undefined;
  // JSON-RPC 1.0 and some libraries send both, the absent one as null.
  if (error !== undefined && error !== null) {
    if (!isObject(error) || typeof error["message"] !== "string") return undefined;
    return value as unknown as RpcMessage;
  }
  return "result" in value ? { jsonrpc: "2.0", id: id as RpcId, result: value["result"] } : undefined;
}

/** The id of a line that was meant as an answer and is none; `undefined` when it cannot be told. */
export function idOfBadAnswer(line: string): RpcId | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isObject(value) || value["method"] !== undefined) return undefined;
  const { id } = value;
  return typeof id === "number" || typeof id === "string" ? id : undefined;
}

/** Whether `value` fits into `bytesMax` bytes of JSON. One that is nested too deep to be written does not. */
export function fitsJson(value: unknown, bytesMax: number): boolean {
  try {
    const text = JSON.stringify(value);
    return text !== undefined && text.length <= bytesMax && new TextEncoder().encode(text).length <= bytesMax;
  } catch {
    return false;
  }
}

/** The wire form of a driver's error. */
export function toRpcError(error: unknown): RpcError {
  const { code, message, details } = asDriverError(error);
  return { code: DEVICE_ERROR, message, data: { code, ...details } };
}

/** The cause of an `unsupported` that was a `-32601`: the whole method is not there. */
export class MethodMissing extends Error {}

/** A driver's error from its wire form; missing and unknown codes count as `failed`. */
export function fromRpcError(error: RpcError): DriverError {
  if (error.code === METHOD_NOT_FOUND) {
    return new DriverError("unsupported", error.message, { cause: new MethodMissing() });
  }
  const data = isObject(error.data) ? error.data : {};
  const code = ERROR_CODES.includes(data["code"] as ErrorCode) && data["code"] !== "broken"
    ? data["code"] as ErrorCode
    : "failed";
  const details: ErrorDetails = {};
  if (data["scope"] === "file") details.scope = "file";
  if (typeof data["hint"] === "string") details.hint = data["hint"];
  if (typeof data["pointer"] === "string") details.pointer = data["pointer"];
  const retryAfterMs = data["retryAfterMs"];
  if (typeof retryAfterMs === "number" && retryAfterMs >= 0) details.retryAfterMs = retryAfterMs;
  if (data["resume"] !== undefined && fitsJson(data["resume"], RESUME_BYTES_MAX)) details.resume = data["resume"];
  return new DriverError(code, error.message, details);
}
