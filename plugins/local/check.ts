/** What `filesync doctor` is told of a directory. */
import { DriverError, type Finding, type Role } from "../../lib/driver/mod.ts";
import { toDriverError } from "./os_errors.ts";
import type { Root } from "./root.ts";

const MIB = 1024 * 1024;
/** Less than this is worth a word before it is too late, bytes. */
const FREE_BYTES_LOW = 100 * MIB;

export async function findings(root: Root, role: Role): Promise<Finding[]> {
  const attempt = (name: string, detail: string, act: () => unknown) => tried(name, `"${root.dir}" ${detail}`, act);
  const found = [attempt("directory", "is there", () => root.require())];
  if (!found[0]!.ok) return found;
  found.push(attempt("read", "can be listed", () => Deno.readDirSync(root.dir)[Symbol.iterator]().next()));
  if (role === "target") {
    found.push(attempt("write", "takes a file, renames and removes it", () => probe(root)));
    found.push(await freeSpace(root));
  }
  return found;
}

function tried(name: string, detail: string, act: () => unknown): Finding {
  try {
    act();
    return { name, ok: true, detail };
  } catch (error) {
    const reason = toDriverError(error, `Cannot check that ${detail}`);
    const { code, message, details } = reason instanceof DriverError
      ? reason
      : new DriverError("failed", String(reason));
    return { name, ok: false, detail: message, code, ...(details.hint === undefined ? {} : { remedy: details.hint }) };
  }
}

/** Under a name of our own unfinished uploads, so that nobody takes what a crash leaves for a file. */
function probe(root: Root): void {
  const random = crypto.getRandomValues(new Uint8Array(8));
  const first = root.join(`filesync-${random.toHex()}.part`);
  const second = root.join(`filesync-${random.map((byte) => ~byte).toHex()}.part`);
  Deno.writeFileSync(first, new Uint8Array(1), { createNew: true });
  try {
    Deno.renameSync(first, second);
  } catch (error) {
    Deno.removeSync(first);
    throw error;
  }
  Deno.removeSync(second);
}

async function freeSpace(root: Root): Promise<Finding> {
  // Only here: node:fs would cost every driver process memory.
  const { statfsSync } = await import("node:fs");
  try {
    const { bavail, bsize } = statfsSync(root.dir);
    const freeBytes = bavail * bsize;
    const detail = `${Math.floor(freeBytes / MIB)} MiB are free`;
    if (freeBytes >= FREE_BYTES_LOW) return { name: "space", ok: true, detail };
    return { name: "space", ok: false, detail, remedy: `Make room: du -sh "${root.dir}"` };
  } catch (error) {
    return { name: "space", ok: true, detail: `cannot be told: ${error instanceof Error ? error.message : error}` };
  }
}
