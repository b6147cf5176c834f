/**
 * Events in words, for the log: what is said of each, how loud, and under whose name.
 */
import type { LogLevel } from "../../lib/driver/mod.ts";
import type { AboutFile, FilesyncEvent } from "../../lib/observe/mod.ts";
import { count, formatBytes } from "./format.ts";

export interface EventLine {
  level: LogLevel;
  /** A job, a device, or the program. */
  scope: string;
  message: string;
  /** It is about this one of many files. */
  about?: AboutFile;
}

const VERIFIED = { checksum: "checksum verified", size: "size verified", accepted: "accepted", none: "not verified" };

/** What is said of a device that no time mends, by the contract's code. */
const WHY_CLOSED: Record<string, string> = {
  denied: "denies access",
  invalid_config: "refuses its settings",
  unsupported: "cannot be used so",
  no_space: "is full",
};

/** A device that comes and goes all day is told of so often an hour. */
const DEVICE_LINES_MAX = 12;
const HOUR_MS = 3600_000;

/** What was told of a device. */
interface Told {
  /** How it is. */
  state: string;
  /** When the hour began, and its lines. */
  sinceMs: number;
  lines: number;
  untold: number;
}

/** Puts events into words; remembers how devices were, so that only changes are told. */
export class EventWords {
  readonly #devices = new Map<string, Told>();
  readonly #nowMs: () => number;

  /** @param nowMs milliseconds of a clock that does not jump; replaced by tests */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** The line for an event; `undefined` for one that is shown in other ways or says nothing new. */
  line(event: FilesyncEvent): EventLine | undefined {
    switch (event.event) {
      case "start":
        return {
          level: "debug",
          scope: "filesync",
          message: `Started version ${event.version} as process ${event.pid} with ${count(event.jobs.length, "job")}`,
        };
      case "found":
        return { level: "debug", scope: event.job, message: `Found "${event.path}"${size(event.sizeBytes)}` };
      case "downloaded": {
        const resumed = event.resumedBytes > 0 ? `, ${formatBytes(event.resumedBytes)} of it earlier` : "";
        const message = `Downloaded "${event.path}" (${formatBytes(event.sizeBytes)}${resumed})`;
        return { level: "debug", scope: event.job, message };
      }
      case "delivered": {
        const { receipt } = event;
        const renamed = receipt.path.endsWith(baseName(event.path)) ? "" : ` as "${receipt.path}"`;
        const link = receipt.url === undefined ? "" : `: ${receipt.url}`;
        const proof = `${formatBytes(receipt.sizeBytes)}, ${VERIFIED[receipt.verified]}`;
        const note = event.note === undefined ? "" : `; its source says: ${event.note}`;
        const message = `Delivered "${event.path}" to "${event.target}"${renamed} (${proof})${link}${note}`;
        return { level: "info", scope: event.job, message };
      }
      case "parked": {
        const where = event.target === undefined ? "" : ` for "${event.target}"`;
        const message = `Parked "${event.path}"${where}: ${event.reason}${hint(event.hint)}`;
        return { level: "warning", scope: event.job, message, about: { file: event.path } };
      }
      case "uncertain": {
        const message = `Cannot tell whether "${event.path}" landed on "${event.target}": ${event.reason}`;
        return { level: "warning", scope: event.job, message, about: { file: event.path } };
      }
      case "gone": {
        const message = `"${event.path}" vanished from the source before it was fetched`;
        return { level: "info", scope: event.job, message, about: { file: event.path } };
      }
      case "removed":
        return {
          level: "info",
          scope: event.job,
          message: `Removed "${event.path}" from the source`,
          about: { file: event.path },
        };
      case "device":
        return this.#device(event);
      case "safe_to_unplug":
        return { level: "info", scope: event.device, message: "Device can be unplugged now" };
      case "progress":
      case "summary":
        return undefined;
    }
  }

  #device(event: FilesyncEvent & { event: "device" }): EventLine | undefined {
    const reason = event.reason === undefined ? "" : `: ${event.reason}`;
    const told = this.#devices.get(event.device);
    const state = !event.available ? `away${reason}` : event.held === true ? `held${reason}` : "";
    if (told?.state === state) return undefined;
    const scope = event.device;
    const more = this.#mayTell(scope, state, told);
    if (more === undefined) return undefined;
    if (state === "") {
      return told === undefined
        ? { level: "debug", scope, message: `Device is available as ${event.role}` }
        : { level: "info", scope, message: `Device is available again${more}` };
    }
    if (event.available) return { level: "info", scope, message: `Device is held${reason}${hint(event.hint)}${more}` };
    const what = WHY_CLOSED[event.code ?? ""] ?? "is not available";
    return { level: "warning", scope, message: `Device ${what}${reason}${hint(event.hint)}${more}` };
  }

  /** Whether one more change of a device is told, and what of those that were not; `undefined`: it is one of them. */
  #mayTell(device: string, state: string, told: Told | undefined): string | undefined {
    const nowMs = this.#nowMs();
    const isNewHour = told === undefined || nowMs - told.sinceMs >= HOUR_MS;
    const { sinceMs, lines, untold } = isNewHour ? { sinceMs: nowMs, lines: 0, untold: told?.untold ?? 0 } : told;
    if (lines >= DEVICE_LINES_MAX) {
      this.#devices.set(device, { state, sinceMs, lines, untold: untold + 1 });
      return undefined;
    }
    this.#devices.set(device, { state, sinceMs, lines: lines + 1, untold: 0 });
    if (untold > 0) return ` (it changed ${untold} more times in the last hour)`;
    return lines + 1 === DEVICE_LINES_MAX ? " (it comes and goes: for an hour no more is told)" : "";
  }
}

function size(bytes: number | undefined): string {
  return bytes === undefined ? "" : ` (${formatBytes(bytes)})`;
}

function hint(text: string | undefined): string {
  return text === undefined ? "" : `. ${text}`;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
