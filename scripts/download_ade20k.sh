#!/usr/bin/env bash
# scripts/download_ade20k.sh [DIR]: ADE20K scene parsing as --dataset ade20k reads it, by default in ASSETS_PATH/data/ADE20K.
# The same command goes on with what an earlier one left. ADE20K_URL is another address of the archive.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
url="${ADE20K_URL:-http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip}"
folder="${1:-${ASSETS_PATH:-$here/../assets}/data/ADE20K}"
tree=ADEChallengeData2016
if [ -d "$folder/$tree" ]; then
  echo "$folder/$tree is there already"
  exit 0
fi
echo "$folder: needs 2 GB while it is unpacked, 1 GB afterwards"
"$here/fetch.sh" "$url" "$folder/$tree.zip"
rm -rf "$folder/unpacking"
trap 'rm -rf "$folder/unpacking"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if ! python -m zipfile -e "$folder/$tree.zip" "$folder/unpacking" 2> /dev/null; then
  whole="import sys, zipfile; sys.exit(zipfile.ZipFile(sys.argv[1]).testzip() is not None)"
  if python -c "$whole" "$folder/$tree.zip" 2> /dev/null; then
    echo "error: $folder/$tree.zip could not be unpacked: free 1 GB, and call this again" >&2
    exit 1
  fi
  rm -rf "$folder/unpacking"
fi
if [ ! -d "$folder/unpacking/$tree/images/training" ]; then
  rm -rf "$folder/unpacking" "$folder/$tree.zip"
  rmdir "$folder" 2> /dev/null || true
  echo "error: $url gave a damaged or another archive, which could not be unpacked; it is gone: call this again" >&2
  exit 1
fi
mv "$folder/unpacking/$tree" "$folder/$tree"
rm "$folder/$tree.zip"
echo "$folder/$tree: $(find "$folder/$tree/images" -name '*.jpg' | wc -l) images"
