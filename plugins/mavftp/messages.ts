/** The fields of the messages beside file transfer that this driver sends or understands. */
import type { Frame } from "./frame_codec.ts";

/** `MAV_AUTOPILOT`. */
export const AUTOPILOT = { GENERIC: 0, ARDUPILOT: 3, INVALID: 8, PX4: 12 } as const;
/** `MAV_TYPE` of ourselves. */
const TYPE_ONBOARD_CONTROLLER = 18;
const STATE_ACTIVE = 4;
/** `MAV_MODE_FLAG_SAFETY_ARMED`. */
const MODE_ARMED = 128;
/** `MAV_SYS_STATUS_LOGGING`. */
const SENSOR_LOGGING = 0x1000000;
/** `MAV_CMD_REQUEST_MESSAGE`, and the older command that firmware without it knows. */
export const COMMAND = { REQUEST_MESSAGE: 512, REQUEST_AUTOPILOT_CAPABILITIES: 520 } as const;
/** `MAV_PROTOCOL_CAPABILITY_FTP`. */
const CAPABILITY_FTP = 32;

export interface Heartbeat {
  /** `MAV_AUTOPILOT`. */
  autopilot: number;
  isArmed: boolean;
  type: number;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** `MAV_COMP_ID_AUTOPILOT1`. */
const COMPONENT_AUTOPILOT = 1;
/** `MAV_TYPE` of what rides on a vehicle or watches it: ground station, onboard controller, gimbal, ADS-B, camera, … */
const TYPES_OF_OTHERS = new Set([6, 18, 26, 27, 30, 31, 32, 33, 34, 36, 37, 38, 40, 41]);

/** Whether a heartbeat is an autopilot's own: some cameras and gimbals claim to be a generic one that is never armed. */
export function isAutopilot(componentId: number, { type, autopilot }: Heartbeat): boolean {
  if (componentId === COMPONENT_AUTOPILOT) return true;
  return autopilot !== AUTOPILOT.GENERIC && !TYPES_OF_OTHERS.has(type);
}

export function parseHeartbeat({ payload }: Frame): Heartbeat {
  return { type: payload[4]!, autopilot: payload[5]!, isArmed: (payload[6]! & MODE_ARMED) !== 0 };
}

/** Our own sign of life: an onboard controller, never a ground station, so that no failsafe counts on us. */
export function encodeHeartbeat(): Uint8Array {
  const payload = new Uint8Array(9);
  payload[4] = TYPE_ONBOARD_CONTROLLER;
  payload[5] = AUTOPILOT.INVALID;
  payload[7] = STATE_ACTIVE;
  payload[8] = 3;
  return payload;
}

/** Whether SYS_STATUS says that the logger is enabled; PX4 since 1.15 sets the bit while it runs. */
export function parseIsLogging({ payload }: Frame): boolean {
  return (view(payload).getUint32(4, true) & SENSOR_LOGGING) !== 0;
}

export interface AutopilotVersion {
  /** Hex digits that tell this autopilot from every other; `undefined` when it has none. */
  uid: string | undefined;
  hasFtp: boolean;
  /** `flight_sw_version`: major, minor, patch, type. */
  version: number;
}

export function parseAutopilotVersion({ payload }: Frame): AutopilotVersion {
  const fields = view(payload);
  const uid = payload.subarray(8, 16);
  const uid2 = payload.subarray(60, 78);
  const known = [uid2, uid].find((id) => id.some((byte) => byte !== 0));
  return {
    // uid is a number: written from its most significant byte.
    uid: known === undefined ? undefined : known === uid ? uid.slice().reverse().toHex() : trimZeros(uid2).toHex(),
    hasFtp: (fields.getUint32(0, true) & CAPABILITY_FTP) !== 0,
    version: fields.getUint32(16, true),
  };
}

function trimZeros(bytes: Uint8Array): Uint8Array {
  let length = bytes.length;
  while (length > 1 && bytes[length - 1] === 0) length--;
  return bytes.subarray(0, length);
}

/** COMMAND_LONG with one parameter. */
export function encodeCommand(target: Target, command: number, parameter: number): Uint8Array {
  const payload = new Uint8Array(33);
  const fields = view(payload);
  fields.setFloat32(0, parameter, true);
  fields.setUint16(28, command, true);
  payload[30] = target.systemId;
  payload[31] = target.componentId;
  return payload;
}

/** Whom a message is for. */
export interface Target {
  systemId: number;
  componentId: number;
}

export function parseStatusText({ payload }: Frame): string {
  const text = payload.subarray(1, 51);
  const end = text.indexOf(0);
  return new TextDecoder().decode(end < 0 ? text : text.subarray(0, end));
}

export function encodeParamRequest(target: Target, name: string): Uint8Array {
  const payload = new Uint8Array(20);
  view(payload).setInt16(0, -1, true);
  payload[2] = target.systemId;
  payload[3] = target.componentId;
  payload.set(new TextEncoder().encode(name).subarray(0, 16), 4);
  return payload;
}

/** PARAM_VALUE of an autopilot that sends numbers as floats, as ArduPilot does. */
export function parseParamValue({ payload }: Frame): { name: string; value: number } {
  const id = payload.subarray(8, 24);
  const end = id.indexOf(0);
  return {
    name: new TextDecoder().decode(end < 0 ? id : id.subarray(0, end)),
    value: view(payload).getFloat32(0, true),
  };
}

export interface LogEntry {
  id: number;
  sizeBytes: number;
  /** Seconds since 1970, 0 for not known. */
  timeUtc: number;
  count: number;
}

export function parseLogEntry({ payload }: Frame): LogEntry {
  const fields = view(payload);
  return {
    timeUtc: fields.getUint32(0, true),
    sizeBytes: fields.getUint32(4, true),
    id: fields.getUint16(8, true),
    count: fields.getUint16(10, true),
  };
}

export function encodeLogRequestList(target: Target, first: number, last: number): Uint8Array {
  const payload = new Uint8Array(6);
  const fields = view(payload);
  fields.setUint16(0, first, true);
  fields.setUint16(2, last, true);
  payload[4] = target.systemId;
  payload[5] = target.componentId;
  return payload;
}

export function encodeLogRequestData(
  target: Target,
  request: { id: number; offset: number; count: number },
): Uint8Array {
  const payload = new Uint8Array(12);
  const fields = view(payload);
  fields.setUint32(0, request.offset, true);
  fields.setUint32(4, request.count, true);
  fields.setUint16(8, request.id, true);
  payload[10] = target.systemId;
  payload[11] = target.componentId;
  return payload;
}

export function encodeLogRequestEnd(target: Target): Uint8Array {
  return Uint8Array.of(target.systemId, target.componentId);
}

export interface LogData {
  id: number;
  offset: number;
  /** At most 90 bytes. */
  data: Uint8Array;
}

export function parseLogData({ payload }: Frame): LogData {
  const fields = view(payload);
  return {
    offset: fields.getUint32(0, true),
    id: fields.getUint16(4, true),
    data: payload.subarray(7, 7 + Math.min(payload[6]!, 90)),
  };
}
