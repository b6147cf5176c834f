/** What the FTP server tells, in words for people. */
import type { FtpEvent } from "../../lib/ftpd/mod.ts";
import { formatBytes, formatRate } from "./format.ts";

/** A line of the log; `priority` as syslog counts. */
export interface FtpLine {
  text: string;
  priority: 3 | 4 | 6;
}

/** The line of an event, `undefined` for what only programs want to know. */
export function ftpLine(event: FtpEvent): FtpLine | undefined {
  const line = words(event);
  return line === undefined ? undefined : { ...line, text: `${event.peer || "server"}: ${line.text}` };
}

function words(event: FtpEvent): FtpLine | undefined {
  switch (event.event) {
    case "connected":
    case "closed":
      return undefined;
    case "login":
      return { text: `"${event.user}" logged in`, priority: 6 };
    case "login_failed":
      return { text: `Wrong name or password for "${event.user}"`, priority: 4 };
    case "refused":
      return { text: `Refused: ${event.reason}`, priority: 4 };
    case "download":
    case "upload":
      return transferred(event);
    case "removed":
      return { text: `Removed "${event.path}"`, priority: 6 };
    case "made":
      return { text: `Made the directory "${event.path}"`, priority: 6 };
    case "renamed":
      return { text: `Renamed "${event.path}" to "${event.to ?? ""}"`, priority: 6 };
    case "unlisted":
      return { text: `Left "${event.path}" out of a listing: ${event.reason}`, priority: 4 };
    case "error":
      return { text: event.reason, priority: 3 };
  }
}

function transferred(event: FtpEvent & { event: "download" | "upload" }): FtpLine {
  const amount = formatBytes(event.bytes);
  if (event.error !== undefined) {
    const verb = event.event === "upload" ? "Upload of" : "Download of";
    return { text: `${verb} "${event.path}" ended after ${amount}: ${event.error}`, priority: 4 };
  }
  const verb = event.event === "upload" ? "Took" : "Sent";
  const rate = event.elapsedMs < 1 ? "" : ` at ${formatRate(event.bytes * 1000 / event.elapsedMs)}`;
  return { text: `${verb} "${event.path}", ${amount}${rate}`, priority: 6 };
}
