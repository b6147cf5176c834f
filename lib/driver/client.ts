/** The other side of the contract: a device as the engine's stations see it. `lib/host` implements it. */
import type { LimitShare } from "./limit.ts";
import type {
  Capabilities,
  DownloadParams,
  DownloadResult,
  Entry,
  Finding,
  ListParams,
  Progress,
  Receipt,
  Release,
  RemoveParams,
  UploadParams,
} from "./types.ts";

/** Options of every call to a device. */
export interface CallOptions {
  /** Aborting it sends `$/cancel`; the call then fails with `cancelled`. */
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
  /** The call's part of a bandwidth limit: its changes are sent as `$/limit`. */
  limit?: LimitShare;
}

/** What a listing came to. */
export interface ListOutcome {
  /** Entries that were dropped: outside the asked directory, malformed, or in a line too long to read. */
  ignored: number;
}

/**
 * The methods of a device. Every failure is a `DriverError`; the answer has been checked against the contract.
 */
export interface DeviceClient {
  /** Starts the plugin where it does not run and returns what it can do. */
  capabilities(options?: CallOptions): Promise<Capabilities>;
  /** Hands over each batch and waits for `take` before it reads on: the pipe is the back-pressure. */
  list(
    params: ListParams,
    take: (entries: Entry[]) => void | Promise<void>,
    options?: CallOptions,
  ): Promise<ListOutcome>;
  stat(path: string, options?: CallOptions): Promise<Entry>;
  download(params: DownloadParams, options?: CallOptions): Promise<DownloadResult>;
  upload(params: UploadParams, options?: CallOptions): Promise<Receipt>;
  confirm(params: UploadParams, options?: CallOptions): Promise<Receipt | null>;
  remove(params: RemoveParams, options?: CallOptions): Promise<void>;
  check(options?: CallOptions): Promise<Finding[]>;
  /** Lets the device go; asked only of drivers with the capability `release`. */
  release?(options?: CallOptions): Promise<Release>;
}
