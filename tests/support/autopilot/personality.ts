/**
 * The firmwares that the simulator plays, as data. Sources: PX4's and ArduPilot's FTP servers of these ages and MAVSDK's
 * server before 4.0; any trait can be changed for one vehicle.
 */

export type PersonalityName =
  | "px4-1.11"
  | "px4-main"
  | "ardupilot-4.0"
  | "ardupilot-4.5"
  | "ardupilot-2026"
  | "mavsdk-3";

export interface Traits {
  stack: "px4" | "ardupilot" | "mavsdk";
  /** Where its logs are. */
  logRoot: string;
  /** MAV_AUTOPILOT of its heartbeat. */
  autopilot: number;
  /** Speaks MAVLink 1 until it hears MAVLink 2. */
  startsInV1: boolean;
  /** Period of the loop that sends bursts, milliseconds; packets come in clumps of what fits. */
  tickMs: number;
  /** Room for packets on their way to the wire. */
  txBufferBytes: number;
  /** How fast files are read for CRC-32. */
  crcBytesPerSecond: number;
  /** How fast files are read for a burst. */
  readBytesPerSecond: number;
  /** Sessions close after this time without a request. */
  idleCloseMs: number;
  /** Knows opcode 16. */
  listWithTime: boolean;
  /** What a burst's last packet says: as the firmware does, or a wrong thing on every packet. */
  burstComplete: "normal" | "never" | "always" | "garbage";
  /** Firmware as AUTOPILOT_VERSION has it. */
  version: number;

  // PX4
  /** ReadFile gives up to 239 bytes whatever was asked. */
  readIgnoresSize: boolean;
  /** `.` and `..` are listed as `S` (on POSIX; a FAT card has none). */
  dotEntries: boolean;
  /** `@MAV_LOG` stands for the log root. */
  mavLogAlias: boolean;
  /** Writes outside `/fs/microsd/` are refused with FileProtected. */
  protectsRoot: boolean;
  /** While the last errno is EEXIST every NAK says FileExists. */
  stickyErrno: boolean;
  /** A burst ends at the first full buffer behind so many bytes. */
  burstBytes: number;

  // ArduPilot
  /** Sessions at once. */
  sessions: number;
  /** Session 0 has the server choose an id, and every opcode takes a slot. */
  allocatesSessions: boolean;
  burstPackets: number;
  /** A second NUL behind each record of a listing. */
  doubleNul: boolean;
  /** A path whose size counts the NUL is refused with InvalidDataSize. */
  strictPathSize: boolean;
  /** Rename and unknown opcodes are refused with Fail; OpenFileWO makes no file; replies may go to the last component. */
  isOld: boolean;
  /** burst_complete on the EOF NAK too. */
  eofCompletesBurst: boolean;
  /** burst_complete on the last data packet too (some of 2025). */
  lastDataCompletesBurst: boolean;
  /** Without flow control bursts take a third of the port. */
  flowControl: boolean;
}

const BASE: Traits = {
  stack: "px4",
  logRoot: "/fs/microsd/log",
  autopilot: 12,
  startsInV1: true,
  tickMs: 10,
  txBufferBytes: 8192,
  crcBytesPerSecond: 1_000_000,
  readBytesPerSecond: 2_000_000,
  idleCloseMs: 10_000,
  listWithTime: false,
  burstComplete: "normal",
  version: 0x010b_00ff,
  readIgnoresSize: true,
  dotEntries: true,
  mavLogAlias: false,
  protectsRoot: false,
  stickyErrno: false,
  burstBytes: 35_000,
  sessions: 1,
  allocatesSessions: false,
  burstPackets: 0,
  doubleNul: false,
  strictPathSize: false,
  isOld: false,
  eofCompletesBurst: false,
  lastDataCompletesBurst: false,
  flowControl: true,
};

const ARDUPILOT: Traits = {
  ...BASE,
  stack: "ardupilot",
  logRoot: "/APM/LOGS",
  autopilot: 3,
  startsInV1: false,
  idleCloseMs: 20_000,
  readIgnoresSize: false,
  dotEntries: false,
  doubleNul: true,
  flowControl: false,
};

export const PERSONALITIES: Record<PersonalityName, Traits> = {
  "px4-1.11": BASE,
  "px4-main": {
    ...BASE,
    version: 0x0111_00ff,
    idleCloseMs: 30_000,
    readIgnoresSize: false,
    dotEntries: false,
    mavLogAlias: true,
    protectsRoot: true,
    stickyErrno: true,
  },
  "ardupilot-4.0": { ...ARDUPILOT, version: 0x0400_03ff, burstPackets: 100, strictPathSize: true, isOld: true },
  "ardupilot-4.5": { ...ARDUPILOT, version: 0x0405_07ff, burstPackets: 500 },
  "ardupilot-2026": {
    ...ARDUPILOT,
    version: 0x0407_00ff,
    sessions: 5,
    allocatesSessions: true,
    burstPackets: 2000,
    doubleNul: false,
    eofCompletesBurst: true,
  },
  "mavsdk-3": {
    ...BASE,
    stack: "mavsdk",
    logRoot: "/",
    autopilot: 12,
    startsInV1: false,
    version: 0x0311_00ff,
    idleCloseMs: Infinity,
    readIgnoresSize: false,
    dotEntries: false,
  },
};
