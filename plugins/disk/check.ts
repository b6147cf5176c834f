/** What `filesync doctor` is told of a drive. */
import { asDriverError, type Finding, type Role } from "../../lib/driver/mod.ts";
import { findings as findingsOfFiles } from "../local/check.ts";
import type { DiskConfig } from "./config.ts";
import { findVolumes } from "./find.ts";
import { fstabLine, wayToMount } from "./mounting.ts";
import type { Station } from "./station.ts";

const WAYS = {
  root: "by mount(8), as root",
  fstab: "by mount(8): a line in /etc/fstab allows it to users",
  udisks: "by udisks: polkit decides whether we may",
  none: "not by us",
};

export async function findings(station: Station, config: DiskConfig, role: Role): Promise<Finding[]> {
  const name = config.volume.uuid ?? config.volume.label ?? config.volume.partuuid;
  const [volume] = await findVolumes(config.volume);
  if (volume === undefined) {
    return [{
      name: "drive",
      ok: false,
      code: "unavailable",
      detail: `No drive "${name}" is there`,
      remedy: "Plug it in; lsblk -f shows what is there",
    }];
  }
  const found: Finding[] = [{ name: "drive", ok: true, detail: `"${name}" is there as "${volume.path}"` }];
  if (config.mount === "auto") {
    const way = await wayToMount(volume, config.mountPoint);
    found.push(
      way === "none"
        ? {
          name: "mounting",
          ok: false,
          code: "denied",
          detail: `"${volume.path}" cannot be mounted without root`,
          remedy: `sudo apt install udisks2, or in /etc/fstab: ${fstabLine(volume, config.mountPoint)}`,
        }
        : { name: "mounting", ok: true, detail: `is done ${WAYS[way]}` },
    );
  }
  try {
    found.push(...await station.use(() => findingsOfFiles(station.root, role)));
  } catch (error) {
    const { code, message, details } = asDriverError(error);
    found.push({
      name: "mount",
      ok: false,
      code,
      detail: message,
      ...(details.hint === undefined ? {} : { remedy: details.hint }),
    });
  }
  return found;
}
