/** Where the page is served and who may see it. */

/** An address of this machine, or a Unix socket. */
export type ListenAddress = { hostname: string; port: number } | { path: string };

/** Settings of the page, from the configuration. */
export interface HttpSettings {
  listen: ListenAddress;
  /** Nobody can change anything. */
  readOnly: boolean;
  /** Further names by which browsers may ask for the page, without port. */
  hosts: readonly string[];
  /** A proxy that has let people in itself says so by this header. */
  proxy?: { header: string; from: readonly string[] };
  /** File with the hash of the token that everyone needs who comes from another machine. */
  tokenFile: string;
}

/** Whether only this machine can reach the address. */
export function isLocal(listen: ListenAddress): boolean {
  return "path" in listen || isLoopback(listen.hostname);
}

/** Whether a name or an address is this machine's own. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname) ||
    /^\[?::1\]?$/.test(hostname);
}

/** The address as people write it. */
export function showAddress(listen: ListenAddress): string {
  if ("path" in listen) return `unix:${listen.path}`;
  const { hostname, port } = listen;
  return `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}/`;
}
