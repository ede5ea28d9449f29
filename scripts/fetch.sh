#!/usr/bin/env bash
# scripts/fetch.sh URL FILE: download to FILE.part, going on where an earlier try stopped, then rename.
# Does nothing where FILE is there. One line and exit code 1 where the address cannot be reached.
set -euo pipefail
usage="usage: scripts/fetch.sh URL FILE"
url="${1:?$usage}" file="${2:?$usage}"
part="$file.part"
if [ -s "$file" ]; then
  exit 0
fi
if ! command -v curl > /dev/null; then
  echo "error: $url: downloading needs curl (apt install curl)" >&2
  exit 1
fi
mkdir -p "$(dirname "$file")"
bar=--silent
if [ -t 2 ]; then
  bar=--progress-bar
fi
get() {
  curl --fail --location "$bar" --retry 3 --connect-timeout 20 --speed-limit 1 --speed-time 60 --output "$part" "$@" "$url"
}

echo "fetching $url"
status=0
get --continue-at - || status=$?
# A server that cannot go on in the middle of a file (33), or has nothing behind what is there (22).
if [ -s "$part" ] && [[ $status = 33 || $status = 22 ]]; then
  status=0
  get || status=$?
fi
if [ "$status" -ne 0 ]; then
  if [ ! -s "$part" ]; then
    rm -f "$part"
  fi
  echo "error: $url could not be fetched (curl: code $status): no network here, or the file is gone" >&2
  exit 1
fi
mv "$part" "$file"
