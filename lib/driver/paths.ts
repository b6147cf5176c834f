/**
 * Names that come from devices are hostile input. What passes here may be joined to a directory or written to a
 * control channel; what does not is parked with the reason.
 */

/** Longest path that is taken, bytes of UTF-8 (PATH_MAX of Linux). */
export const PATH_BYTES_MAX = 4096;
/** Longest single name, bytes of UTF-8 (NAME_MAX of Linux). */
export const NAME_BYTES_MAX = 255;

const encoder = new TextEncoder();

/** Why `path` cannot be represented safely, or `undefined` when it can. The root `""` passes. */
export function pathProblem(path: string): string | undefined {
  if (path === "") return undefined;
  if (path.startsWith("/")) return 'name starts with "/"';
  if (path.includes("\ufffd") || !path.isWellFormed()) return "name is not valid UTF-8";
  // deno-lint-ignore no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(path)) return "name holds a control character";
  if (path.length * 3 > PATH_BYTES_MAX && encoder.encode(path).length > PATH_BYTES_MAX) {
    return `path is longer than ${PATH_BYTES_MAX} bytes`;
  }
  for (const part of path.split("/")) {
    if (part === "") return "path holds an empty name";
    if (part === "." || part === "..") return `path holds "${part}"`;
    if (part.length * 3 > NAME_BYTES_MAX && encoder.encode(part).length > NAME_BYTES_MAX) {
      return `name is longer than ${NAME_BYTES_MAX} bytes`;
    }
  }
  return undefined;
}

/** Names that our own unfinished uploads have on targets; the finder ignores exactly these. */
export const TEMPORARY_NAME = /^filesync-[0-9a-f]{16}\.part$/;

/** Whether the last name of `path` is that of an unfinished upload. */
export function isTemporary(path: string): boolean {
  return TEMPORARY_NAME.test(path.slice(path.lastIndexOf("/") + 1));
}

/** The directory of `path`, `""` for a name in the root. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

/**
 * Where an upload is gathered before it is published: in the directory of `path`, named by path and content, so that
 * every retry of one delivery finds what the last one left and never continues other content.
 * @param sha256 SHA-256 of the whole file, lower-case hex
 */
export async function temporaryPath(path: string, sha256: string): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(`${path}\n${sha256}`)));
  const name = `filesync-${hash.subarray(0, 8).toHex()}.part`;
  const directory = parentOf(path);
  return directory === "" ? name : `${directory}/${name}`;
}

/** The `n`-th name beside `path` for `onExisting: "rename"`: `a/log.ulg` becomes `a/log~2.ulg`; `n` starts at 2. */
export function conflictPath(path: string, n: number): string {
  const nameAt = path.lastIndexOf("/") + 1;
  const dot = path.lastIndexOf(".");
  const stemEnd = dot > nameAt ? dot : path.length;
  const suffix = `~${n}${path.slice(stemEnd)}`;
  let name = path.slice(nameAt, stemEnd);
  while (encoder.encode(name + suffix).length > NAME_BYTES_MAX && name !== "") name = [...name].slice(0, -1).join("");
  return path.slice(0, nameAt) + name + suffix;
}
