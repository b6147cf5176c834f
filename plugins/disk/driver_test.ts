import { diskConformance, FAT_NAMES } from "../../tests/support/disk_conformance.ts";
import { DRIVES, hasDrives } from "../../tests/support/loop_drive.ts";
import { hasCommand, testNeeding } from "../../tests/support/needs.ts";

if (hasDrives()) {
  diskConformance("ext4", { keepsTime: true });
  const tools = ["mkfs.exfat", "mount.exfat-fuse"];
  if (tools.every(hasCommand)) diskConformance("exfat", { keepsTime: true, names: FAT_NAMES });
  else testNeeding(tools.join(" and "), "disk with exfat: conformance", () => {}, false);
} else testNeeding(DRIVES, "disk: conformance", () => {}, false);
