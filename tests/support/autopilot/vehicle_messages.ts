/** Payloads of what the vehicle says beside FTP. */
import { type MessageKind, MESSAGES } from "./wire/messages.ts";

export interface Said {
  message: MessageKind;
  payload: Uint8Array;
}

function say(message: MessageKind, write: (view: DataView, bytes: Uint8Array) => void): Said {
  const payload = new Uint8Array(message.lengthMax);
  write(new DataView(payload.buffer), payload);
  return { message, payload };
}

/** MAV_MODE_FLAG_SAFETY_ARMED. */
const ARMED = 128;
const QUADROTOR = 2;

export function heartbeat(autopilot: number, isArmed: boolean): Said {
  return say(MESSAGES.HEARTBEAT, (view) => {
    view.setUint8(4, QUADROTOR);
    view.setUint8(5, autopilot);
    view.setUint8(6, 1 | 64 | (isArmed ? ARMED : 0));
    // MAV_STATE_ACTIVE, MAV_STATE_STANDBY
    view.setUint8(7, isArmed ? 4 : 3);
    view.setUint8(8, 3);
  });
}

/** MAV_SYS_STATUS_LOGGING. */
const LOGGING = 0x1000000;
/** Gyro, accelerometer, magnetometer, barometer, GPS. */
const SENSORS = 0x2f;

export function sysStatus(isLogging: boolean): Said {
  return say(MESSAGES.SYS_STATUS, (view) => {
    view.setUint32(0, SENSORS | LOGGING, true);
    view.setUint32(4, SENSORS | (isLogging ? LOGGING : 0), true);
    view.setUint32(8, SENSORS | LOGGING, true);
    view.setUint16(12, 350, true);
    view.setUint16(14, 16_400, true);
    view.setInt16(16, 120, true);
    view.setInt8(30, 87);
  });
}

export function attitude(bootMs: number): Said {
  return say(MESSAGES.ATTITUDE, (view) => {
    view.setUint32(0, bootMs >>> 0, true);
    for (let n = 0; n < 6; n++) view.setFloat32(4 + 4 * n, Math.sin(bootMs / 1000 + n) / 10, true);
  });
}

export function globalPosition(bootMs: number): Said {
  return say(MESSAGES.GLOBAL_POSITION_INT, (view) => {
    view.setUint32(0, bootMs >>> 0, true);
    view.setInt32(4, 473_977_420, true);
    view.setInt32(8, 85_455_940, true);
    view.setInt32(12, 488_000, true);
    view.setUint16(26, 9_000, true);
  });
}

export function highresImu(bootMs: number): Said {
  return say(MESSAGES.HIGHRES_IMU, (view) => {
    view.setBigUint64(0, BigInt(Math.floor(bootMs * 1000)), true);
    for (let n = 0; n < 13; n++) view.setFloat32(8 + 4 * n, Math.cos(bootMs / 100 + n), true);
    view.setUint16(60, 0x1fff, true);
  });
}

export function statusText(text: string, severity = 4): Said {
  return say(MESSAGES.STATUSTEXT, (_view, bytes) => {
    bytes[0] = severity;
    bytes.set(new TextEncoder().encode(text).subarray(0, 50), 1);
  });
}

export function commandAck(command: number, result: number, to: { systemId: number; componentId: number }): Said {
  return say(MESSAGES.COMMAND_ACK, (view) => {
    view.setUint16(0, command, true);
    view.setUint8(2, result);
    view.setUint8(8, to.systemId);
    view.setUint8(9, to.componentId);
  });
}

/** A parameter as ArduPilot tells it: a float, whatever its type. */
export function paramValue(name: string, value: number, count: number): Said {
  return say(MESSAGES.PARAM_VALUE, (view, bytes) => {
    view.setFloat32(0, value, true);
    view.setUint16(4, count, true);
    bytes.set(new TextEncoder().encode(name).subarray(0, 16), 8);
    view.setUint8(24, 9);
  });
}

/** MAV_PROTOCOL_CAPABILITY: PARAM_FLOAT, FTP, MAVLINK2. */
const CAPABILITIES = { paramFloat: 2, ftp: 32, mavlink2: 8192 };

export function autopilotVersion(
  options: { hasFtp: boolean; version: number; uid: bigint; uid2: Uint8Array },
): Said {
  return say(MESSAGES.AUTOPILOT_VERSION, (view, bytes) => {
    const bits = CAPABILITIES.paramFloat | CAPABILITIES.mavlink2 | (options.hasFtp ? CAPABILITIES.ftp : 0);
    view.setBigUint64(0, BigInt(bits), true);
    view.setBigUint64(8, options.uid, true);
    view.setUint32(16, options.version, true);
    view.setUint32(28, 11 << 16, true);
    view.setUint16(32, 0x26ac, true);
    view.setUint16(34, 0x0012, true);
    bytes.set(options.uid2.subarray(0, 18), 60);
  });
}

/** As a SiK radio says it; `txbuf` is what is free of its buffer, per cent. */
export function radioStatus(txbuf: number): Said {
  return say(MESSAGES.RADIO_STATUS, (_view, bytes) => {
    bytes.set([190, 185, txbuf, 40, 42], 4);
  });
}

export function logEntry(entry: { id: number; count: number; last: number; sizeBytes: number; utcS: number }): Said {
  return say(MESSAGES.LOG_ENTRY, (view) => {
    view.setUint32(0, entry.utcS, true);
    view.setUint32(4, entry.sizeBytes, true);
    view.setUint16(8, entry.id, true);
    view.setUint16(10, entry.count, true);
    view.setUint16(12, entry.last, true);
  });
}

export function logData(id: number, offset: number, data: Uint8Array): Said {
  return say(MESSAGES.LOG_DATA, (view, bytes) => {
    view.setUint32(0, offset, true);
    view.setUint16(4, id, true);
    view.setUint8(6, data.length);
    bytes.set(data, 7);
  });
}
