#!/bin/sh
# Boots systemd in a guest (guest.ts) that is all ours: in a process namespace, with the guest's own devices and filesystems,
# so that udev, D-Bus, polkit and udisks run as the units that a machine has.
#   unshare --pid --fork --mount --net --uts --ipc --cgroup sh systemd_guest.sh DIR
# DIR is an empty folder; DIR/share is seen as /share inside.
set -eu
bed=$1
mount --make-rprivate /
mount --bind "$bed/share" /share
mount -t proc proc /proc
# What systemd clears at its start is its own.
for path in run tmp var/tmp; do mount -t tmpfs tmpfs "/$path"; done
ip link set lo up
for name in messagebus polkitd; do id -u "$name" >/dev/null 2>&1 || useradd --system "$name"; done
# As the packages' own scripts leave them.
mkdir -p /var/lib/udisks2 /var/lib/dbus
chmod 755 /etc/polkit-1 /etc/polkit-1/rules.d /usr/share/polkit-1/rules.d
# No service of the machine is started: what they all wait for is empty.
mkdir -p /run/systemd/system /run/lock
for target in sysinit basic network multi-user bare; do
  printf '[Unit]\nDefaultDependencies=no\n' >"/run/systemd/system/$target.target"
done
mount --make-rshared /
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=bare.target --show-status=no
