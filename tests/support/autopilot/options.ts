/** Everything that can be set on a simulated autopilot. */
import type { ContentSource, Files } from "./files.ts";
import type { Fault } from "./faults.ts";
import type { LinkModel } from "./link.ts";
import type { OtherScript } from "./other_station.ts";
import type { PersonalityName, Traits } from "./personality.ts";

export interface VehicleOptions {
  /** Default: `px4-main`. */
  personality?: PersonalityName;
  /** Changes of single traits. */
  traits?: Partial<Traits>;
  systemId?: number;
  componentId?: number;
  /** The card: a tree, or paths and their bytes. */
  files?: Files | Record<string, ContentSource>;
  uid?: bigint;
  /** 18 bytes; zeros where the firmware has none. */
  uid2?: Uint8Array;
  armed?: boolean;
  /** Arms as soon as so many file bytes were sent. */
  armAtDataBytes?: number;
  /** `false`: none is sent. Default: one a second. */
  heartbeats?: boolean;
  /** Says at once that it is armed or disarmed; otherwise the next heartbeat does. */
  heartbeatOnArm?: boolean;
  /** `off`: no answer and no capability; `disabled`: only a STATUSTEXT (ArduPilot with BRD_OPTIONS). */
  ftp?: "on" | "off" | "disabled";
  /** Whether LOG_* is answered. Default: yes. */
  logs?: boolean;
  /** ArduPilot: a download on another link was never ended. */
  logsHeldElsewhere?: boolean;
  /** The logging bit of SYS_STATUS. Default: while armed. */
  logging?: boolean;
  /** What PARAM_REQUEST_READ is answered with; others are not known. */
  parameters?: Record<string, number>;
  /** What it sends: 1, 2, or 1 until MAVLink 2 is heard (PX4's default). `1-only` does not understand MAVLink 2 either. */
  mavlink?: 1 | 2 | "1-only";
  /** PX4 on USB: says nothing until it hears a heartbeat, and takes three returns for a wish for its shell. */
  silentUntilHeartbeat?: boolean;
  /** Signs, and refuses what is not signed, is signed wrong, or was seen before. */
  signing?: { key: Uint8Array; linkId?: number };
  /** Other messages a second. Default: ATTITUDE 10, GLOBAL_POSITION_INT 5, HIGHRES_IMU 0. */
  traffic?: { attitude?: number; position?: number; imu?: number };
  faults?: Fault[];
  /** Bytes that wait while the receiver is busy with a CRC. Default: 2048. */
  rxBufferBytes?: number;
}

export interface LinkOptions {
  /** From the vehicle. */
  down?: LinkModel;
  /** To the vehicle. */
  up?: LinkModel;
  /** Datagrams with several packets: as many as come within so long. */
  pack?: { packets: number; withinMs: number };
  /** Streams are cut at odd places: pieces of so many bytes. */
  segment?: { min: number; max: number };
  /** A radio on the link that reports its buffer. */
  radio?: { bufferBytes: number; everyMs?: number; txbuf?: number };
}

export interface CoreOptions extends VehicleOptions {
  /** Several vehicles on one link; without it there is one, made of these options. */
  vehicles?: VehicleOptions[];
  link?: LinkOptions;
  /** Other ground stations, and what they do. */
  others?: OtherScript[];
  seed?: number;
  /** Wall clock of signing. */
  wallMs?: () => number;
}
