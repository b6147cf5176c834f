/** What a reader of one open file is told, and how it ends. */
import type { Chunk } from "./assembly.ts";
import type { FtpChannel } from "./channel.ts";
import type { ServerTraits } from "./traits.ts";

/** How a reading ended. */
export type ReadEnd =
  /** Everything was handed out. */
  | { kind: "done" }
  /** The server no longer has the file open: open it and go on. */
  | { kind: "lost"; reason: string }
  /** Other bytes came from where these came from before: what was not handed out is worth nothing. */
  | { kind: "stolen"; reason: string }
  /** The file ends before its size. */
  | { kind: "short" }
  /** No new byte for half a minute. */
  | { kind: "stalled" }
  /** The server will not read it. */
  | { kind: "refused"; reason: string }
  /** `stop` was called. */
  | { kind: "stopped" };

export interface ReaderOptions {
  channel: FtpChannel;
  traits: ServerTraits;
  /** Session id as the server gave it. */
  session: number;
  /** Number of the request that opened it: older packets are another file's. */
  sinceSeq: number;
  sizeBytes: number;
  /** Bytes below are there already. */
  startBytes: number;
  /** Pieces beyond `startBytes` that an earlier reading left, the last one received at the end. */
  ahead?: readonly Chunk[];
  /** A piece of this very file to compare with: of the prefix. */
  anchor?: Chunk | undefined;
  /** Bytes of one read. */
  chunkBytes?: number;
  /** Reads only: on radios, and where a burst would be too long to be stopped. */
  readsOnly?: boolean;
  /** Nothing changes the order on this link. */
  isOrdered: boolean;
  /** The next bytes of the file. */
  onBytes: (bytes: Uint8Array) => void;
  /** Pieces that cannot be handed out yet and are more than memory should keep. */
  onAhead: (chunks: Chunk[]) => void;
  /** Nothing is held back any more. */
  onLevel: () => void;
  /** Whether more may be asked for now; `poke` tells that this changed. */
  mayAsk: () => boolean;
  /** Bytes came, doubled ones included. */
  onReceived?: (bytes: number) => void;
}

export interface ReadCounters {
  bursts: number;
  reads: number;
  /** Bytes that came more than once. */
  doubledBytes: number;
  /** Reads and bursts that had to be asked again or for a hole. */
  repairs: number;
  lostBursts: number;
}
