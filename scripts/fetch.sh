#!/usr/bin/env bash
# scripts/fetch.sh URL FILE [SHA256]: download to FILE.part, going on where an earlier try stopped, then rename.
# Does nothing where FILE is there. One line and exit code 1 where the address cannot be reached, or where it gives something
# else: a web page in place of the file, or content with another checksum. Of these nothing is left; of a file that broke
# off, FILE.part, with which the same command goes on.
set -euo pipefail
usage="usage: scripts/fetch.sh URL FILE [SHA256]"
url="${1:?$usage}" file="${2:?$usage}" sum="${3:-}"
part="$file.part"
if [ -s "$file" ]; then
  exit 0
fi
if ! command -v curl > /dev/null; then
  echo "error: $url: downloading needs curl (apt install curl)" >&2
  exit 1
fi
# The folders that are made here go again where they stay empty.
made=""
folder="$(dirname "$file")"
while [ ! -d "$folder" ]; do
  made="$made$folder"$'\n'
  folder="$(dirname "$folder")"
done
leave() {
  if [ -f "$part" ] && [ ! -s "$part" ]; then
    rm -f "$part"
  fi
  while IFS= read -r folder; do
    if [ -n "$folder" ]; then
      rmdir "$folder" 2> /dev/null || true
    fi
  done <<< "$made"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
fail() {
  echo "error: $url $1" >&2
  exit 1
}
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
  rest=""
  if [ -s "$part" ]; then
    rest="; the same command goes on from $part"
  fi
  fail "could not be fetched (curl: code $status): no network here, or the file is gone$rest"
fi
if [ ! -s "$part" ]; then
  fail "gave an empty file: nothing is kept; look at the address in a browser"
fi
start="$(head -c 512 "$part" | tr -d '\000' | tr '[:upper:]' '[:lower:]')"
if [[ "$start" =~ ^[^a-z0-9]*\<(!doctype\ html|html|head) && ! "$file" =~ \.html?$ ]]; then
  rm -f "$part"
  fail "gave a web page, not the file: nothing is kept; look at the address in a browser"
fi
if [[ "$start" == "version https://git-lfs"* ]]; then
  rm -f "$part"
  fail "gave a Git LFS pointer, not the file: nothing is kept; take the address of its raw content"
fi
if [ -n "$sum" ] && ! echo "$sum  $part" | sha256sum --check --status; then
  rm -f "$part"
  fail "gave a file with another checksum than $sum: nothing is kept; call this again"
fi
mv "$part" "$file"
