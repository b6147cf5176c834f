# What the runtime needs of a machine. Without these checks it ends with a segmentation fault or a word of the loader.
# $1: what the file is for, a word of `uname -m`. Prints the first thing that is wrong, and what to do.
wrong_with_system() {
  machine=$(uname -m)
  case $machine:$(getconf LONG_BIT 2>/dev/null || echo 64) in
    aarch64:32) echo 'This system is 32-bit on a 64-bit kernel. A 64-bit system is needed: install the 64-bit Raspberry Pi OS' ;;
    "$1":64) wrong_with_libc ;;
    armv*:* | i?86:* | *:32) echo "This machine or its system is 32-bit ($machine). A 64-bit system is needed" ;;
    *) echo "This file is for $1, and this machine is $machine: take the file for $machine" ;;
  esac
}
wrong_with_libc() {
  if command -v getconf >/dev/null; then
    libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc=
  else
    # A loader of glibc 2.33 or newer tells its version itself.
    libc=$(/lib*/ld-linux-"$(uname -m | tr _ -)".so.[12] --version 2>/dev/null | sed -n '1s/.*version \([0-9.]*[0-9]\).*/glibc \1/p') || libc=
  fi
  case $libc in
    'glibc '*.*)
      major=${libc#glibc }
      minor=${major#*.}
      major=${major%%.*}
      minor=${minor%%[!0-9]*}
      if [ "$major" -lt 2 ] || { [ "$major" -eq 2 ] && [ "$minor" -lt 27 ]; }; then
        echo "This system has $libc, and 2.27 or newer is needed: Debian 10, Ubuntu 18.04, or later"
        return
      fi
      ;;
    *)
      echo 'This system has no glibc (Alpine and OpenWrt have musl), and glibc 2.27 or newer is needed'
      return
      ;;
  esac
  pages=$(getconf PAGESIZE 2>/dev/null || echo 4096)
  if [ "$machine" = aarch64 ] && [ "$pages" -ne 4096 ]; then
    echo "This kernel has memory pages of $pages bytes, and 4096 are needed. On a Raspberry Pi 5 put \"kernel=kernel8.img\" into /boot/firmware/config.txt and restart"
  fi
}
