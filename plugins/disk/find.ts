/** Which block device holds the filesystem that is meant, and whether it is still there. */
import type { VolumeName } from "./config.ts";
import { isRoot, look, readSystemFile } from "./libc.ts";
import { run } from "./tools.ts";

/** A block device with a filesystem on it. */
export interface Volume {
  /** A path to mount it by. */
  path: string;
  /** `major:minor`. */
  device: string;
  /** Differs for each device that was ever attached since the start; empty before Linux 5.15. */
  sequence: string;
  uuid: string;
  /** As blkid calls it, "vfat"; absent where nobody has told. */
  type?: string;
}

/** Links that udev keeps, by the names of the arguments. */
const LINKS: Record<keyof VolumeName, string> = {
  uuid: "/dev/disk/by-uuid",
  label: "/dev/disk/by-label",
  partuuid: "/dev/disk/by-partuuid",
};

/** The devices that fit; more than one when drives were made alike. */
export async function findVolumes(name: VolumeName): Promise<Volume[]> {
  const known = linked(name);
  // The links of udev tell one of several that are alike.
  const probed = await probe(name);
  const found = new Map<string, Volume>();
  for (const volume of [...(known === undefined ? [] : [known]), ...probed]) {
    if (isThere(volume)) found.set(volume.device, { ...found.get(volume.device), ...volume });
  }
  // A link that udev has not taken away yet leads to another drive by now; only root can look at the drives themselves.
  if (isRoot()) {
    for (const device of found.keys()) if (!probed.some((one) => one.device === device)) found.delete(device);
  }
  return [...found.values()];
}

/** A value that changes when a drive comes or goes; cheap enough for each second. */
export function drivesSignature(name: VolumeName): string {
  const partitions = readSystemFile("/proc/partitions") ?? "";
  const disks = [...partitions.matchAll(/\s(\S+)$/gm)].map((match) => match[1]!);
  const links = Object.entries(name).map(([key, value]) => linkDevice(key as keyof VolumeName, value) ?? "");
  return [
    partitions,
    ...disks.map((disk) => readSystemFile(`/sys/class/block/${disk}/diskseq`)?.trim() ?? ""),
    ...links,
  ].join("\n");
}

/** Whether the device is attached, and no other has taken its number. */
export function isThere(volume: { device: string; sequence: string }): boolean {
  return isAttached(volume.device) && sequenceOf(volume.device) === volume.sequence;
}

/** Whether a device has a medium: its number stays without one, in a card reader. */
export function isAttached(device: string): boolean {
  const size = readSystemFile(`/sys/dev/block/${device}/size`)?.trim();
  return size !== undefined && size !== "0";
}

/** Whether the drive refuses to be written to: its switch, or its controller's last resort. */
export function isWriteProtected({ device }: Volume): boolean {
  return readSystemFile(`/sys/dev/block/${device}/ro`)?.trim() === "1";
}

/** The kernel's number of this attachment; a partition has that of its disk. */
export function sequenceOf(device: string): string {
  const at = `/sys/dev/block/${device}`;
  return (readSystemFile(`${at}/diskseq`) ?? readSystemFile(`${at}/../diskseq`) ?? "").trim();
}

function linked(name: VolumeName): Volume | undefined {
  const entries = Object.entries(name) as [keyof VolumeName, string][];
  const devices = entries.map(([key, value]) => linkDevice(key, value));
  const [device] = devices;
  if (device === undefined || devices.some((other) => other !== device)) return undefined;
  const path = pathOf(device);
  return path === undefined ? undefined : { path, device, sequence: sequenceOf(device), uuid: name.uuid ?? "" };
}

/** FAT's UUIDs are in capitals, ext4's in small letters; people write either. */
function linkDevice(key: keyof VolumeName, value: string): string | undefined {
  const spellings = key === "label" ? [escaped(value)] : [value, value.toUpperCase(), value.toLowerCase()];
  for (const spelling of spellings) {
    const found = look(`${LINKS[key]}/${spelling}`);
    if (found !== undefined) return found.isNodeOf;
  }
}

/** As udev writes a label into a name. */
function escaped(label: string): string {
  return [...label].map((char) =>
    /[0-9A-Za-z#+.:=@_-]/.test(char) || char > "\u007f"
      ? char
      : `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`
  ).join("");
}

function pathOf(device: string): string | undefined {
  const name = /^DEVNAME=(.+)$/m.exec(readSystemFile(`/sys/dev/block/${device}/uevent`) ?? "")?.[1];
  return name === undefined ? undefined : `/dev/${name}`;
}

/** Asks the devices themselves (root), or what udev knows of them. */
async function probe(name: VolumeName): Promise<Volume[]> {
  const rows = isRoot() ? await askBlkid() : await askLsblk();
  return rows.flatMap((row) => {
    const fits = same(name.uuid, row.uuid) && same(name.partuuid, row.partuuid) &&
      (name.label === undefined || name.label === row.label || inCarets(name.label) === row.label);
    const device = fits ? look(row.path)?.isNodeOf : undefined;
    if (device === undefined) return [];
    const { path, uuid = "", type } = row;
    return [{ path, device, sequence: sequenceOf(device), uuid, ...(type === undefined ? {} : { type }) }];
  });
}

function same(wanted: string | undefined, found: string | undefined): boolean {
  return wanted === undefined || wanted.toLowerCase() === found?.toLowerCase();
}

interface Row {
  path: string;
  uuid?: string | undefined;
  label?: string | undefined;
  partuuid?: string | undefined;
  type?: string | undefined;
}

async function askBlkid(): Promise<Row[]> {
  // Without the cache file: it may know drives that are gone.
  const { out } = await run("blkid", ["-c", "/dev/null", "-o", "export"]);
  return parseBlkid(out);
}

/** The answer of `blkid -o export`: a block of `KEY=value` lines for each device. */
export function parseBlkid(text: string): Row[] {
  return text.split(/\n\s*\n/).flatMap((block) => {
    const values = new Map(
      block.split("\n").map((line) => [line.slice(0, line.indexOf("=")), unescaped(line.slice(line.indexOf("=") + 1))]),
    );
    const path = values.get("DEVNAME");
    return path === undefined ? [] : [{
      path,
      uuid: values.get("UUID"),
      label: values.get("LABEL"),
      partuuid: values.get("PARTUUID"),
      type: values.get("TYPE"),
    }];
  });
}

/** A label as blkid prints it, whatever the language is: a byte that is not ASCII as `M-`, a control character as `^`. */
export function inCarets(label: string): string {
  return [...new TextEncoder().encode(label)].map((byte) => {
    const low = byte & 0x7f;
    const shown = low < 0x20 || low === 0x7f ? `^${String.fromCharCode(low ^ 0x40)}` : String.fromCharCode(low);
    return byte > 0x7f ? `M-${shown}` : shown;
  }).join("");
}

function unescaped(value: string): string {
  return value.replace(/\\(.)/g, "$1");
}

async function askLsblk(): Promise<Row[]> {
  const { ok, out } = await run("lsblk", ["--json", "--list", "--output", "PATH,UUID,LABEL,PARTUUID,FSTYPE"]);
  if (!ok) return [];
  const { blockdevices } = JSON.parse(out) as { blockdevices: Record<string, string | null>[] };
  return blockdevices.map(({ path, uuid, label, partuuid, fstype }) => ({
    path: path ?? "",
    uuid: uuid ?? undefined,
    label: label ?? undefined,
    partuuid: partuuid ?? undefined,
    type: fstype ?? undefined,
  }));
}
