/**
 * Events in words, for the log: what is said of each, how loud, and under whose name.
 */
import type { LogLevel } from "../../lib/driver/mod.ts";
import type { FilesyncEvent } from "../../lib/observe/mod.ts";
import { count, formatBytes } from "./format.ts";

export interface EventLine {
  level: LogLevel;
  /** A job, a device, or the program. */
  scope: string;
  message: string;
}

const VERIFIED = { checksum: "checksum verified", size: "size verified", accepted: "accepted", none: "not verified" };

/** What is said of a device that no time mends, by the contract's code. */
const WHY_CLOSED: Record<string, string> = {
  denied: "denies access",
  invalid_config: "refuses its settings",
  unsupported: "cannot be used so",
  no_space: "is full",
};

/** Puts events into words; remembers how devices were, so that only changes are told. */
export class EventWords {
  readonly #devices = new Map<string, string>();

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
        return { level: "warning", scope: event.job, message };
      }
      case "uncertain": {
        const message = `Cannot tell whether "${event.path}" landed on "${event.target}": ${event.reason}`;
        return { level: "warning", scope: event.job, message };
      }
      case "gone": {
        const message = `"${event.path}" vanished from the source before it was fetched`;
        return { level: "info", scope: event.job, message };
      }
      case "removed":
        return { level: "info", scope: event.job, message: `Removed "${event.path}" from the source` };
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
    const was = this.#devices.get(event.device);
    const is = !event.available ? `away${reason}` : event.held === true ? `held${reason}` : "";
    if (was === is) return undefined;
    this.#devices.set(event.device, is);
    const scope = event.device;
    if (is === "") {
      return was === undefined
        ? { level: "debug", scope, message: `Device is available as ${event.role}` }
        : { level: "info", scope, message: "Device is available again" };
    }
    if (event.available) return { level: "info", scope, message: `Device is held${reason}${hint(event.hint)}` };
    const what = WHY_CLOSED[event.code ?? ""] ?? "is not available";
    return { level: "warning", scope, message: `Device ${what}${reason}${hint(event.hint)}` };
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
