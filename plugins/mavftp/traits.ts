/** What the servers of MAVLink FTP do differently, as far as a reader must know it. */
import { AUTOPILOT } from "./messages.ts";

/** One server's ways. */
export interface ServerTraits {
  name: "PX4" | "ArduPilot" | "unknown";
  /** Reads are answered at once while a burst runs, and a new burst or the end of the session stops it. */
  isInterruptible: boolean;
  /** A burst ends by itself before the file does. */
  isBounded: boolean;
  /** Another ground station can open another file under our session without an error: contents must be compared. */
  isStealable: boolean;
  /** A session without a request for 10 s is closed, also while it streams. */
  needsKeepAlive: boolean;
  /** Reads that may be under way at once. */
  windowMax: number;
  /**
   * Bytes before which a burst is not over, whatever the server says: PX4 leaves `burst_complete` unwritten, with
   * whatever was on its stack, in the last packet of each turn of its sender.
   */
  burstBytesMin: number;
  /** Bytes after which a burst is over whatever the server says; 0 where that is not known. */
  burstBytes: number;
  /** The last packet of a burst may be a queue away: least silence that ends one, milliseconds. */
  silenceMinMs: number;
  /** A burst that took longer is the last one, milliseconds: it cannot be stopped, or leaves no room for heartbeats. */
  burstMsMax: number;
  /** Most bytes of one burst that nothing stops: whether it may begin is seen from it; 0 where anything stops one. */
  unstoppableBytes: number;
}

/** PX4: one session a link, bursts of 35 kB and what its buffer holds, which anything stops; reads are answered at once. */
const PX4: ServerTraits = {
  name: "PX4",
  isInterruptible: true,
  isBounded: true,
  isStealable: true,
  needsKeepAlive: true,
  windowMax: 12,
  burstBytesMin: 35_000,
  burstBytes: 48_000,
  silenceMinMs: 25,
  // Slower links fill the buffer that heartbeats need as well.
  burstMsMax: 4000,
  unstoppableBytes: 0,
};

/** ArduPilot: one worker with a queue of five requests, bursts of up to 2,000 packets that nothing stops. */
const ARDUPILOT: ServerTraits = {
  name: "ArduPilot",
  isInterruptible: false,
  isBounded: true,
  isStealable: false,
  needsKeepAlive: false,
  windowMax: 4,
  burstBytesMin: 0,
  burstBytes: 0,
  silenceMinMs: 400,
  burstMsMax: 2000,
  // 2,000 packets since 2025-11; older firmware sends 500 or 100, and does not say so.
  unstoppableBytes: 478_000,
};

/** Anything else, MAVSDK's server among it: bursts to the end of the file, which share a file position with reads. */
const UNKNOWN: ServerTraits = {
  name: "unknown",
  isInterruptible: false,
  isBounded: false,
  isStealable: false,
  needsKeepAlive: false,
  windowMax: 2,
  burstBytesMin: 0,
  burstBytes: 0,
  silenceMinMs: 150,
  burstMsMax: Infinity,
  unstoppableBytes: 0,
};

/** The ways of an autopilot by its `MAV_AUTOPILOT`. */
export function traitsOf(autopilot: number): ServerTraits {
  if (autopilot === AUTOPILOT.PX4) return PX4;
  return autopilot === AUTOPILOT.ARDUPILOT ? ARDUPILOT : UNKNOWN;
}
