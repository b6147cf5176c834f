/**
 * What plugins answer, checked against the contract and cut down to it. Written by hand: entries come by the million.
 */
import {
  type Capabilities,
  type Checksum,
  type DeviceState,
  type DownloadResult,
  type Entry,
  ERROR_CODES,
  type ErrorCode,
  type Finding,
  type Fingerprint,
  type InitializeResult,
  pathProblem,
  type Progress,
  type Receipt,
} from "../driver/mod.ts";
import {
  CALLS_MAX,
  DEVICE_ID_CHARS_MAX,
  ETAG_CHARS_MAX,
  FINDINGS_MAX,
  fitsJson,
  isObject,
  NAME_CHARS_MAX,
  NOTE_CHARS_MAX,
  RESUME_BYTES_MAX,
  TIME_MS_MAX,
  WAIT_MS_MAX,
} from "../protocol/messages.ts";
import type { Words } from "./words.ts";

/** An answer that breaks the contract; the message goes on "Plugin ...". */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
}

const URL_CHARS_MAX = 4096;
/** Empty names, `.` and `..`: a path with one of them is not below the directory that was asked for. */
const ESCAPING_PART = /(?:^|\/)\.{0,2}(?:\/|$)/;

/** A batch of a listing, sorted out. */
export interface CheckedEntries {
  entries: Entry[];
  /** Those outside the asked directory or without a usable path and kind. */
  ignored: number;
}

/** Keeps what lies below `directory`; a name there that cannot be represented is kept with its `problem`. */
export function checkEntries(raw: unknown, directory: string, recursive: boolean, words: Words): CheckedEntries {
  if (!Array.isArray(raw)) throw new AnswerError('sent "$/entries" without a list of entries');
  const prefix = directory === "" ? "" : `${directory}/`;
  const entries: Entry[] = [];
  for (const value of raw) {
    if (!isObject(value)) continue;
    const { path, kind } = value;
    if (typeof path !== "string" || (kind !== "file" && kind !== "directory")) continue;
    if (!isBelow(path, prefix, recursive)) continue;
    entries.push(toEntry(value, path, kind, words));
  }
  return { entries, ignored: raw.length - entries.length };
}

function isBelow(path: string, prefix: string, recursive: boolean): boolean {
  if (path.length <= prefix.length || !path.startsWith(prefix)) return false;
  if (!recursive && path.indexOf("/", prefix.length) >= 0) return false;
  return !ESCAPING_PART.test(prefix === "" ? path : path.slice(prefix.length));
}

function toEntry(value: Record<string, unknown>, path: string, kind: Entry["kind"], words: Words): Entry {
  const entry: Entry = { path, kind };
  const badSize = readFingerprint(value, entry);
  let problem = pathProblem(path);
  if (problem === undefined && typeof value["problem"] === "string") problem = words(value["problem"]) || "unknown";
  if (problem === undefined && badSize !== undefined) problem = badSize;
  if (problem !== undefined) {
    entry.problem = problem;
    entry.path = path.toWellFormed();
  }
  return entry;
}

/** Copies the known fields that are usable; returns what is wrong with the size, the one field that must not be. */
function readFingerprint(value: Record<string, unknown>, into: Fingerprint): string | undefined {
  const { sizeBytes, modifiedMs, etag, checksum } = value;
  if (typeof modifiedMs === "number" && Math.abs(modifiedMs) <= TIME_MS_MAX) into.modifiedMs = Math.round(modifiedMs);
  if (typeof etag === "string" && etag.length <= ETAG_CHARS_MAX) into.etag = etag;
  const checked = toChecksum(checksum);
  if (checked !== undefined) into.checksum = checked;
  if (sizeBytes === undefined || sizeBytes === null) return undefined;
  if (!isSize(sizeBytes)) return `device reports size ${JSON.stringify(sizeBytes)?.slice(0, 40)}`;
  into.sizeBytes = sizeBytes;
  return undefined;
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function toChecksum(value: unknown): Checksum | undefined {
  if (!isObject(value)) return undefined;
  const { algorithm, value: hex } = value;
  if (typeof algorithm !== "string" || !/^[A-Za-z0-9_-]{1,32}$/.test(algorithm)) return undefined;
  if (typeof hex !== "string" || !/^[0-9A-Fa-f]{1,256}$/.test(hex)) return undefined;
  return { algorithm: algorithm.toLowerCase(), value: hex.toLowerCase() };
}

/** The answer to `stat` of `path`. */
export function checkEntry(value: unknown, path: string, words: Words): Entry {
  if (!isObject(value)) throw new AnswerError("answered without an entry");
  if (value["path"] !== path) throw new AnswerError("answered with another path");
  const { kind } = value;
  if (kind !== "file" && kind !== "directory") throw new AnswerError('answered without a valid "kind"');
  return toEntry(value, path, kind, words);
}

export function checkDownloadResult(value: unknown, words: Words): DownloadResult {
  if (!isObject(value)) throw new AnswerError("answered without a result");
  if (!isSize(value["sizeBytes"])) throw new AnswerError('answered without a valid "sizeBytes"');
  if (!isObject(value["fingerprint"])) throw new AnswerError('answered without a "fingerprint"');
  const fingerprint: Fingerprint = {};
  if (readFingerprint(value["fingerprint"], fingerprint) !== undefined) {
    throw new AnswerError('answered with an invalid "sizeBytes" of the fingerprint');
  }
  const result: DownloadResult = { sizeBytes: value["sizeBytes"], fingerprint };
  const checksum = toChecksum(value["checksum"]);
  if (checksum !== undefined) result.checksum = checksum;
  const note = typeof value["note"] === "string" ? words(value["note"], NOTE_CHARS_MAX) : "";
  if (note !== "") result.note = note;
  return result;
}

export function checkReceipt(value: unknown, words: Words): Receipt {
  if (!isObject(value)) throw new AnswerError("answered without a receipt");
  const { path, sizeBytes, verified, url } = value;
  if (typeof path !== "string" || path === "" || pathProblem(path) !== undefined) {
    throw new AnswerError('answered with a receipt without a valid "path"');
  }
  if (!isSize(sizeBytes)) throw new AnswerError('answered with a receipt without a valid "sizeBytes"');
  if (verified !== "checksum" && verified !== "size" && verified !== "accepted" && verified !== "none") {
    throw new AnswerError('answered with a receipt without a valid "verified"');
  }
  const receipt: Receipt = { path, sizeBytes, verified };
  if (typeof url === "string") receipt.url = words(url, URL_CHARS_MAX);
  const checksum = toChecksum(value["checksum"]);
  if (checksum !== undefined) receipt.checksum = checksum;
  return receipt;
}

/** The answer to `confirm`. */
export function checkConfirmation(value: unknown, words: Words): Receipt | null {
  if (!isObject(value) || value["receipt"] === undefined) throw new AnswerError('answered without "receipt"');
  return value["receipt"] === null ? null : checkReceipt(value["receipt"], words);
}

export function checkFindings(value: unknown, words: Words): Finding[] {
  if (!Array.isArray(value)) throw new AnswerError("answered without a list of findings");
  return value.slice(0, FINDINGS_MAX).map((item) => {
    if (!isObject(item) || typeof item["name"] !== "string" || typeof item["ok"] !== "boolean") {
      throw new AnswerError('answered with a finding without "name" and "ok"');
    }
    const finding: Finding = { name: words(item["name"]), ok: item["ok"], detail: words(String(item["detail"] ?? "")) };
    if (typeof item["remedy"] === "string") finding.remedy = words(item["remedy"]);
    if (ERROR_CODES.includes(item["code"] as ErrorCode)) finding.code = item["code"] as ErrorCode;
    return finding;
  });
}

export function checkInitializeResult(value: unknown, words: Words): InitializeResult {
  if (!isObject(value)) throw new AnswerError("answered without a result");
  const { name, version, deviceId } = value;
  const result: InitializeResult = {
    name: typeof name === "string" ? words(name, NAME_CHARS_MAX) : "",
    version: typeof version === "string" ? words(version, NAME_CHARS_MAX) : "",
    capabilities: toCapabilities(value["capabilities"]),
  };
  if (isDeviceId(deviceId)) result.deviceId = deviceId;
  return result;
}

function toCapabilities(value: unknown): Capabilities {
  const given = isObject(value) ? value : {};
  const capabilities: Capabilities = { callsMax: clampCalls(given["callsMax"], 1) ?? 1 };
  for (const flag of FLAGS) if (given[flag] === true) capabilities[flag] = true;
  const ahead = clampCalls(given["callsAhead"], 0);
  if (ahead !== undefined) capabilities.callsAhead = ahead;
  const precision = given["modifiedPrecisionMs"];
  if (typeof precision === "number" && precision > 0 && precision <= TIME_MS_MAX) {
    capabilities.modifiedPrecisionMs = Math.ceil(precision);
  }
  if (Array.isArray(given["checksums"])) {
    capabilities.checksums = given["checksums"].filter((item) => typeof item === "string").slice(0, 32);
  }
  return capabilities;
}

const FLAGS = [
  "resumeDownload",
  "resumeUpload",
  "atomicReplace",
  "repeatable",
  "confirm",
  "recursiveList",
  "remove",
  "rateLimit",
  "takesSpoolFile",
  "release",
] as const;

/** How many calls, between `least` and 64; `undefined` when it is no number. */
function clampCalls(value: unknown, least: number): number | undefined {
  if (typeof value !== "number" || Number.isNaN(value)) return undefined;
  return Math.min(CALLS_MAX, Math.max(least, Math.floor(value)));
}

function isDeviceId(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= DEVICE_ID_CHARS_MAX &&
    pathProblem(value.replaceAll("/", "_")) === undefined;
}

/** `$/state`; fields of a wrong type are left out. */
export function checkState(value: Record<string, unknown>, words: Words): DeviceState {
  const { available, held, reason, deviceId } = value;
  const state: DeviceState = {};
  if (typeof available === "boolean") state.available = available;
  if (typeof held === "boolean") state.held = held;
  if (typeof reason === "string") state.reason = words(reason);
  if (isDeviceId(deviceId)) state.deviceId = deviceId;
  const callsMax = clampCalls(value["callsMax"], 1);
  if (callsMax !== undefined) state.callsMax = callsMax;
  return state;
}

/** `$/progress`, or `undefined` when it tells nothing usable. */
export function checkProgress(value: Record<string, unknown>): Progress | undefined {
  const { doneBytes, resume } = value;
  if (!isSize(doneBytes)) return undefined;
  const progress: Progress = { doneBytes };
  const waitMs = waitMsOf(value);
  if (waitMs > 0) progress.waitMs = waitMs;
  if (resume !== undefined && fitsJson(resume, RESUME_BYTES_MAX)) progress.resume = resume;
  return progress;
}

/** The patience that a `$/progress` asks for, milliseconds, at most 30 minutes. */
export function waitMsOf(value: Record<string, unknown>): number {
  const waitMs = value["waitMs"];
  return typeof waitMs === "number" && waitMs > 0 ? Math.min(waitMs, WAIT_MS_MAX) : 0;
}
