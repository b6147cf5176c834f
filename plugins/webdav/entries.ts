/** What a server says of a resource, as the contract's entries. */
import { type Call, DriverError, type Entry, type Fingerprint } from "../../lib/driver/mod.ts";
import { StatusError } from "./errors.ts";
import type { DavServer, Found } from "./server.ts";

/** `getlastmodified` tells whole seconds. */
export const PRECISION_MS = 1000;

const BATCH = 500;

/**
 * Lists one folder.
 * @throws {DriverError} `not_found` when it is not there
 */
export async function listFolder(server: DavServer, directory: string, call: Call): Promise<void> {
  let batch: Entry[] = [];
  let isFolder = false;
  try {
    await server.propfind(server.url(directory, true), 1, async (found) => {
      const [name] = found.names;
      if (name === undefined) {
        if (found.status !== 200) throw new StatusError("PROPFIND", found.status, "");
        isFolder = found.isFolder;
        return;
      }
      const entry = entryOf(directory === "" ? name : `${directory}/${name}`, found);
      if (entry === undefined) return;
      batch.push(entry);
      if (batch.length < BATCH) return;
      await call.entries(batch);
      batch = [];
    }, call.signal);
  } catch (error) {
    // 400 is Apache's word for what would lie below a file.
    if (error instanceof StatusError && (error.status === 404 || (error.status === 400 && directory !== ""))) {
      throw new DriverError("not_found", `Folder "${directory}" is not on the server`, { cause: error });
    }
    throw error;
  }
  if (!isFolder) throw new DriverError("not_found", `Path "${directory}" is no folder on the server`);
  if (batch.length > 0) await call.entries(batch);
}

function entryOf(path: string, found: Found): Entry | undefined {
  // It vanished while the server looked.
  if (found.status === 404 || found.status === 410) return undefined;
  if (found.status !== 200) {
    // A folder is looked into next, and then fails with the server's words.
    if (found.isFolder || found.href.trim().endsWith("/")) return { path, kind: "directory" };
    if (found.status === 401 || found.status === 403) {
      return { path, kind: "file", problem: `Server answers ${found.status} for it` };
    }
    throw new StatusError("PROPFIND", found.status, "");
  }
  const name = found.names[0]!;
  const problem = name.includes("/") ? { problem: 'Name holds a "/"' } : {};
  if (found.isFolder) return { path, kind: "directory", ...problem };
  return { path, kind: "file", ...fingerprintOf(found), ...problem };
}

/** What is known of a file's content. */
export function fingerprintOf({ sizeBytes, modifiedMs, etag, checksum }: Found): Fingerprint {
  return {
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
    ...(modifiedMs === undefined ? {} : { modifiedMs }),
    // Apache calls a validator weak while the file is younger than a second, and strong from then on.
    ...(etag === undefined ? {} : { etag: etag.replace(/^W\//, "") }),
    ...(checksum === undefined ? {} : { checksum }),
  };
}
