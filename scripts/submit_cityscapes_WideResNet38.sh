#!/usr/bin/env bash
# DeepLabV3+ on Cityscapes' test images at three scales: pictures, and a zip for the benchmark server, in OUT.
# Needs: a GPU (a CPU takes long), Cityscapes with its test images, published or own weights.
set -euo pipefail
usage="usage: scripts/submit_cityscapes_WideResNet38.sh WEIGHTS OUT [words for train.py]"
exec "$(dirname "${BASH_SOURCE[0]}")/on_all_gpus.sh" --dataset cityscapes --arch deepv3.DeepWV3Plus --snapshot "${1:?$usage}" \
  --result_dir "${2:?$usage}" --inference_mode sliding --eval test --scales 0.5,1.0,2.0 --dump_for_submission --dump_images "${@:3}"
