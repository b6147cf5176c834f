/**
 * Looking through files: one model for the page and for programs. Times are ISO 8601 in UTC.
 */

/** What files can be looked for by. */
export type BrowseState = "open" | "parked" | "delivered" | "gone";

/** Which files are wanted. */
export interface BrowseQuery {
  job?: string;
  /** Part of the path, upper and lower case alike. */
  text?: string;
  /** `parked`: needs a person, also one delivery of several. */
  state?: BrowseState;
  /** Only rows with a smaller id: the last answer's `next`. */
  before?: number;
  /** Most files of one answer. */
  limit: number;
  /** Most rows that are read for one answer. */
  scanMax: number;
}

/** One delivery of a file that was found. */
export interface BrowsedDelivery {
  target: string;
  state: string;
  /** The name on the target, once delivered. */
  path?: string;
  url?: string;
  reason?: string;
  hint?: string;
}

/** A file as a list shows it. */
export interface BrowsedFile {
  id: number;
  job: string;
  path: string;
  generation: number;
  state: string;
  sizeBytes?: number;
  /** ISO 8601, UTC. */
  modified?: string;
  /** Since when it is in its state. */
  since: string;
  reason?: string;
  hint?: string;
  deliveries: BrowsedDelivery[];
}

/** One page. */
export interface BrowsePage {
  files: BrowsedFile[];
  /** Where the next page begins; absent: there are no more. */
  next?: number;
}
