#!/bin/sh
# Boots the system's own systemd in namespaces of its own, on a copy of the root of which every write goes to memory.
# Nothing of the host is changed: its files are below an overlay, /proc/sys and /sys are read-only, there is no network.
#   unshare --pid --fork --mount --net --uts --ipc --cgroup sh systemd_bed.sh DIR
# DIR is an empty folder; DIR/share is seen as /share inside.
set -eu
bed=$1
mount --make-rprivate /
mkdir -p "$bed/share"
mkdir "$bed/m"
mount -t tmpfs tmpfs "$bed/m"
mkdir "$bed/m/up" "$bed/m/work" "$bed/m/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$bed/m/up,workdir=$bed/m/work" "$bed/m/root"
cd "$bed/m/root"
mkdir -p share old
mount --bind "$bed/share" share
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
for path in run tmp var/tmp dev; do mount -t tmpfs tmpfs "$path"; done
for name in null zero full random urandom tty; do
  : >"dev/$name"
  mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/pts dev/shm
mkdir dev/mqueue dev/hugepages
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ip link set lo up
# No service of the machine is started: what they all wait for is empty.
mkdir -p run/systemd/system run/lock
for target in sysinit basic network multi-user bare; do
  printf '[Unit]\nDefaultDependencies=no\n' >"run/systemd/system/$target.target"
done
pivot_root . old
umount -l /old
# As on any machine that systemd boots: what it mounts for a service, such as its credentials, it makes elsewhere.
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=bare.target --show-status=no
