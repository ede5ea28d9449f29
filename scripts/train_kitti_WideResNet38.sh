#!/usr/bin/env bash
# DeepLabV3+ on KITTI semantics (split --cv 2), from the published Cityscapes network or the one given.
# Needs: 8 GPUs as published, KITTI semantics.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/on_all_gpus.sh" --dataset kitti --cv 2 --arch deepv3.DeepWV3Plus \
  --snapshot "${1:-pretrained_models/cityscapes_best.pth}" --class_uniform_pct 0.5 --class_uniform_tile 300 \
  --lr 0.001 --lr_schedule poly --poly_exp 1.0 --syncbn --bs_trn 2 --crop_size 360 --scale_min 1.0 --scale_max 2.0 \
  --color_aug 0.25 --gblur --max_epoch 90 --img_wt_loss --wt_bound 1.0 --result_dir logs/kitti_ft "${@:2}"
