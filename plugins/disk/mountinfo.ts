/** What `/proc/self/mountinfo` says; pure. Format: proc_pid_mountinfo(5). */

export interface Mount {
  id: bigint;
  /** `major:minor` of the filesystem, as `stat` says it of its files. */
  device: string;
  /** The part of the filesystem that is mounted: `/` unless it is bound. */
  root: string;
  point: string;
  isReadOnly: boolean;
  /** Options of the mount itself, not of its filesystem: `nosuid`, … */
  options: readonly string[];
  type: string;
  /** A device's path, for what has one. */
  source: string;
}

/** The mounts in their order: a later one covers an earlier one on the same point. */
export function parseMountinfo(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const fields = line.split(" ");
    const dash = fields.indexOf("-", 6);
    const [id, , device, root, point, options] = fields;
    if (dash < 0 || options === undefined || id === undefined || device === undefined) return [];
    const [type = "", source = "", superOptions = ""] = fields.slice(dash + 1);
    return [{
      id: BigInt(id),
      device,
      root: plain(root!),
      point: plain(point!),
      isReadOnly: [options, superOptions].some((list) => list.split(",").includes("ro")),
      options: options.split(","),
      type,
      source: plain(source),
    }];
  });
}

/** Blanks, tabs, newlines and backslashes come as three octal digits. */
function plain(text: string): string {
  if (!text.includes("\\")) return text;
  const bytes: number[] = [];
  const given = new TextEncoder().encode(text);
  for (let at = 0; at < given.length; at++) {
    const digits = given[at] === 0x5c ? new TextDecoder().decode(given.subarray(at + 1, at + 4)) : "";
    if (/^[0-7]{3}$/.test(digits)) {
      bytes.push(parseInt(digits, 8));
      at += 3;
    } else bytes.push(given[at]!);
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}
