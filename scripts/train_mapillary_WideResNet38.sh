#!/usr/bin/env bash
# DeepLabV3+ on Mapillary Vistas, losses weighted by image; the trunk starts from its ImageNet file where that is there.
# Needs: 8 GPUs as published, Mapillary Vistas 1.x.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/on_all_gpus.sh" --dataset mapillary --arch deepv3.DeepWV3Plus \
  --class_uniform_pct 0.5 --class_uniform_tile 1024 --syncbn --bs_trn 2 --lr 2e-2 --lr_schedule poly --poly_exp 1.0 \
  --crop_size 896 --scale_min 0.5 --scale_max 2.0 --color_aug 0.25 --gblur --max_epoch 175 \
  --img_wt_loss --wt_bound 6.0 --result_dir logs/mapillary_pretrain_WideResNet38 "$@"
