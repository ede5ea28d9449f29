#!/usr/bin/env bash
# DeepLabV3+ on KITTI's test images at three scales: pictures in OUT; pred/ holds what the benchmark server takes.
# Needs: a GPU (a CPU takes long), KITTI semantics, the file that train_kitti_WideResNet38.sh ends with.
set -euo pipefail
usage="usage: scripts/test_kitti_WideResNet38.sh WEIGHTS OUT [words for train.py]"
exec "$(dirname "${BASH_SOURCE[0]}")/on_all_gpus.sh" --dataset kitti --arch deepv3.DeepWV3Plus --snapshot "${1:?$usage}" \
  --result_dir "${2:?$usage}" --inference_mode sliding --eval test --scales 1.5,2.0,2.5 --crop_size 368 --dump_images "${@:3}"
