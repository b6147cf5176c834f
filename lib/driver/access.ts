/**
 * A device as a station uses it: with a turn to wait for. The engine's gate implements it and keeps the device's
 * availability, so that a device that is away holds its queue and counts against no file.
 */
import type { DeviceClient } from "./client.ts";
import type { DriverError } from "./errors.ts";
import type { Capabilities } from "./types.ts";

/** A turn at a device: one call may run. */
export interface Turn {
  readonly client: DeviceClient;
  readonly capabilities: Capabilities;
  /** Whether this turn ran alone when it failed, so that a dead plugin is this call's doing. */
  readonly alone: boolean;
  /**
   * Gives the turn back; an error tells the gate what the device is worth now. Safe to call twice.
   * @param hasProgressed the call came further than any before it: a link that breaks so is worth another try soon
   */
  end(error?: DriverError, hasProgressed?: boolean): void;
}

/** Options of a turn. */
export interface TurnOptions {
  signal: AbortSignal;
  /** Run with no other call beside it: this work was there when a plugin died. */
  alone?: boolean;
  /** The call may wait in the driver: a listing, or one of a small file, and none that must keep to a limit. */
  ahead?: boolean;
}

/** One device, one role. */
export interface DeviceAccess {
  /** The configured name. */
  readonly name: string;
  /** What the device says it is, else the configured name. */
  readonly deviceId: string;
  /** Whether calls can be made now. */
  readonly isOpen: boolean;
  /** Most calls at once, as far as known. */
  readonly callsMax: number;
  /**
   * Waits until the device is there and has a turn for `user` (a job's name; users take turns).
   * @throws {DOMException} `AbortError` when the signal is aborted
   */
  turn(user: string, options: TurnOptions): Promise<Turn>;
}
