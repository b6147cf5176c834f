/** Opens the way to the vehicle that a URL names. */
import type { LinkUrl } from "./config.ts";
import type { Link, LinkEvents } from "./link.ts";

/** Opens the link that `url` names. @throws {DriverError} `unavailable`, `denied` */
export async function openLink(url: LinkUrl, events: LinkEvents): Promise<Link> {
  // What is not used is not loaded: a driver has to be small.
  switch (url.kind) {
    case "serial":
      return await (await import("./link_serial.ts")).openSerial(url, events);
    case "tcp":
      return await (await import("./link_tcp.ts")).openTcp(url, events);
    case "udp":
    case "udpout":
      return await (await import("./link_udp.ts")).openUdp(url, events);
  }
}
