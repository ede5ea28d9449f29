#!/usr/bin/env bash
# DeepLabV3+ on Cityscapes' validation images: sliding windows, mirror images, pictures in OUT.
# Needs: a GPU (a CPU takes long), Cityscapes, published or own weights.
set -euo pipefail
usage="usage: scripts/eval_cityscapes_SEResNeXt50.sh WEIGHTS OUT [words for train.py]"
exec "$(dirname "${BASH_SOURCE[0]}")/on_all_gpus.sh" --dataset cityscapes --arch deepv3.DeepSRNX50V3PlusD_m1 --snapshot "${1:?$usage}" \
  --result_dir "${2:?$usage}" --inference_mode sliding --eval val --cv_split 0 --scales 1.0 --dump_images "${@:3}"
