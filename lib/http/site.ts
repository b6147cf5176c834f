/** What the status page shows and does, as the program gives it: the page knows no engine, no store, no device. */
import type {
  BrowsePage,
  BrowseQuery,
  EventBus,
  EventTeller,
  Log,
  LogLine,
  QueueAge,
  StatusReport,
} from "../observe/mod.ts";

/** Which files are to be tried again; the same as the options of `filesync retry`. */
export interface RetryRequest {
  paths?: string[];
  job?: string;
  target?: string;
  parked?: boolean;
  uncertain?: boolean;
  all?: boolean;
}

/** A copy in the spool that may be looked into. */
export interface LocalCopy {
  path: string;
  sizeBytes: number;
  /** The file's name on its source. */
  name: string;
}

/** The program behind the page. Everything answers from what the store says now. */
export interface Site {
  version: string;
  events: EventBus;
  teller: EventTeller;
  /** How many targets each job has. */
  targetsOf: Map<string, number>;
  status(): StatusReport;
  /** Bytes in the spool: asked for every few seconds whether anybody looks or not, so it costs one small read. */
  spoolBytes(): number;
  queueAges(): QueueAge[];
  files(query: BrowseQuery): BrowsePage;
  /** What `filesync why --json` tells: an object for each source that has the path. */
  why(path: string, job: string | undefined): Promise<object[]>;
  /** @throws with words for a person, when it cannot be done */
  retry(request: RetryRequest): Promise<object>;
  /** The whole copy of a file in the spool, while there is one. */
  copyOf(fileId: number): LocalCopy | undefined;
  /** The last lines of the log, the oldest first. */
  logTail(): LogLine[];
  log: Log;
}
