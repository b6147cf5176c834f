#!/bin/sh
# Puts FileSync @VERSION@ from a release into this system, or a newer one in its place.
set -eu

usage() {
  cat <<'END'
Usage: sh install.sh [--from DIR|URL] [--prefix DIR] [--dry-run] [--no-restart]

  --from DIR|URL   Folder of the release, which has SHA256SUMS [where this script lies]
  --prefix DIR     Where the program goes: DIR/bin/filesync [/usr/local]
  --dry-run        Check the system and the file, and change nothing
  --no-restart     Leave services that run the program as they are

Looks at the system, verifies the file's checksum, tries the program, puts it in place in one step, and restarts the
services that run it. Exit code 0: installed; 1: not, and nothing was changed; 2: wrong usage.
END
}
say() { printf '%s\n' "$1"; }
fail() {
  printf 'install.sh: %s\n' "$1" >&2
  exit 1
}
misused() {
  printf 'install.sh: %s\n' "$1" >&2
  usage >&2
  exit 2
}

@CHECK_SYSTEM@
from=
prefix=/usr/local
is_dry=
may_restart=yes
while [ $# -gt 0 ]; do
  case $1 in
    --from | --prefix)
      [ $# -ge 2 ] && [ -n "$2" ] || misused "Expected a value after $1"
      case $1 in --from) from=$2 ;; *) prefix=$2 ;; esac
      shift
      ;;
    --dry-run) is_dry=yes ;;
    --no-restart) may_restart= ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) misused "Cannot understand \"$1\"" ;;
  esac
  shift
done
case $prefix in /*) ;; *) misused "Expected a whole path after --prefix, got \"$prefix\"" ;; esac
prefix=${prefix%/}

machine=$(uname -m)
wrong=$(wrong_with_system "$machine")
[ -z "$wrong" ] || fail "$wrong"

if [ -z "$from" ]; then
  case $0 in */*) from=${0%/*} ;; *) from=. ;; esac
  [ -f "$from/SHA256SUMS" ] || fail "There is no SHA256SUMS beside this script: name the folder or the address of the release with --from"
fi

# Beside where it is going to be, so that the last step is one rename.
target=$prefix/bin/filesync
if [ -n "$is_dry" ]; then
  new=$(mktemp -d) || fail 'Cannot make a temporary folder'
else
  mkdir -p "$prefix/bin" 2>/dev/null && new=$(mktemp -d "$prefix/bin/.filesync-new.XXXXXX" 2>/dev/null) \
    || fail "Cannot write to $prefix/bin: start this with sudo, or name another place, such as --prefix \"\$HOME/.local\""
fi
trap 'rm -rf -- "$new"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Gets file $1 of the release as $2.
get() {
  case $from in
    http://* | https://*)
      if command -v curl >/dev/null; then curl -fsSL --retry 3 -o "$2" -- "${from%/}/$1"
      elif command -v wget >/dev/null; then wget -q -O "$2" "${from%/}/$1"
      else fail 'Cannot download: neither curl nor wget is here'; fi || fail "Cannot download ${from%/}/$1"
      ;;
    *) cp -- "$from/$1" "$2" 2>/dev/null || fail "Cannot read $from/$1" ;;
  esac
}

get SHA256SUMS "$new/SHA256SUMS"
name=$(sed -n "s/^[0-9a-f]\{64\} [ *]\(filesync-[A-Za-z0-9.+-]*-$machine\)\$/\1/p" "$new/SHA256SUMS")
case $name in
  '') fail "There is no program for $machine in the SHA256SUMS of $from" ;;
  *' '* | *'
'*) fail "There are several programs for $machine in the SHA256SUMS of $from: leave one in it" ;;
esac
get "$name" "$new/filesync"
expected=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$name\$/\1/p" "$new/SHA256SUMS")
found=$(sha256sum <"$new/filesync" | cut -c1-64) || fail 'Cannot verify the file: there is no sha256sum'
[ "$found" = "$expected" ] || fail "$name is damaged: its checksum is $found, and $expected was expected. Download it again"
chmod 755 "$new/filesync"
# A program that does not start here never takes the place of one that does. It is tried whole: not what an earlier start
# of it has unpacked, and nothing of the trial stays.
[ -n "$is_dry" ] || export FILESYNC_CACHE_DIR="$new/cache"
version=$("$new/filesync" version 2>"$new/words") || fail "$name does not start here: $(cat "$new/words")"

if cmp -s "$new/filesync" "$target"; then
  say "as is  $target is $version"
  has_changed=
elif [ -n "$is_dry" ]; then
  say "would  put $version at $target"
  has_changed=
else
  sync "$new/filesync" 2>/dev/null || sync
  mv -f -- "$new/filesync" "$target" || fail "Cannot write $target"
  say "done   $target is $version"
  has_changed=yes
fi
[ -z "$is_dry" ] || exit 0

# What the program tells of itself: its manual page, and what the Tab key of shells asks.
put() {
  file=$prefix/share/$1
  shift
  "$target" "$@" >"$new/text" 2>/dev/null || return 0
  if cmp -s "$new/text" "$file"; then return 0; fi
  mkdir -p "${file%/*}" 2>/dev/null && chmod 644 "$new/text" && mv -f -- "$new/text" "$file" && say "done   $file"
}
put man/man1/filesync.1 man || say "The manual page could not be written: filesync man prints it"
put bash-completion/completions/filesync completions bash || :
put zsh/site-functions/_filesync completions zsh || :
put fish/vendor_completions.d/filesync.fish completions fish || :

case :$PATH: in *:"$prefix/bin":*) ;; *) say "Not on PATH: $prefix/bin" ;; esac

# Services of this program, as "filesync service install" writes them, run what was there before.
if [ -n "$has_changed" ] && [ -n "$may_restart" ] && [ -d /run/systemd/system ] && [ "$(id -u)" = 0 ]; then
  for unit in /etc/systemd/system/*.service; do
    grep -qE "^ExecStart=\"?$target\"? " "$unit" 2>/dev/null || continue
    unit=${unit##*/}
    systemctl is-active --quiet "$unit" || continue
    if systemctl restart "$unit"; then say "done   $unit runs it"
    else fail "$unit does not start with it: journalctl -u $unit -n 50"; fi
  done
fi
