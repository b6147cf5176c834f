/** The messages that the simulated vehicle sends and understands: `[id, CRC_EXTRA, length in v1, length with extensions]`. */

export interface MessageKind {
  id: number;
  crcExtra: number;
  /** Bytes of the payload in MAVLink 1. */
  length: number;
  /** Bytes with the extensions of MAVLink 2. */
  lengthMax: number;
}

function kind(id: number, crcExtra: number, length: number, lengthMax: number = length): MessageKind {
  return { id, crcExtra, length, lengthMax };
}

export const MESSAGES = {
  HEARTBEAT: kind(0, 50, 9),
  SYS_STATUS: kind(1, 124, 31, 43),
  PING: kind(4, 237, 14),
  PARAM_REQUEST_READ: kind(20, 214, 20),
  PARAM_REQUEST_LIST: kind(21, 159, 2),
  PARAM_VALUE: kind(22, 220, 25),
  GPS_RAW_INT: kind(24, 24, 30, 52),
  ATTITUDE: kind(30, 39, 28),
  GLOBAL_POSITION_INT: kind(33, 104, 28),
  REQUEST_DATA_STREAM: kind(66, 148, 6),
  COMMAND_INT: kind(75, 158, 35),
  COMMAND_LONG: kind(76, 152, 33),
  COMMAND_ACK: kind(77, 143, 3, 10),
  HIGHRES_IMU: kind(105, 93, 62, 63),
  RADIO_STATUS: kind(109, 185, 9),
  FILE_TRANSFER_PROTOCOL: kind(110, 84, 254),
  TIMESYNC: kind(111, 34, 16, 18),
  LOG_REQUEST_LIST: kind(117, 128, 6),
  LOG_ENTRY: kind(118, 56, 14),
  LOG_REQUEST_DATA: kind(119, 116, 12),
  LOG_DATA: kind(120, 134, 97),
  LOG_ERASE: kind(121, 237, 2),
  LOG_REQUEST_END: kind(122, 203, 2),
  AUTOPILOT_VERSION: kind(148, 178, 60, 78),
  STATUSTEXT: kind(253, 83, 51, 54),
} as const;

export type MessageName = keyof typeof MESSAGES;

const BY_ID = new Map(Object.values(MESSAGES).map((message) => [message.id, message]));

/** The message of an id, as far as the simulator knows it. */
export function messageOfId(id: number): MessageKind | undefined {
  return BY_ID.get(id);
}
