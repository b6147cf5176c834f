import assert from "node:assert/strict";
import { fakeMachine } from "./_fake_machine.ts";
import { filesystemOf, kindOf, mountOf, nearestExisting, parseMounts, realPath, writeRefusal } from "./filesystems.ts";

/** From a Raspberry Pi 4 with Raspberry Pi OS (bookworm), a stick with a space in its label, and a share. */
const MOUNTINFO = `22 1 179:2 / / rw,noatime shared:1 - ext4 /dev/root rw
24 22 0:5 / /dev rw,relatime shared:2 - devtmpfs udev rw,size=1673088k,nr_inodes=90453,mode=755
25 24 0:22 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw
30 22 0:26 / /tmp rw,nosuid,nodev,relatime shared:20 - tmpfs tmpfs rw
41 22 179:1 / /boot/firmware rw,relatime shared:26 - vfat /dev/mmcblk0p1 rw,fmask=0022,errors=remount-ro
77 22 8:1 / /media/pi/FLIGHT\\040LOGS rw,nosuid,nodev,relatime shared:40 - exfat /dev/sda1 rw,fmask=0022
80 22 0:50 / /mnt/nas rw,relatime shared:50 - cifs //nas/share rw,vers=3.1.1
81 22 0:51 / /mnt/nas rw,relatime shared:51 - nfs4 nas:/share rw,vers=4.2
`;

Deno.test("mountOf() finds the filesystem of a path by its longest mount point, the last one made winning", () => {
  const mounts = parseMounts(MOUNTINFO);
  const typeOf = (path: string) => mountOf(mounts, path)?.type;
  assert.equal(typeOf("/var/lib/filesync/filesync.db"), "ext4");
  assert.equal(typeOf("/tmp"), "tmpfs");
  assert.equal(typeOf("/tmpfiles/a"), "ext4");
  assert.equal(typeOf("/boot/firmware/filesync.db"), "vfat");
  assert.equal(typeOf("/media/pi/FLIGHT LOGS/DCIM"), "exfat");
  assert.equal(typeOf("/mnt/nas/logs"), "nfs4");
  assert.equal(mountOf(parseMounts("garbage\n\n - x"), "/a"), undefined);
});

Deno.test("kindOf() tells network, FAT and memory from a disk", () => {
  const kind = (type: string, commandLine = "") => kindOf({ point: "/", type, options: "" }, commandLine);
  for (const type of ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "virtiofs"]) {
    assert.equal(kind(type), "network");
  }
  for (const type of ["vfat", "exfat", "ntfs3", "fuseblk"]) assert.equal(kind(type), "fat");
  for (const type of ["tmpfs", "ramfs"]) assert.equal(kind(type), "memory");
  for (const type of ["ext4", "btrfs", "f2fs", "xfs", "overlay", "fuse.mergerfs"]) assert.equal(kind(type), "disk");
  assert.equal(kind("overlay", "console=tty1 root=PARTUUID=1-02 boot=overlay"), "memory");
  assert.equal(kind("overlay", "overlayroot=tmpfs:recurse=0 quiet"), "memory");
});

Deno.test("filesystemOf() is silent where the system does not tell", () => {
  assert.equal(filesystemOf(fakeMachine(), "/"), undefined);
});

Deno.test("realPath() follows links as far as a path exists", async () => {
  const dir = await Deno.realPath(await Deno.makeTempDir());
  try {
    await Deno.mkdir(`${dir}/real`);
    await Deno.symlink(`${dir}/real`, `${dir}/link`);
    assert.equal(realPath(`${dir}/link/a/b`), `${dir}/real/a/b`);
    assert.equal(nearestExisting(`${dir}/link/a/b`), `${dir}/link`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("writeRefusal() says why a path cannot be written, and nothing when it can be made", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/file`, "");
    assert.equal(writeRefusal(fakeMachine(), `${dir}/new/deep`, "directory"), undefined);
    assert.equal(writeRefusal(fakeMachine(), `${dir}/file`, "file"), undefined);
    assert.match(writeRefusal(fakeMachine(), `${dir}/file/x`, "file")?.why ?? "", /is no directory/);
    assert.match(writeRefusal(fakeMachine(), `${dir}/file`, "directory")?.why ?? "", /is no directory/);
    assert.match(writeRefusal(fakeMachine(), dir, "file")?.why ?? "", /it is a directory/);
    const readOnly = writeRefusal(fakeMachine(), "/proc/1/filesync", "directory");
    assert.ok(readOnly !== undefined && readOnly.remedy !== "");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
