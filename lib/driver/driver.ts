/**
 * The interface that a driver author implements. `serve()` of `lib/protocol/serve.ts` puts it behind JSON-RPC.
 *
 * A driver contains no retry and no back-off: it does one call, and says with an error's code what happened.
 */
import type {
  DeviceState,
  DownloadParams,
  DownloadResult,
  Entry,
  Finding,
  InitializeParams,
  InitializeResult,
  ListParams,
  LogLevel,
  Receipt,
  Release,
  RemoveParams,
  UploadParams,
} from "./types.ts";

/** What a driver is handed with each call. */
export interface Call {
  /** Aborted by `$/cancel`: stop within 2 s, leave what was done so that it can be resumed. */
  readonly signal: AbortSignal;
  /**
   * Tells how far the call is. May be called as often as one likes: at most five a second are sent.
   * @param doneBytes bytes of the file that are done, those before `offsetBytes` included
   */
  progress(doneBytes: number, options?: { waitMs?: number; resume?: unknown }): void;
  /** Sends entries of a listing, in batches within the contract's limits; resolves when the host may take more. */
  entries(entries: Entry[]): Promise<void>;
  /** Waits until `bytes` more may be moved under the call's rate limit. */
  throttle(bytes: number): Promise<void>;
}

/** What a driver is handed once: how it speaks between calls. */
export interface DeviceLink {
  state(state: DeviceState): void;
  log(level: LogLevel, message: string): void;
}

/** A kind of device. Only `initialize` must be there; a missing method answers `unsupported`. */
export interface Driver {
  /**
   * Checks the arguments and tells what the driver can do. Never touches the device.
   * @throws {DriverError} `invalid_config` with a JSON pointer
   */
  initialize(params: InitializeParams, link: DeviceLink): InitializeResult | Promise<InitializeResult>;
  /**
   * Sends each name below `directory` exactly once through `call.entries`, or fails: a listing that misses a
   * sub-directory must throw.
   * @throws {DriverError} `unavailable` when the device or its root is not there
   */
  list?(params: ListParams, call: Call): Promise<void>;
  stat?(params: { path: string }, call: Call): Promise<Entry>;
  /**
   * Appends to `spoolFile` from `offsetBytes` on, so that its bytes are a true prefix at every instant.
   * @throws {DriverError} `changed` when the source no longer is what `expect` says
   */
  download?(params: DownloadParams, call: Call): Promise<DownloadResult>;
  /** Publishes `spoolFile` under `path` in one step, never a part of it under that name. */
  upload?(params: UploadParams, call: Call): Promise<Receipt>;
  /** Did an upload with these parameters land? Moves no bytes of the file. */
  confirm?(params: UploadParams, call: Call): Promise<Receipt | null>;
  /** Succeeds when the file is already gone; refuses with `changed` when it is not the one expected. */
  remove?(params: RemoveParams, call: Call): Promise<void>;
  check?(call: Call): Promise<Finding[]>;
  /** Lets the device go, since nothing is left to do on it now: no other call is under way. */
  release?(call: Call): Promise<Release>;
  /** Closes connections; the process exits afterwards. */
  shutdown?(): Promise<void>;
}
