/**
 * The answer of `filesync status`: one model for the table, `--json`, and the page. Times are ISO 8601 in UTC.
 */

/** Counts of files or deliveries and their bytes. */
export interface Tally {
  count: number;
  bytes: number;
}

/** Deliveries to one target, by state. */
export interface TargetStatus {
  name: string;
  waiting: Tally;
  uploading: Tally;
  delivered: Tally;
  parked: Tally;
  uncertain: Tally;
}

/** Files of one job, by state. */
export interface JobStatus {
  name: string;
  found: Tally;
  downloading: Tally;
  spooled: Tally;
  done: Tally;
  parked: Tally;
  gone: Tally;
  targets: TargetStatus[];
  lastListing?: string;
  /** The time windows that it waits for; absent while it may work. */
  waitsForWindow?: string;
  /** The time windows that do not count, since the date is known to be wrong: the job works outside of them. */
  ignoresWindow?: string;
}

/** What was last said of a device. */
export interface DeviceStatus {
  name: string;
  role: "source" | "target";
  available: boolean;
  held: boolean;
  /** Why it cannot be used: a code of the plugin contract. */
  code?: string;
  reason?: string;
  since: string;
}

/** Why nothing is fetched into the spool. */
export interface SpoolPause {
  reason: string;
  /** Absent where it is seen now and nobody tells since when. */
  since?: string;
}

/** Something that a person has to decide. */
export interface ParkedItem {
  job: string;
  path: string;
  /** Absent when the file could not be fetched from the source. */
  target?: string;
  /** `denied` is tried again every hour, the others when told. */
  state: "parked" | "uncertain" | "denied";
  reason: string;
  hint?: string;
  attempts: number;
  since: string;
}

/** A file of which its source's driver has something to say; it is delivered all the same. */
export interface NotedFile {
  job: string;
  path: string;
  note: string;
  since: string;
}

/** The whole answer. */
export interface StatusReport {
  schema: 1;
  time: string;
  /**
   * `ok`: all that was found is delivered; `working`: files are on their way; `waiting`: a device is away, or the
   * spool takes nothing; `attention`: a person is needed.
   */
  word: "ok" | "working" | "waiting" | "attention";
  state: string;
  /** The daemon's process, absent when none runs. */
  pid?: number;
  jobs: JobStatus[];
  devices: DeviceStatus[];
  /** At most 100, newest first, the rest of a first contact last; `parkedTotal` counts all. */
  parked: ParkedItem[];
  parkedTotal: number;
  /** At most 20, newest first; `notedTotal` counts all. Nobody is needed for them. */
  noted: NotedFile[];
  notedTotal: number;
  /** `pause`: files wait at a source, and the spool takes none; absent: it does, or nothing waits. */
  spool: { dir: string; usedBytes: number; quotaBytes: number; pause?: SpoolPause };
  /**
   * Bytes that had arrived and were moved again after interruptions, and those of them that went to targets. What the
   * system held for a driver that was killed is known to nobody, and not among them.
   */
  resentBytes: number;
  resentUploadBytes: number;
}

/** How far a queue is behind. Milliseconds since 1970 UTC. */
export interface QueueAge {
  job: string;
  /** Absent: files that wait for the source. */
  target?: string;
  /** When the oldest file that waits was found; absent: nothing waits. */
  oldestMs?: number;
  /** When the last file arrived; absent: none did lately. */
  lastDeliveredMs?: number;
}
