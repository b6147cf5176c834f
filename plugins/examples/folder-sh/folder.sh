#!/usr/bin/env bash
# A directory of this machine as a source: a whole driver in shell, with jq and GNU's find, tail and cmp.
#
# Each call runs as a job of its own, so that a cancellation is heard while it is under way: the job is killed, and what
# it has written is a true prefix, since it only ever appends.
set -um
trap '' INT # the host decides when we stop

NAME=folder-sh
root=
job=
job_id=

# Sends one message; the arguments are jq's, the last one its program.
send() { jq -cn "$@"; }

# fail CODE MESSAGE: the code decides what FileSync does, the message is for people.
fail() {
  send --argjson id "$id" --arg code "$1" --arg message "$2" \
    '{jsonrpc: "2.0", id: $id, error: {code: -32000, message: $message, data: {code: $code}}}'
  exit
}

# The answer is JSON already.
result() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }

# What a message says, a line each. A path is checked again: names are hostile input.
# shellcheck disable=SC2016 # the names with $ are jq's
FIELDS='(.params.directory // .params.path // "") as $path |
  ($path == "" or (($path | test("[\\x00-\\x1f\\x7f]") | not) and
    ($path | split("/") | all(. != "" and . != "." and . != "..")))) as $fine |
  .method // "", (.id // .params.id | tojson), $fine, (if $fine then $path else ($path | tojson) end),
  .params.spoolFile // "", .params.offsetBytes // 0, .params.recursive // false'

# The place of the path that a message names.
place() {
  [ "$fine" = true ] || fail failed "Cannot use the path $path"
  [ -d "$root" ] || fail unavailable "Cannot find \"$root\": is it mounted?"
  at=$root${path:+/$path}
}

# Lines of find to entries below the directory $1. A line feed in a name came as U+0001.
FORMAT='%y\t%s\t%T@\t%P\0'
# shellcheck disable=SC2016 # the names with $ are jq's
ENTRIES='def entry($base): capture("^(?<type>.)\t(?<size>[0-9]*)\t(?<time>[^\t]*)\t(?<name>.*)$") |
  (.time | capture("^(?<s>-?[0-9]+)[.](?<ms>[0-9]{3})") | (.s | tonumber) * 1000 + (.ms | tonumber)) as $ms |
  (.name | gsub("\u0001"; "\ufffd")) as $name |
  {path: ([$base, $name] | map(select(. != "")) | join("/"))} +
  (if .type == "d" then {kind: "directory"} else {kind: "file", sizeBytes: (.size | tonumber), modifiedMs: $ms} end) +
  (if $name | test("\ufffd") then {problem: "Name holds bytes that cannot be told: rename the file"} else {} end);'

lines() { tr '\n\0' '\1\n'; }

# What is at a place, as an entry in JSON; nothing when it is neither a file nor a directory.
look() {
  find "$at" -maxdepth 0 \( -type f -o -type d \) -printf "$FORMAT" 2>/dev/null | lines |
    jq -cR --arg base "$path" "$ENTRIES entry(\$base)"
}

expect_same() {
  [ -n "$found" ] || fail not_found "Cannot find \"$path\""
  jq -e --argjson found "$found" '.params.expect | to_entries | all($found[.key] == null or .value == $found[.key])' \
    <<<"$line" >/dev/null || fail changed "\"$path\" changed: found $found"
}

do_initialize() {
  case $root in
    /*) ;;
    *)
      send --argjson id "$id" '{jsonrpc: "2.0", id: $id, error: {code: -32000,
        message: "Argument \"dir\" must be an absolute path", data: {code: "invalid_config", pointer: "/dir"}}}'
      return
      ;;
  esac
  result "$(jq -cn --arg name "$NAME" '{name: $name, version: "1.0.0", capabilities: {
    resumeDownload: true, recursiveList: true, remove: true, modifiedPrecisionMs: 1}}')"
}

do_list() {
  place
  [ -d "$at" ] || fail not_found "Cannot find the directory \"$path\""
  local depth=(-maxdepth 1)
  [ "$recursive" = true ] && depth=()
  set -o pipefail
  find "$at" -ignore_readdir_race -mindepth 1 "${depth[@]}" \( -type f -o -type d \) -printf "$FORMAT" | lines |
    jq -cnR --argjson id "$id" --arg base "$path" "$ENTRIES"'
      def batches: [limit(500; inputs)] | if . == [] then empty else ., batches end;
      batches | {jsonrpc: "2.0", method: "$/entries", params: {id: $id, entries: map(entry($base))}}' ||
    fail failed "Cannot list all of \"$path\""
  # What was mounted may have gone meanwhile: then a part was listed.
  [ -d "$root" ] || fail unavailable "Cannot find \"$root\": is it mounted?"
  result '{"complete": true}'
}

do_stat() {
  place
  found=$(look)
  [ -n "$found" ] || fail not_found "Cannot find \"$path\""
  result "$found"
}

do_download() {
  place
  local words
  found=$(look)
  expect_same
  [ -f "$spool" ] || fail failed "Cannot find the spool file"
  truncate -s "$offset" "$spool" || fail failed "Cannot cut the spool file"
  [ "$offset" -eq 0 ] || cmp -s -n "$offset" "$at" "$spool" ||
    fail corrupt "\"$path\" differs from what was fetched of it before"
  # In order, into the file that is there: a kill leaves a true prefix. Its growth is the sign of life.
  if ! words=$(tail -c "+$((offset + 1))" "$at" 2>&1 >>"$spool"); then
    case $words in
      *"No space left"* | *"quota exceeded"*) fail no_space "$words" ;;
      *"Input/output error"*) fail unavailable "$words" ;;
      *) fail failed "$words" ;;
    esac
  fi
  found=$(look)
  expect_same
  result "$(jq -c '{sizeBytes, fingerprint: {sizeBytes, modifiedMs}}' <<<"$found")"
}

do_remove() {
  place
  found=$(look)
  if [ -n "$found" ]; then
    expect_same
    rm -f "$at" || fail denied "Cannot remove \"$path\""
  fi
  result '{}'
}

do_check() {
  if [ -d "$root" ]; then
    result "$(jq -cn --arg dir "$root" '[{name: "dir", ok: true, detail: $dir}]')"
  else
    result "$(jq -cn --arg dir "$root" '[{name: "dir", ok: false, detail: "\($dir) is missing",
      code: "unavailable", remedy: "mkdir \($dir)"}]')"
  fi
}

end_job() {
  [ -n "$job" ] && kill -KILL -- "-$job" 2>/dev/null
  job=
}
trap end_job EXIT

while IFS= read -r line; do
  {
    IFS= read -r method && IFS= read -r id && IFS= read -r fine && IFS= read -r path && IFS= read -r spool &&
      IFS= read -r offset && IFS= read -r recursive
  } < <(jq -r "$FIELDS" <<<"$line") || continue
  case $method in
    '$/cancel')
      if [ -n "$job" ] && [ "$id" = "$job_id" ] && kill -0 "$job" 2>/dev/null; then
        end_job
        (fail cancelled "Call is cancelled")
      fi
      ;;
    initialize)
      root=$(jq -r '.params.args.dir' <<<"$line")
      do_initialize
      ;;
    list | stat | download | remove | check)
      # One call at once: that is what no callsMax means.
      [ -z "$job" ] || wait "$job" 2>/dev/null
      "do_$method" &
      job=$!
      job_id=$id
      ;;
    shutdown)
      result '{}'
      exit
      ;;
    '$/'* | '') ;; # notifications that we do not know
    *) send --argjson id "$id" '{jsonrpc: "2.0", id: $id, error: {code: -32601, message: "Method is not supported"}}' ;;
  esac
done
