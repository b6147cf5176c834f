import assert from "node:assert/strict";
import { parseConfig } from "./config.ts";
import { parseBlkid } from "./find.ts";
import { lastWord } from "./kernel.ts";
import { hasFstabLine, mountError } from "./mounting.ts";
import { parseMountinfo } from "./mountinfo.ts";

Deno.test("parseMountinfo() reads mounts with blanks, optional fields and their options", () => {
  const text = [
    "22 27 0:21 / /proc rw,relatime - proc proc rw",
    "66 27 8:1 / /media/FLIR\\040DUO\\011x ro,nosuid,nodev,noexec,relatime shared:29 master:1 - vfat /dev/sda1 ro,fmask=0022",
    "70 27 0:45 /part /mnt/\\303\\274 rw - fuseblk /dev/sdb1 rw,user_id=0",
    "71 27 8:2 / /rw rw - ext4 /dev/sda2 ro",
    "broken line",
    "",
  ].join("\n");
  assert.deepEqual(
    parseMountinfo(text).map(({ id, device, root, point, isReadOnly, type, source }) =>
      [id, device, root, point, isReadOnly, type, source].map(String).join(" ")
    ),
    [
      "22 0:21 / /proc false proc proc",
      "66 8:1 / /media/FLIR DUO\tx true vfat /dev/sda1",
      "70 0:45 /part /mnt/ü false fuseblk /dev/sdb1",
      "71 8:2 / /rw true ext4 /dev/sda2",
    ],
  );
});

Deno.test("parseBlkid() reads a block for each device", () => {
  const text = "DEVNAME=/dev/sda1\nLABEL=FLIR\\ DUO\nUUID=D1C6-0146\nTYPE=vfat\nPARTUUID=0004dd57-01\n\n" +
    "DEVNAME=/dev/loop0\nUUID=725bbf22-c5d6-4aaf-9854-f63ca05159ca\nTYPE=ext4\n";
  assert.deepEqual(parseBlkid(text), [
    { path: "/dev/sda1", uuid: "D1C6-0146", label: "FLIR DUO", partuuid: "0004dd57-01", type: "vfat" },
    {
      path: "/dev/loop0",
      uuid: "725bbf22-c5d6-4aaf-9854-f63ca05159ca",
      label: undefined,
      partuuid: undefined,
      type: "ext4",
    },
  ]);
  assert.deepEqual(parseBlkid(""), []);
});

Deno.test("parseConfig() takes the original program's arguments of a FLIR Duo", () => {
  assert.deepEqual(parseConfig({ uuid: "D1C6-0146", mount_point: "/mnt" }), {
    volume: { uuid: "D1C6-0146" },
    mountPoint: "/mnt",
    mount: "auto",
    unmount: "done",
    subdir: "",
  });
});

Deno.test("parseConfig() leaves a drive mounted that the system mounts, unless told", () => {
  assert.equal(parseConfig({ label: "FLIR DUO", mount: "never" }).unmount, "never");
  assert.equal(parseConfig({ label: "FLIR DUO", mount: "never", unmount: "done" }).unmount, "done");
  assert.equal(parseConfig({ label: "FLIR DUO" }).mountPoint, "/run/filesync/FLIR_DUO");
});

Deno.test("hasFstabLine() finds the line that lets a user mount it there", () => {
  const volume = { uuid: "D1C6-0146", path: "/dev/sda1" };
  const line = "UUID=D1C6-0146 /mnt/flir auto noauto,user,ro 0 0";
  assert.ok(hasFstabLine(`# a comment\n${line}\n`, volume, "/mnt/flir"));
  assert.ok(hasFstabLine("/dev/sda1\t/mnt/flir\tvfat\tusers 0 0", volume, "/mnt/flir"));
  assert.ok(!hasFstabLine(`#${line}`, volume, "/mnt/flir"));
  assert.ok(!hasFstabLine(line, volume, "/mnt"));
  assert.ok(!hasFstabLine(line.replace("user,", ""), volume, "/mnt/flir"));
  assert.ok(!hasFstabLine(line, { ...volume, uuid: "0313-D11F" }, "/mnt/flir"));
});

Deno.test("mountError() names the package of a filesystem that the system does not know", () => {
  const volume = { path: "/dev/sda1", device: "8:1", sequence: "", uuid: "D1C6-0146" };
  const says = (words: string) => mountError(volume, { ok: false, code: 32, out: "", words });
  const unknown = says("mount: /mnt: unknown filesystem type 'exfat'.");
  assert.deepEqual([unknown.code, unknown.details.hint], ["unavailable", "sudo apt install exfat-fuse"]);
  assert.equal(says('mount: only root can use "--options" option').code, "denied");
  const damaged = says("mount: /mnt: wrong fs type, bad option, bad superblock on /dev/sda1");
  assert.deepEqual([damaged.code, /bad superblock/.test(damaged.message)], ["unavailable", true]);
  assert.match(damaged.details.hint ?? "", /fsck \/dev\/sda1/);
});

Deno.test("lastWord() is the last line of the kernel's that names the device", () => {
  const lines = [
    "[   12.1] EXT4-fs error (device sda1): first",
    "[   13.5] exFAT-fs (sda1): error, points to invalid cluster (start_clu : 44)",
    "[   14.0] EXT4-fs error (device sda11): another drive",
  ];
  assert.equal(lastWord(lines, "sda1"), "exFAT-fs (sda1): error, points to invalid cluster (start_clu : 44)");
  assert.equal(lastWord(lines, "sdb1"), undefined);
});
