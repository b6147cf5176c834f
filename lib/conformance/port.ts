/** Ports of 127.0.0.1 for servers of tests, and whose they are. */
import { withDescendants } from "../host/descendants.ts";

/**
 * A port below those that the kernel gives out by itself (32768 and up): one of those could be taken by a client, or be
 * given to another test, before the server listens on it.
 */
export function freePort(): number {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/**
 * Whether the socket that listens on `port` belongs to process `pid` or to what it started: proc(5), `/proc/net/tcp`.
 * Where there is no /proc it is believed.
 */
export function listensOn(pid: number, port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const inodes = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) =>
    read(table).split("\n").map((line) => line.trim().split(/\s+/))
      .filter((columns) => columns[1]?.endsWith(`:${hex}`) && columns[3] === "0A")
      .map((columns) => `socket:[${columns[9]}]`)
  );
  if (inodes.length === 0 && read("/proc/net/tcp") === "") return true;
  return withDescendants(pid).some((process) => linksOf(`/proc/${process}/fd`).some((link) => inodes.includes(link)));
}

function linksOf(dir: string): string[] {
  let names: string[];
  try {
    names = [...Deno.readDirSync(dir)].map(({ name }) => name);
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    try {
      return [Deno.readLinkSync(`${dir}/${name}`)];
    } catch {
      // It was closed meanwhile.
      return [];
    }
  });
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
