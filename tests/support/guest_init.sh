#!/bin/sh
# The first process of a guest (guest.ts): a Linux of its own on a copy of the host's root, of which every write stays in
# memory. $GUEST_PACKAGES lies over that root; $GUEST_SHARE is the one folder that both see, and its `run` is what is run.
set -eu
modules=$(echo "$GUEST_PACKAGES"/usr/lib/uml/modules/*)
mount -t proc proc /proc
mount -t tmpfs tmpfs /mnt
ln -s "$GUEST_PACKAGES/bin/kmod" /mnt/insmod
/mnt/insmod "$modules/kernel/fs/overlayfs/overlay.ko"
mkdir /mnt/up /mnt/work /mnt/root /mnt/packages
# Mounted by itself: the layers of an overlay must not lie in one another.
mount -t hostfs -o "$GUEST_PACKAGES" hostfs /mnt/packages
mount -t overlay overlay -o "lowerdir=/mnt/packages:/,upperdir=/mnt/up,workdir=/mnt/work" /mnt/root
cd /mnt/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs devtmpfs dev
mkdir -p dev/pts dev/shm share lib/modules old
mount -t devpts devpts dev/pts
for path in run dev/shm; do mount -t tmpfs tmpfs "$path"; done
mount -t hostfs -o "$GUEST_SHARE" hostfs share
ln -s "$modules" "lib/modules/$(uname -r)"
# The root itself, and no chroot: a systemd that a test boots makes roots of its own for its services.
pivot_root . old
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot . /bin/sh -c '
  umount -l /old
  for module in loop vfat nls_cp437 nls_iso8859-1 nls_ascii nls_utf8 fuse; do modprobe -q "$module"; done
  ip link set lo up
  sh /share/run >/share/out 2>&1 </dev/null
  echo $? >/share/code
  exec halt -f'
