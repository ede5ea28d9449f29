#!/usr/bin/env bash
# DeepLabV3+ on Cityscapes (split --cv 2) with label relaxation, from a network trained on Mapillary Vistas.
# Needs: 8 GPUs as published, Cityscapes with the coarse images, the file that train_mapillary_WideResNet38.sh ends with.
set -euo pipefail
weights="${1:?usage: scripts/train_cityscapes_WideResNet38.sh MAPILLARY_MODEL [words for train.py]}"
exec "$(dirname "${BASH_SOURCE[0]}")/on_all_gpus.sh" --dataset cityscapes --cv 2 --arch deepv3.DeepWV3Plus \
  --snapshot "$weights" --class_uniform_pct 0.5 --class_uniform_tile 1024 --max_cu_epoch 150 \
  --lr 0.001 --lr_schedule scl-poly --poly_exp 1.0 --repoly 1.5 --rescale 1.0 --max_epoch 175 --syncbn --bs_trn 2 \
  --crop_size 896 --scale_min 0.5 --scale_max 2.0 --color_aug 0.25 --gblur \
  --coarse_boost_classes 14,15,16,3,12,17,4 --jointwtborder --strict_bdr_cls 5,6,7,11,12,17,18 --rlx_off_epoch 100 \
  --wt_bound 1.0 --result_dir logs/cityscapes_ft_WideResNet38 "${@:2}"
