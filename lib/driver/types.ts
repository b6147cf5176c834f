/**
 * The shapes that cross the boundary between the engine and a driver. `plugins/README.md` is the normative text.
 */
import type { ErrorCode } from "./errors.ts";

/** A checksum that a device offered or an engine computed; `value` is lower-case hex. */
export interface Checksum {
  algorithm: string;
  value: string;
}

/** What is known of a file's content without reading it. Absent fields are unknown, not empty. */
export interface Fingerprint {
  sizeBytes?: number;
  /** Modification time, milliseconds since 1970-01-01 UTC. */
  modifiedMs?: number;
  /** Any opaque identity of the content. */
  etag?: string;
  checksum?: Checksum;
}

/**
 * One name in a listing. `path` is `/`-separated, relative to the device's root, without a leading `/`;
 * the root itself is `""`.
 */
export interface Entry extends Fingerprint {
  path: string;
  kind: "file" | "directory";
  /** Why this name cannot be fetched. Such a file is parked with these words. */
  problem?: string;
}

/** How a receipt was proven, strongest first. */
export type Verified = "checksum" | "size" | "accepted" | "none";

/** A target's word that a file landed. */
export interface Receipt {
  /** The name that the file has on the target, which differs from the asked one after `rename`. */
  path: string;
  sizeBytes: number;
  url?: string;
  checksum?: Checksum;
  verified: Verified;
}

/** What a driver can do. Absent means no; `callsMax` is 1 when absent. */
export interface Capabilities {
  /** Calls that may be under way at once. */
  callsMax?: number;
  /** Listings and small files' calls that may be given beyond `callsMax`: they wait in the driver, and begin when one ends. */
  callsAhead?: number;
  /** `download` accepts `offsetBytes` above zero. */
  resumeDownload?: boolean;
  /** `upload` goes on from what an interrupted one left on the target. */
  resumeUpload?: boolean;
  /** `onExisting: "replace"` never leaves a moment without a whole file. */
  atomicReplace?: boolean;
  /** The same upload twice leaves one file. */
  repeatable?: boolean;
  confirm?: boolean;
  recursiveList?: boolean;
  remove?: boolean;
  /** The driver keeps to `maxBytesPerSecond` and `$/limit`. */
  rateLimit?: boolean;
  /** `upload` may give `spoolFile` itself its final name, when `mayTake` says so. */
  takesSpoolFile?: boolean;
  /** `release` is there: the device can be let go, so that a person may take it away. */
  release?: boolean;
  /** Precision of `modifiedMs` in this device's entries, milliseconds. */
  modifiedPrecisionMs?: number;
  /** Checksum algorithms that entries or receipts of this device may carry. */
  checksums?: string[];
}

/** Which side of a job a device serves. A process serves one of them, or both where the manifest says `exclusive`. */
export type Role = "source" | "target";

/** Severity of a line of the log, least first. */
export type LogLevel = "debug" | "info" | "warning" | "error";

/** What `initialize` is called with. */
export interface InitializeParams {
  protocol: number;
  /** The device's name, for messages only. */
  device: string;
  role: Role;
  args: Record<string, unknown>;
  /** This device's folder of the spool, absolute. */
  spoolDir: string;
  /** Private to this device, survives restarts, at most 64 MiB, never holds secrets. */
  stateDir: string;
  logLevel: LogLevel;
}

/** What a driver says of itself and of its device. */
export interface InitializeResult {
  name: string;
  version: string;
  deviceId?: string;
  capabilities: Capabilities;
}

/** What `list` is called with: a directory, `""` for the root, and whether to walk into those below it. */
export interface ListParams {
  directory: string;
  recursive?: boolean;
}

/** What `download` is called with. */
export interface DownloadParams {
  path: string;
  /** The file to write, made by the host; its first `offsetBytes` bytes are a true prefix. */
  spoolFile: string;
  offsetBytes: number;
  expect: Fingerprint;
  maxBytesPerSecond?: number;
}

/** What was downloaded: the size of the whole file, and its fingerprint at the source. */
export interface DownloadResult {
  sizeBytes: number;
  fingerprint: Fingerprint;
  checksum?: Checksum;
  /**
   * What a person should know of the file itself, which is delivered all the same, since it is whole as the source has
   * it: "ULog ends in the middle of a message". One line.
   */
  note?: string;
}

/** What an upload does when its name is taken by other bytes. */
export type OnExisting = "replace" | "rename" | "fail";

/** What `upload` and `confirm` are called with. */
export interface UploadParams {
  spoolFile: string;
  path: string;
  sizeBytes: number;
  /** SHA-256 of the whole file, lower-case hex. */
  sha256: string;
  modifiedMs?: number;
  onExisting: OnExisting;
  /**
   * `spoolFile` is a second name of the spooled file, made for this call and writable, in the driver's own `spoolDir`:
   * the driver may move it into the target instead of copying it, and set its mode and times. Its bytes stay as they are.
   * Only for drivers with `takesSpoolFile`.
   * @default {false}
   */
  mayTake?: boolean;
  /** What the last `$/progress` or error of this delivery carried as `resume`. */
  resume?: unknown;
  maxBytesPerSecond?: number;
}

/** What `remove` is called with: the file, and what it must still be. */
export interface RemoveParams {
  path: string;
  expect: Fingerprint;
}

/** What became of letting a device go. */
export interface Release {
  /** Whether it can be unplugged now without a loss. */
  safe: boolean;
}

/** One line of `filesync doctor`. */
export interface Finding {
  name: string;
  ok: boolean;
  detail: string;
  remedy?: string;
  /** Of one that is not ok: what the engine would be told, which decides the exit code. @default {"failed"} */
  code?: ErrorCode;
}

/** What a device says of itself between calls; absent fields are unchanged. */
export interface DeviceState {
  available?: boolean;
  held?: boolean;
  reason?: string;
  deviceId?: string;
  callsMax?: number;
}

/** `$/progress`, without the id. */
export interface Progress {
  /** Bytes of the file that are done, those of earlier attempts included. */
  doneBytes: number;
  /** Asks for so much patience before the next sign of life, at most 30 minutes. */
  waitMs?: number;
  resume?: unknown;
}
