#!/usr/bin/env bash
# scripts/demo_test.sh [OUT [words for demo.py]]: the published ResNet-50 and PPM on a picture of ADE20K; masks and a legend in OUT.
# Fetches both once, about 200 MB. ASSETS_PATH says where to, SCENE_PARSING_URL where from.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
from="${SCENE_PARSING_URL:-http://sceneparsing.csail.mit.edu}"
assets="${ASSETS_PATH:-$here/../assets}"
name=ade20k-resnet50dilated-ppm_deepsup
picture=ADE_val_00001519.jpg
for file in encoder_epoch_20.pth decoder_epoch_20.pth; do
  "$here/fetch.sh" "$from/model/pytorch/$name/$file" "$assets/seg_weights/$name/$file"
done
"$here/fetch.sh" "$from/data/ADEChallengeData2016/images/validation/$picture" "$assets/data/demo/$picture"
exec python "$here/../demo.py" --dataset ade20k --demo-image "$assets/data/demo/$picture" \
  --snapshot "$assets/seg_weights/$name" --save-dir "${1:-demo_test}" "${@:2}"
