#!/bin/sh
# FileSync @VERSION@ for @ARCH@. This header looks at the machine, unpacks what follows it once into a cache, and runs that.
set -eu
hash=@HASH@
first_line=@FIRST_LINE@
say() {
  printf 'filesync: %s\n' "$1" >&2
  exit 126
}

@CHECK_SYSTEM@
wrong=$(wrong_with_system @ARCH@)
[ -z "$wrong" ] || say "$wrong"

case $0 in
  */*) self=$0 ;;
  *) self=$(command -v -- "$0") ;;
esac
self=$(readlink -f -- "$self")
[ -r "$self" ] || say "Cannot read $self: chmod a+r it"

# A cache of somebody else is not trusted: what lies in it is run.
user=$(id -u)
is_ours() { [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ]; }
# Whether programs in folder $1 may be started: not where it is mounted noexec.
may_run() {
  probe=$1/.try.$$
  printf '#!/bin/sh\n' 2>/dev/null >"$probe" && chmod 700 "$probe" && "$probe" 2>/dev/null && fine=0 || fine=1
  rm -f -- "$probe" 2>/dev/null
  return "$fine"
}
usable() {
  case $1 in /*) ;; *) return 1 ;; esac
  if [ -e "$1/$hash" ] && ! is_ours "$1/$hash"; then say "$1/$hash was not made by this user, so it is not run: remove it"; fi
  if is_ours "$1" && is_ours "$1/$hash" && [ -f "$1/$hash/.ok" ]; then return 0; fi
  (umask 077 && mkdir -p -- "$1") 2>/dev/null && is_ours "$1" && may_run "$1"
}
cache=
if [ -n "${FILESYNC_CACHE_DIR:-}" ]; then
  usable "$FILESYNC_CACHE_DIR" || say "Cannot unpack into \$FILESYNC_CACHE_DIR, $FILESYNC_CACHE_DIR: it must be an absolute path, this user's own, writable, and not mounted noexec"
  cache=$FILESYNC_CACHE_DIR
else
  for candidate in "${CACHE_DIRECTORY:-}" "${XDG_CACHE_HOME:+$XDG_CACHE_HOME/filesync}" "${HOME:+$HOME/.cache/filesync}" \
    "/var/cache/filesync-$user" "/var/tmp/filesync-$user" "${TMPDIR:-/tmp}/filesync-$user"; do
    if usable "${candidate%%:*}"; then
      cache=${candidate%%:*}
      break
    fi
  done
  [ -n "$cache" ] || say 'Cannot find a place to unpack: set FILESYNC_CACHE_DIR to a folder of this user with 120 MB of room, not mounted noexec'
fi
program=$cache/$hash

if [ ! -f "$program/.ok" ]; then
  mask=$(umask)
  umask 077
  new=$(mktemp -d "$cache/.new.$hash.XXXXXX") || say "Cannot write to $cache"
  trap 'rm -rf -- "$new"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  # A pipe tells only how its last part ended, so the sum is taken first.
  found=$(tail -n +"$first_line" -- "$self" | sha256sum | cut -c1-16)
  [ "$found" = "$hash" ] || say "$self is damaged: its content has the sum $found, and $hash was expected. Download it again"
  tail -n +"$first_line" -- "$self" | gzip -dc | tar -xf - -C "$new" --no-same-owner && [ -x "$new/filesync" ] \
    || say "Cannot unpack into $cache: make 120 MB of room there, or set FILESYNC_CACHE_DIR to another folder"
  # The mark is written when all else is on the disk: a power cut leaves no half program behind that mark.
  sync -f "$new" 2>/dev/null || sync
  : >"$new/.ok"
  # Who comes second in a race uses what the first has put there. What is there without a mark was never whole.
  if ! mv -T -- "$new" "$program" 2>/dev/null; then
    if [ ! -f "$program/.ok" ]; then
      rm -rf -- "$program"
      mv -T -- "$new" "$program" 2>/dev/null || [ -f "$program/.ok" ] || say "Cannot write $program"
    fi
  fi
  rm -rf -- "$new"
  trap - EXIT INT TERM HUP
  # Of the versions before, the last one stays, and any that still runs. Unpackings that a power cut ended go.
  running=$(ls -l /proc/[0-9]*/exe 2>/dev/null || :)
  kept=
  for old in $(cd "$cache" && ls -dt -- ????????????????/ 2>/dev/null); do
    old=${old%/}
    case $old in *[!0-9a-f]* | "$hash") continue ;; esac
    if [ -z "$kept" ]; then
      kept=$old
      continue
    fi
    case $running in *"$cache/$old/"*) ;; *) rm -rf -- "${cache:?}/$old" ;; esac
  done
  find "$cache" -maxdepth 1 -name '.new.*' -mtime +0 -exec rm -rf -- {} + 2>/dev/null || :
  # What the program delivers is not as secret as its cache.
  umask "$mask"
fi

export FILESYNC_SELF="$self" FILESYNC_UNPACKED="$program" DENO_DIR="$program/cache" DENO_NO_UPDATE_CHECK=1
exec "$program/filesync" run @FLAGS@ "$program/app/cli/main.js" "$@"
