/**
 * Adding bytes to a file that is on the server, which WebDAV itself does not know. Apache takes a PUT with `Content-Range`,
 * sabre/dav a PATCH with `X-Update-Range`; a server that ignores either replaces the whole file by the part, so nothing is
 * believed that was not tried on a file of no value.
 */
import type { Call } from "../../lib/driver/mod.ts";
import { StatusError } from "./errors.ts";
import type { PartialWrite } from "./memory.ts";
import type { DavRequest, DavServer } from "./server.ts";
import { temporaryName } from "./names.ts";

const DONE = [200, 201, 204];

/** The request that writes `lengthBytes` bytes at `fromBytes`, without its body. */
export function partialRequest(
  kind: Exclude<PartialWrite, "none">,
  url: URL,
  fromBytes: number,
  lengthBytes: number,
): DavRequest & { headers: Record<string, string | number> } {
  const last = fromBytes + lengthBytes - 1;
  return kind === "content-range"
    ? {
      method: "PUT",
      url,
      headers: { "Content-Length": lengthBytes, "Content-Range": `bytes ${fromBytes}-${last}/*` },
    }
    : {
      method: "PATCH",
      url,
      headers: {
        "Content-Length": lengthBytes,
        "Content-Type": "application/x-sabredav-partialupdate",
        "X-Update-Range": `bytes=${fromBytes}-${last}`,
      },
    };
}

/** Finds out on a scratch file in `directory` how this server adds bytes. */
export async function probePartialWrite(server: DavServer, directory: string, call: Call): Promise<PartialWrite> {
  for (const kind of ["content-range", "patch"] as const) {
    if (await works(server, kind, directory, call)) return kind;
  }
  return "none";
}

async function works(
  server: DavServer,
  kind: Exclude<PartialWrite, "none">,
  directory: string,
  call: Call,
): Promise<boolean> {
  const name = temporaryName();
  const url = server.url(directory === "" ? name : `${directory}/${name}`);
  const encoder = new TextEncoder();
  const [head, tail] = [encoder.encode("File"), encoder.encode("Sync")];
  await server.expect(
    { method: "PUT", url, headers: { "Content-Length": head.length }, body: head },
    DONE,
    call.signal,
  );
  try {
    const reply = await server.request(
      { ...partialRequest(kind, url, head.length, tail.length), body: tail },
      call.signal,
    );
    await reply.discard();
    if (!DONE.includes(reply.status)) return false;
    const got = await server.request({ method: "GET", url, headers: { "Accept-Encoding": "identity" } }, call.signal);
    return await got.text() === "FileSync" && got.status === 200;
  } finally {
    await server.expect({ method: "DELETE", url }, [...DONE, 404], call.signal).catch((error) => {
      // What is left has a name that every finder of ours ignores.
      if (!(error instanceof StatusError)) throw error;
    });
  }
}
