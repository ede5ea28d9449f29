"""Every option once: the table below makes the yacs tree, the command line and `--help`.

Precedence: defaults < `--cfg FILE.yaml` (several allowed, in order) < flags < trailing `KEY VALUE` pairs.
Flags of NVIDIA's train.py keep their names, defaults and meaning; "" is "off" for a string, -1 or 0 for a number as
its help says. `load` gives a frozen CfgNode, `problems` lists what contradicts itself, all at once.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yacs.config import CfgNode

from utils import csail, paddleseg
from utils.errors import UserError, nearest

# The folder of large files: datasets, weights, caches. Set it here, in the environment, or by `ASSETS_PATH /my/folder`.
ASSETS_PATH = os.environ.get("ASSETS_PATH", str(Path(__file__).resolve().parent / "assets"))


class Option(NamedTuple):
    """One option. The default fixes its type; `flags` are its names on the command line, blank-separated."""

    key: str
    default: bool | int | float | str | list[int] | list[float]
    help: str
    flags: str = ""
    choices: tuple[str, ...] = ()
    common: bool = False  # listed by the short --help


def _table() -> dict[str, list[Option]]:
    o = Option
    return {
        "Folders": [
            o("ASSETS_PATH", ASSETS_PATH, "folder of large files; the word ASSETS_PATH in any path stands for it"),
            o("DATASET.CITYSCAPES_DIR", "ASSETS_PATH/data/Cityscapes", "Cityscapes", "--set_cityscapes_root"),
            o("DATASET.CITYSCAPES_CUSTOMCOARSE", "ASSETS_PATH/data/Cityscapes/autolabelled", "automatic labels", "--custom_coarse_dir"),
            o("DATASET.MAPILLARY_DIR", "ASSETS_PATH/data/Mapillary/data", "Mapillary Vistas"),
            o("DATASET.CAMVID_DIR", "ASSETS_PATH/data/CamVid", "CamVid in the SegNet layout"),
            o("DATASET.CAMVID_CLASSES", "11", "classes of CamVid's painted labels: SegNet's 11, or all", choices=("11", "32")),
            o("DATASET.KITTI_DIR", "ASSETS_PATH/data/KITTI", "KITTI semantics"),
            o("DATASET.ADE20K_DIR", "ASSETS_PATH/data/ADE20K", "ADE20K scene parsing"),
            o("DATASET.LIST_TRAIN", "", "ade20k: .odgt list of training images; empty: its folder", "--list_train"),
            o("DATASET.LIST_VAL", "", "ade20k: .odgt list of validation images; empty: its folder", "--list_val"),
            o("DATASET.AUG_DIR", "", "frames with propagated labels; empty: cs_aug or camvid_aug3/CamVid in the dataset", "--aug_dir"),
            o("DATASET.TOY_DIR", "ASSETS_PATH/data/toy", "where the embedded scenes are written"),
            o("DATASET.CENTROID_ROOT", "ASSETS_PATH/uniform_centroids", "cache of class centroids"),
            o("DATASET.ROOT", "", "the dataset's folder, whichever dataset it is", "--dataset_dir --root_dataset --data_root", common=True),
            o("RESULT_DIR", "./logs", "output folder of the run", "--result_dir", common=True),
        ],
        "What to do": [
            o("EVAL.MODE", "", "evaluate instead of training", "--eval", ("", "val", "trn", "test", "folder"), common=True),
            o("EVAL.FOLDER", "", "folder of images for --eval folder", "--eval_folder", common=True),
            o("EVAL.LABELS", "", "folder of labels to score --eval folder against", "--eval_labels"),
            o("EVAL.LABEL_IDS", "auto", "ids in those labels: the dataset's own, or train ids", "--eval_label_ids", ("auto", "raw", "train")),
            o("SNAPSHOT", "", "checkpoint to take weights from, by name and shape", "--snapshot", common=True),
            o("RESUME", "", "checkpoint to continue from; auto: newest intact one of the run", "--resume", common=True),
            o("TRAIN.RESTORE_OPTIMIZER", False, "take the optimizer state of --snapshot, too", "--restore_optimizer"),
            o("TRAIN.RESTORE_NET", False, "take weights; --snapshot and --resume imply it", "--restore_net"),
            o("OPTIONS.TEST_MODE", False, "smoke test: 2 epochs of 11 steps, 7 images of validation", "--test_mode"),
            o("OPTIONS.DEVICES", "", "GPUs of this machine, a process on each: 0-3, or 0,2,4", "--device --gpus --gpu --gpu_id"),
            o("OPTIONS.SUMMARY", False, "print parameters, multiply-adds, memory; then stop", "--summary"),
            o("OPTIONS.DETERMINISTIC", False, "deterministic kernels on the GPU", "--deterministic"),
            o("SEED", 0, "seed of weights, sampling, augmentation", "--seed", common=True),
            o("PUBLISHED", "", "published slips to switch on, by name, comma-separated", "--published"),
        ],
        "Network": [
            o("MODEL.ARCH", "", "network to build, for instance ocrnet.HRNet_Mscale", "--arch", common=True),
            o("MODEL.ENCODER", "resnet50dilated", "encoder_decoder: resnet18, resnet50, resnet101, resnext101, mobilenetv2 (and ...dilated), hrnetv2", "--arch_encoder"),
            o("MODEL.DECODER", "ppm_deepsup", "encoder_decoder: c1, c1_deepsup, ppm, ppm_deepsup, upernet, upernet_lite", "--arch_decoder"),
            o("MODEL.FC_DIM", 0, "channels of the encoder's last map; 0: as they are", "--fc_dim"),
            o("MODEL.HRNET_WIDTH", 48, "channels of HRNet's highest branch: 48, 32, 18, ...", "--hrnet_width"),
            o("MODEL.WIDTH_MULT", 1.0, "factor on every channel count of the trunk", "--width_mult"),
            o("MODEL.N_SCALES", "", "scales combined at evaluation: 0.5,1.0,2.0", "--n_scales", common=True),
            o("MODEL.MSCALE_LO_SCALE", 0.5, "the lower of the two training scales", "--mscale_lo_scale"),
            o("MODEL.SECOND_SCALE_FROM", 0, "epoch from which training sees the lower scale, too", "--second_scale_from"),
            o("MODEL.ALIGN_CORNERS", False, "align corners in bilinear resizing", "--align_corners"),
            o("MODEL.OCR_ASPP", False, "ASPP between trunk and OCR head", "--ocr_aspp"),
            o("MODEL.SEGATTN_BOT_CH", 256, "width of segmentation and attention heads", "--segattn_bot_ch"),
            o("MODEL.ASPP_BOT_CH", 256, "width of an ASPP branch", "--aspp_bot_ch"),
            o("MODEL.MSCALE_INNER_3x3", True, "the inner 3x3 convolution of the attention head; the flag: without"),
            o("MODEL.MSCALE_DROPOUT", False, "dropout 0.5 in the attention head", "--mscale_dropout"),
            o("MODEL.MSCALE_OLDARCH", False, "older attention head, constant start", "--mscale_old_arch"),
            o("MODEL.ATTNSCALE_BN_HEAD", False, "batch norm in the attnscale head", "--attnscale_bn_head"),
            o("MODEL.BN_MOMENTUM", -1.0, "batch-norm momentum; -1: the network's published value", "--bn_momentum"),
            o("MODEL.GRAD_CKPT", False, "recompute activations in the backward pass: less memory", "--grad_ckpt"),
            o("MODEL.TRUNK_WEIGHTS", "", "ImageNet weights of the trunk: the release's, torchvision's, timm's", "--trunk_weights"),
            o("MODEL.HRNET_CHECKPOINT", "ASSETS_PATH/seg_weights/hrnetv2_w48_imagenet_pretrained.pth", "taken if there"),
            o("MODEL.WRN38_CHECKPOINT", "ASSETS_PATH/seg_weights/wider_resnet38.pth.tar", "taken if there"),
            o("MODEL.X71_CHECKPOINT", "ASSETS_PATH/seg_weights/aligned_xception71.pth", "taken if there"),
            o("MODEL.INIT_DECODER", False, "Kaiming-normal start of the heads", "--init_decoder"),
            o("MODEL.FIX_BN", False, "leave batch norm's running statistics as they are loaded, and use them", "--fix_bn"),
            o("MODEL.FREEZE_TRUNK", False, "leave the trunk as it is loaded", "--freeze_trunk"),
            o("MODEL.OCR.MID_CHANNELS", 512, "OCR: channels of the pixel features"),
            o("MODEL.OCR.KEY_CHANNELS", 256, "OCR: channels of keys and queries"),
            o("MODEL.OCR.DROPOUT", 0.05, "OCR: dropout after the object attention"),
            o("MODEL.OCR_EXTRA.STAGE1.NUM_MODULES", 1, "HRNet stage 1: modules"),
            o("MODEL.OCR_EXTRA.STAGE1.NUM_BLOCKS", [4], "HRNet stage 1: blocks"),
            o("MODEL.OCR_EXTRA.STAGE2.NUM_MODULES", 1, "HRNet stage 2: modules"),
            o("MODEL.OCR_EXTRA.STAGE2.NUM_BLOCKS", [4, 4], "HRNet stage 2: blocks of each branch"),
            o("MODEL.OCR_EXTRA.STAGE3.NUM_MODULES", 4, "HRNet stage 3: modules"),
            o("MODEL.OCR_EXTRA.STAGE3.NUM_BLOCKS", [4, 4, 4], "HRNet stage 3: blocks of each branch"),
            o("MODEL.OCR_EXTRA.STAGE4.NUM_MODULES", 3, "HRNet stage 4: modules"),
            o("MODEL.OCR_EXTRA.STAGE4.NUM_BLOCKS", [4, 4, 4, 4], "HRNet stage 4: blocks of each branch"),
        ],
        "Data": [
            o("DATASET.NAME", "cityscapes", "dataset", "--dataset", common=True),
            o("DATASET.CV", 0, "Cityscapes split: 0, 1, 2; 3 trains on train and val (CamVid, too)", "--cv_split --cv"),
            o("DATASET.NUM_CLASSES", 0, "classes; 0: those of the dataset", "--num_class"),
            o("DATASET.IGNORE_LABEL", 255, "train id that is left out everywhere"),
            o("DATASET.MEAN", [0.485, 0.456, 0.406], "mean of R, G, B in 0..1"),
            o("DATASET.STD", [0.229, 0.224, 0.225], "standard deviation of R, G, B in 0..1"),
            o("DATASET.NUM_WORKERS", 4, "loader processes; validation uses half", "--num_workers --workers", common=True),
            o("DATASET.TRAIN_FRACTION", 1.0, "train on a fixed, class-balanced share of the images", "--train_fraction"),
            o("DATASET.CLASS_UNIFORM_PCT", 0.5, "share of an epoch drawn class-uniformly", "--class_uniform_pct"),
            o("DATASET.CLASS_UNIFORM_TILE", 1024, "tile of the centroids, pixels", "--class_uniform_tile"),
            o("DATASET.MAX_CU_EPOCH", 150, "from this epoch on without coarse images", "--max_cu_epoch"),
            o("DATASET.COARSE_BOOST_CLASSES", "", "train ids that coarse images add to", "--coarse_boost_classes"),
            o("DATASET.CUSTOM_COARSE_DROPOUT_CLASSES", "", "auto-labels replaced by coarse labels for these train ids", "--custom_coarse_dropout_classes"),
            o("DATASET.CUSTOM_COARSE_PROB", -1.0, "auto-labels below this confidence are ignored; -1: no auto-labels", "--custom_coarse_prob"),
            o("DATASET.MAX_SKIP", 0, "class-uniform crops of the frames so far before and after each image, too; 0: none", "--maxSkip"),
            o("DATASET.COARSE_MULTIPLE", 0.0, "whole coarse images in each epoch, as a multiple of the fine ones", "--coarse_multiple"),
            o("DATASET.ONLY_COARSE", False, "class-uniform part from coarse images only", "--only_coarse"),
            o("DATASET.MASK_OUT_CITYSCAPES", False, "ignore the border of auto-labelled images", "--mask_out_cityscapes"),
            o("DATASET.MAPILLARY_RELEASE", "", "Mapillary's labels: v1.2 (where there are both) or v2.0", "--mapillary_release", ("", "v1.2", "v2.0")),
            o("DATASET.MAPILLARY_CROP_VAL", False, "Mapillary validation: height --pre_size, a square of it", "--map_crop_val"),
            o("DATASET.PRE_SIZE", 0, "long edge before augmentation, and of Mapillary's validation (0: 2177)", "--pre_size"),
            o("DATASET.CROP_SIZE", "896", 'training crop: one number, or "height,width"', "--crop_size", common=True),
            o("DATASET.IMG_SIZES", "", "whole images, this long at the short side: training draws one a batch, evaluation averages all; empty: off", "--imgSize"),
            o("DATASET.IMG_MAX_SIZE", 1000, "with --imgSize: the long side at most", "--imgMaxSize"),
            o("DATASET.PADDING", 8, "with --imgSize: sides become a multiple of this", "--padding_constant"),
            o("DATASET.FULL_CROP", False, "crop of the image's own size", "--full_crop_training"),
            o("DATASET.TRANSLATE_AUG_FIX", False, "small image at random inside the crop", "--translate_aug_fix"),
            o("DATASET.LABEL_STRIDE", 1, "labels (and so the loss) at 1/this of the crop", "--label_stride --segm_downsampling_rate"),
            o("DATASET.DUMP_IMAGES", False, "write augmented training images", "--dump_augmentation_images"),
        ],
        "Augmentation": [
            o("AUG.TABLE", "nvidia", "steps: bicubic crops as in NVIDIA's code, or PaddleSeg's", "--aug_table", ("nvidia", "paddle")),
            o("AUG.SCALE_MIN", 0.5, "lower end of the random resize", "--scale_min"),
            o("AUG.SCALE_MAX", 2.0, "upper end of the random resize", "--scale_max"),
            o("AUG.COLOR", 0.25, "strength of brightness, contrast, saturation, hue", "--color_aug"),
            o("AUG.HUE", 63.0, "paddle: largest turn of the hue, in 1/256 of the circle", "--hue_aug"),
            o("AUG.GBLUR", False, "Gaussian blur", "--gblur"),
            o("AUG.BBLUR", False, "bilateral blur (wins over Gaussian)", "--bblur"),
            o("AUG.RAND_AUGMENT", "", 'RandAugment "N,M": operations, magnitude', "--rand_augment"),
        ],
        "Loss": [
            o("LOSS.IMG_WT", False, "class-weighted cross entropy", "--img_wt_loss"),
            o("LOSS.BATCH_WEIGHTING", False, "class weights over the batch, not the image", "--batch_weighting"),
            o("LOSS.WT_BOUND", 1.0, "upper bound of the extra class weight", "-wb --wt_bound"),
            o("LOSS.RMI", False, "region mutual information loss (wins over the others)", "--rmi_loss"),
            o("LOSS.JOINTWTBORDER", False, "boundary label relaxation", "--jointwtborder"),
            o("LOSS.STRICT_BDR_CLS", "", "train ids for which relaxation is off: their pixels keep their own class alone", "--strict_bdr_cls"),
            o("LOSS.BORDER_WINDOW", 1, "boundary half-width in pixels"),
            o("LOSS.DEEP_SUP_SCALE", 0.4, "weight of the second head's loss of an encoder_decoder", "--deep_sup_scale"),
            o("LOSS.OCR_ALPHA", 0.4, "weight of OCR's auxiliary loss", "--ocr_alpha"),
            o("LOSS.OCR_AUX_RMI", False, "full RMI for the auxiliary loss, too", "--ocr_aux_loss_rmi"),
            o("LOSS.SUPERVISED_MSCALE_WT", 0.0, "weight of the single scales' losses", "--supervised_mscale_loss_wt"),
            o("LOSS.TERMS", "", "loss:output:weight, comma-separated, in place of the losses above: dice:pred:1,ce:aux:0.4", "--loss_terms"),
            o("LOSS.DICE_SMOOTH", 1.0, "dice: added above and below", "--dice_smooth"),
            o("LOSS.BOOT_MIN_PIXELS", 100_000, "bootstrapped: pixels of an image that count at least", "--boot_min_pixels"),
            o("LOSS.BOOT_THRESHOLD", 0.05, "bootstrapped: all pixels of a larger loss count", "--boot_threshold"),
            o("LOSS.NORM", "global", "means over all ranks, or over each (published)", "--loss_norm", ("global", "rank")),
        ],
        "Optimizer": [
            o("OPTIM.NAME", "sgd", "optimizer", "--optimizer", ("sgd", "adam", "adamw", "radam", "apex_sgd", "apex_adam"), common=True),
            o("OPTIM.LR", 0.002, "initial learning rate", "--lr --lr_encoder", common=True),
            o("OPTIM.LR_DECODER", 0.0, "initial learning rate of a decoder; 0: --lr", "--lr_decoder"),
            o("OPTIM.MOMENTUM", 0.9, "SGD momentum", "--momentum --beta1"),
            o("OPTIM.WEIGHT_DECAY", 1e-4, "weight decay", "--weight_decay"),
            o("OPTIM.DECAY_ON", "all", "what decays: every parameter, or weights of convolutions and linear layers", "--decay_on", ("all", "conv")),
            o("OPTIM.AMSGRAD", False, "AMSGrad (adam)", "--amsgrad"),
            o("OPTIM.SCHEDULE", "poly", "learning-rate schedule", "--lr_schedule", ("poly", "poly2", "scl-poly", "cosine")),
            o("OPTIM.POLY_EXP", 1.0, "exponent of poly", "--poly_exp --lr_pow"),
            o("OPTIM.POLY_STEP", 110, "epoch at which poly2 doubles it", "--poly_step"),
            o("OPTIM.RLX_OFF_EPOCH", -1, "epoch after which relaxation is reduced; -1: never", "--rlx_off_epoch"),
            o("OPTIM.RESCALE", 1.0, "scl-poly: factor after that epoch", "--rescale"),
            o("OPTIM.REPOLY", 1.5, "scl-poly: exponent after that epoch", "--repoly"),
            o("OPTIM.END_LR", 0.0, "learning rate that the schedule ends at", "--end_lr"),
            o("OPTIM.WARMUP", 0.0, "epochs of linear warm-up", "--warmup"),
            o("OPTIM.PER_ITER", False, "move the learning rate every step, not every epoch", "--lr_per_iter"),
        ],
        "Training": [
            o("TRAIN.BATCH_SIZE", 2, "images a step and process", "--bs_trn --batch_size_per_gpu", common=True),
            o("TRAIN.ACCUM", 1, "batches whose gradients are added up for one step", "--accum"),
            o("TRAIN.MAX_EPOCH", 180, "epochs", "--max_epoch --num_epoch", common=True),
            o("TRAIN.MAX_ITERS", 0, "iterations (batches), in place of --max_epoch; an epoch is --save_interval of them then", "--max_iters"),
            o("TRAIN.SAVE_INTERVAL", 1000, "with --max_iters: iterations from one checkpoint and validation to the next", "--save_interval"),
            o("TRAIN.EPOCH_ITERS", 0, "iterations an epoch; 0: once through the images", "--epoch_iters"),
            o("TRAIN.DO_EVAL", True, "validate while training", "--do_eval"),
            o("TRAIN.START_EPOCH", 0, "first epoch", "--start_epoch"),
            o("TRAIN.VAL_FREQ", 1, "validate every this many epochs", "--val_freq", common=True),
            o("TRAIN.SAVE_EVERY", 0, "keep a checkpoint of its own every n epochs; 0: last and best only", "--save_every"),
            o("TRAIN.LOG_EVERY", 20, "steps between lines in the log", "--log_every --disp_iter"),
            o("TRAIN.NAN_PATIENCE", 3, "steps without a finite loss in a row before the run stops", "--nan_patience"),
            o("TRAIN.GRAD_CLIP", 0.0, "largest gradient norm; 0: off", "--grad_clip"),
            o("TRAIN.EMA", 0.0, "decay of the moving average of weights that is evaluated; 0: off", "--ema"),
            o("TRAIN.APEX", False, "distributed training, as torchrun switches on by itself", "--apex"),
            o("TRAIN.FP16", False, "mixed precision", "--fp16", common=True),
            o("TRAIN.AMP_OPT_LEVEL", "O1", "O0 fp32, O1 fp16, O2 bf16, O3 half weights at inference", "--amp_opt_level", ("O0", "O1", "O2", "O3")),
            o("TRAIN.SYNCBN", False, "batch norm over all processes", "--syncbn", common=True),
            o("TRAIN.LOCAL_RANK", 0, "filled in by old launchers", "--local_rank --local-rank"),
            o("TRAIN.GLOBAL_RANK", 0, "filled in by the launcher", "--global_rank"),
            o("TRAIN.CHANNELS_LAST", "auto", "memory layout", "--channels_last", ("auto", "on", "off")),
            o("TRAIN.COMPILE", False, "compile trunk and head", "--compile"),
        ],
        "Evaluation": [
            o("EVAL.BATCH_SIZE", 1, "images at a time and process", "--bs_val"),
            o("EVAL.MULTI_SCALE", False, "average over --default_scale and --extra_scales", "--multi_scale_inference"),
            o("EVAL.DEFAULT_SCALE", 1.0, "scale of the input", "--default_scale"),
            o("EVAL.EXTRA_SCALES", "0.5,2.0", "further scales for --multi_scale_inference", "--extra_scales"),
            o("EVAL.DO_FLIP", False, "average with the mirrored image", "--do_flip", common=True),
            o("EVAL.RULE", "auto", "how inputs are scaled; auto: csail with --imgSize, paddle for a .pdparams, else nvidia", "--eval_rule", ("auto", "nvidia", "paddle", "csail")),
            o("EVAL.AUG_EVAL", False, "PaddleSeg's switch for its two flips", "--aug_eval"),
            o("EVAL.FLIP_HORIZONTAL", False, "with --aug_eval: as --do_flip", "--flip_horizontal"),
            o("EVAL.FLIP_VERTICAL", False, "with --aug_eval: average with the image upside down", "--flip_vertical"),
            o("EVAL.TILE", 0, "sliding tiles of this size; 0: whole images where they fit", "--tile"),
            o("EVAL.TILE_OVERLAP", 0.25, "share of a tile that its neighbour covers, too", "--tile_overlap"),
            o("EVAL.INFERENCE_MODE", "", "the sdcnet branch's ways; empty: by --eval_rule", "-im --inference_mode", ("", "sliding", "pooling", "whole")),
            o("EVAL.SCALES", "0.5,1.0,2.0", "with --inference_mode: scales that are averaged", "--scales"),
            o("EVAL.SINGLE_SCALE", False, "with --inference_mode: scale 1 alone", "--single_scale"),
            o("EVAL.NO_FLIP", False, "with --inference_mode: without mirrored images", "--no_flip"),
            o("EVAL.WINDOW", 1024, "sliding: side of the windows over a scaled image; --crop_size, if given, says it, too", "--window"),
            o("EVAL.SLIDING_OVERLAP", 1 / 3, "sliding: share of a window that its neighbour covers, too", "--sliding_overlap"),
            o("EVAL.FIXED_ASPP_POOL", False, "ASPP's image branch averages over 105x105 places at most", "--fixed_aspp_pool"),
            o("EVAL.SPLIT_COUNT", 1, "parts that the list of images is dealt out to", "--split_count"),
            o("EVAL.SPLIT_INDEX", 0, "which of these parts is evaluated, from 0", "--split_index"),
            o("EVAL.NUM_IMAGES", 0, "only the first so many images; 0: all", "--num_val"),
            o("EVAL.MEMORY_GB", 0.0, "memory that evaluation may use; 0: what is free", "--eval_memory_gb"),
            o("EVAL.NO_METRICS", False, "no scores with --eval", "--no_metrics"),
            o("EVAL.LOG_MSINF_TO_TB", False, "IoU of the single scales to tensorboard", "--log_msinf_to_tb"),
            o("EVAL.DUMP_ASSETS", False, "write masks, overlays, per-scale maps, attention", "--dump_assets"),
            o("EVAL.DUMP_ALL_IMAGES", False, "write every image, not about ten", "--dump_all_images"),
            o("EVAL.DUMP_IMAGES", False, "rgb/, pred/, compose/ and diff/ of every image, as the sdcnet branch writes them", "--dump_images"),
            o("EVAL.VISUALIZE", False, "result/: image, truth and prediction side by side", "--visualize"),
            o("EVAL.DUMP_PSEUDO_COLOR", False, "added_prediction/ and pseudo_color_prediction/ as PaddleSeg writes them", "--dump_pseudo_color"),
            o("EVAL.DUMP_TOPN", 0, "the n images a class with the most wrong pixels", "--dump_topn"),
            o("EVAL.DUMP_TOPN_ALL", False, "with --dump_topn: keep all images", "--dump_topn_all"),
            o("EVAL.DUMP_FOR_SUBMISSION", False, "label ids and a zip for the benchmark server", "--dump_for_submission"),
            o("EVAL.DUMP_FOR_AUTO_LABELLING", False, "label ids and confidences", "--dump_for_auto_labelling"),
        ],
    }  # fmt: skip


GROUPS = _table()
OPTIONS = {option.key: option for options in GROUPS.values() for option in options}
# Flags that take several numbers, one after another or with commas.
SEVERAL = ("--imgSize",)
# Published flags that turn a positive key off.
NEGATED = {"--mscale_no3x3": "MODEL.MSCALE_INNER_3x3"}
# Published flags that never did anything (flag -> takes a value). They are accepted, with one warning.
WITHOUT_EFFECT = {
    "--dataset_inst": True,
    "--hardnm": True,
    "--trunk": True,
    "--brt_aug": False,
    "--exp": True,
    "--scf": False,
    "--three_scale": False,
    "--alt_two_scale": False,
    "--trial": True,
    "--mscale_cat_scale_flt": False,
    "--mscale_init": True,
}
PUBLISHED = ("small_tile", "img_wt", "relaxation", "dice_v2.0", "dice_v2.1", "dice_labels", "softmax_sum",
             "sliding_counts", "pooling_input", "wall_padding")  # fmt: skip
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def flags() -> dict[str, Option]:
    """Every flag on the command line and its option."""
    return {flag: option for option in OPTIONS.values() for flag in option.flags.split()}


def load(argv: Sequence[str] | None = None, recorded: Mapping[str, Any] | None = None) -> CfgNode:
    """Frozen configuration of a command line (without the program's name).

    `recorded`: {key: value} that a checkpoint holds; they stand in place of the defaults. Raises UserError, with every
    problem in it, for what does not exist or contradicts itself.
    """
    values, idle = parse(argv or [], recorded)
    if recorded and values["DATASET.NAME"] != recorded.get("DATASET.NAME"):  # its sizes are those of its own dataset
        values, idle = parse(argv or [], {key: x for key, x in recorded.items() if key != "DATASET.IMG_SIZES"})
    assets = os.path.expanduser(values["ASSETS_PATH"])
    for key, value in values.items():
        if isinstance(value, str):
            values[key] = assets if key == "ASSETS_PATH" else value.replace("ASSETS_PATH", assets)
            if value.startswith("~/"):  # in a YAML file and behind `--flag=` the shell does not do it
                values[key] = os.path.expanduser(values[key])
    cfg = _tree(values)
    cfg.WITHOUT_EFFECT = [*idle, *_idle_flips(cfg)]
    _fill_classes(cfg)
    found = list(problems(cfg))
    if found:
        raise UserError("\n".join(found))
    cfg.freeze()
    return cfg


def parse(argv: Sequence[str], recorded: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], list[str]]:
    """Command line -> ({key: value} of every option, flags given that have no effect), paths and choices unchecked."""
    values = defaults()
    values.update({key: _coerce(OPTIONS[key], value, key) for key, value in (recorded or {}).items() if key in OPTIONS})
    files, given, loose, older, idle = _split(list(argv))
    told: dict[str, Any] = {}  # what files and pairs say in the words of CSAIL's scene parsing
    for file in files:
        values.update(_read_yaml(file, told))
    pairs = _read_pairs(loose, told)
    if (given | pairs).get("RESUME", "") not in ("", "auto"):  # a start that a file names is over then
        values["SNAPSHOT"] = ""
    values.update(given)
    values.update(pairs)
    placed = csail.places(told, older, values["EVAL.MODE"], {*given, *pairs})
    values.update(
        {key: value for key, value in placed.items() if key != "SNAPSHOT" or values["RESUME"] in ("", "auto")}
    )
    idle += csail.idle(told, older)
    values["MODEL.ARCH"] = values["MODEL.ARCH"].removeprefix("network.")  # sdcnet's way to write it
    if "MODEL.ARCH" not in given | pairs and {"MODEL.ENCODER", "MODEL.DECODER"} & {*given, *pairs}:
        values["MODEL.ARCH"] = "encoder_decoder"
    # eval.py of the sdcnet branch has no training crop: its --crop_size is the window.
    if "DATASET.CROP_SIZE" in given and "EVAL.WINDOW" not in given | pairs and _slides(values):
        values["EVAL.WINDOW"] = _coerce(OPTIONS["EVAL.WINDOW"], given["DATASET.CROP_SIZE"], "sliding: --crop_size")
    if values["TRAIN.EPOCH_ITERS"] > 0:
        for key, flag in (("TRAIN.MAX_ITERS", "--max_iters"), ("TRAIN.SAVE_INTERVAL", "--save_interval")):
            if values[key] not in (OPTIONS[key].default, values["TRAIN.EPOCH_ITERS"]):
                raise UserError(
                    f"--epoch_iters with --max_epoch says how long a run and its epochs are: leave {flag} out"
                )
        values["TRAIN.MAX_ITERS"] = values["TRAIN.MAX_EPOCH"] * values["TRAIN.EPOCH_ITERS"]
        values["TRAIN.SAVE_INTERVAL"] = values["TRAIN.EPOCH_ITERS"]
    if values["OPTIONS.TEST_MODE"]:
        values["TRAIN.MAX_EPOCH"] = min(2, values["TRAIN.MAX_EPOCH"])
        values["TRAIN.SAVE_INTERVAL"] = min(11, values["TRAIN.SAVE_INTERVAL"])
        values["TRAIN.MAX_ITERS"] = min(22, values["TRAIN.MAX_ITERS"])
    if values["TRAIN.MAX_ITERS"] > 0:  # an epoch of the log, the checkpoints and the schedule is such a round
        values["TRAIN.MAX_EPOCH"] = -(-values["TRAIN.MAX_ITERS"] // max(1, values["TRAIN.SAVE_INTERVAL"]))
    return values, idle


def _slides(values: Mapping[str, Any]) -> bool:
    return bool(values["EVAL.MODE"]) and values["EVAL.INFERENCE_MODE"] == "sliding"


def defaults() -> dict[str, Any]:
    """{key: default} of every option; lists are fresh copies."""
    return {key: copy.copy(option.default) for key, option in OPTIONS.items()}


def _tree(values: dict[str, Any]) -> CfgNode:
    cfg = CfgNode()
    for key, value in values.items():
        node = cfg
        *parents, leaf = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, CfgNode())
        node[leaf] = value
    cfg.PUBLISHED = tuple(name.strip() for name in values["PUBLISHED"].split(",") if name.strip())
    return cfg


def _idle_flips(cfg: CfgNode) -> list[str]:
    """PaddleSeg's flips do nothing, there as here, unless they are switched on."""
    flips = {"--flip_horizontal": cfg.EVAL.FLIP_HORIZONTAL, "--flip_vertical": cfg.EVAL.FLIP_VERTICAL}
    return [f"{flag} (without --aug_eval)" for flag, on in flips.items() if on and not cfg.EVAL.AUG_EVAL]


def _fill_classes(cfg: CfgNode) -> None:
    import datasets  # late: `--help` and wrong flags answer at once, without torch

    datasets.settle(cfg)
    if cfg.DATASET.NUM_CLASSES == 0:
        cfg.DATASET.NUM_CLASSES = datasets.spec(cfg).num_classes


def _split(argv: list[str]) -> tuple[list[str], dict[str, Any], list[str], dict[str, str], list[str]]:
    """Command line -> (cfg files, values by flag, words of KEY VALUE, older flags, flags without effect)."""
    known = flags()
    files: list[str] = []
    given: dict[str, Any] = {}
    older: dict[str, str] = {}
    idle: list[str] = []
    loose: list[str] = []
    while argv:
        word = argv.pop(0)
        flag, equals, attached = word.partition("=")
        if not word.startswith("-") or _is_number(word):
            loose.append(word)
        elif flag == "--cfg":
            files.append(_value(flag, equals, attached, argv))
        elif flag in csail.FLAGS:
            older[flag] = _value(flag, equals, attached, argv)
        elif flag in NEGATED:
            given[NEGATED[flag]] = not _switch(flag, equals, attached, argv)
        elif flag in WITHOUT_EFFECT:
            idle.append(flag)
            take = _value if WITHOUT_EFFECT[flag] else _switch
            take(flag, equals, attached, argv)
        elif flag in known:
            option = known[flag]
            if isinstance(option.default, bool):
                given[option.key] = _switch(flag, equals, attached, argv)
            else:
                value = _value(flag, equals, attached, argv)
                while flag in SEVERAL and argv and _is_number(f"-{argv[0]}"):
                    value += f",{argv.pop(0)}"
                given[option.key] = _coerce(option, value, flag)
        else:
            everything = [*known, *NEGATED, *WITHOUT_EFFECT, *csail.FLAGS, "--cfg", "--help"]
            raise UserError(f"unknown flag {flag}{nearest(flag, everything)} (python train.py --help all lists them)")
    return files, given, loose, older, idle


def _is_number(word: str) -> bool:
    return word[1:2].isdigit() or word[1:2] == "."


def _value(flag: str, equals: str, attached: str, rest: list[str]) -> str:
    if equals:
        return attached
    if not rest or (rest[0].startswith("--") and not _is_number(rest[0])):
        raise UserError(f"{flag} needs a value")
    return rest.pop(0)


def _switch(flag: str, equals: str, attached: str, rest: list[str]) -> bool:
    """A boolean flag stands alone, or is followed by true or false, 1 or 0."""
    if not equals and not (rest and rest[0].lower() in ("true", "false", "1", "0")):
        return True
    word = attached if equals else rest.pop(0)
    if word.lower() not in _WORDS:
        raise UserError(f"{flag} takes true or false, not {word!r}")
    return _WORDS[word.lower()]


def _read_pairs(loose: list[str], told: dict[str, Any]) -> dict[str, Any]:
    """KEY VALUE pairs; behind a file of CSAIL's scene parsing its keys are known, too, and noted in `told`."""
    values: dict[str, Any] = {}
    known = [*OPTIONS, *csail.KEYS] if told else list(OPTIONS)
    while loose:
        key = loose.pop(0)
        if key in csail.KEYS and not told:
            raise UserError(f"{key} is a key of CSAIL's files: give one with --cfg, or take the key here, --help all")
        if key not in known:
            raise UserError(f"unknown key {key!r}{nearest(key, known)} (a command line ends in KEY VALUE pairs)")
        if not loose:
            raise UserError(f"key {key} needs a value after it")
        value = loose.pop(0)
        if key in OPTIONS:
            values[key] = _coerce(OPTIONS[key], value, key)
            continue
        told[key] = value
        values.update({ours: _coerce(OPTIONS[ours], new, key) for _, ours, new in csail.translated({key: value})})
    return values


def _read_yaml(file: str, told: dict[str, Any]) -> dict[str, Any]:
    """The values of a file; those of CSAIL's scene parsing go into `told`, too, in its words."""
    try:
        with open(file, encoding="utf-8") as stream:
            tree = yaml.safe_load(stream) or {}
    except OSError as error:
        raise UserError(f"--cfg {file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"--cfg {file}: no valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UserError(f"--cfg {file}: expected keys and values, found {type(tree).__name__}")
    try:
        found = [(key, key, value) for key, value in _flatten(tree)]
        if paddleseg.is_theirs(tree):
            found = [(key, key, value) for key, value in paddleseg.options(tree).items()]
        elif csail.is_theirs(tree):
            told |= csail.read(tree)
            found = [(key, key, value) for key, value in csail.RECIPE.items()]
            found += csail.translated(told)
    except UserError as error:
        raise UserError(f"--cfg {file}: {error}") from None
    except RecursionError:
        raise UserError(f"--cfg {file}: a part of it has itself as a part (an alias *name inside &name)") from None
    values: dict[str, Any] = {}
    for said, key, value in found:
        if key not in OPTIONS:
            raise UserError(f"--cfg {file}: unknown key {key!r}{nearest(key, OPTIONS)}")
        values[key] = _coerce(OPTIONS[key], value, f"--cfg {file}: {said}")
    return values


def _flatten(tree: dict[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _flatten(value, key + ".")
        else:
            yield key, value


def _coerce(option: Option, value: Any, where: str) -> Any:
    """`value` (text, or what YAML made of it) in the type of the option's default."""
    try:
        converted = _convert(option.default, value)
    except (ValueError, TypeError, ArithmeticError):
        kind = "numbers like 4,4" if isinstance(option.default, list) else type(option.default).__name__
        raise UserError(f"{where} takes {kind}, not {value!r}") from None
    if option.choices and converted not in option.choices:
        allowed = ", ".join(choice or '""' for choice in option.choices)
        raise UserError(f"{where} takes one of {allowed}, not {value!r}{nearest(str(value), option.choices)}")
    return converted


def _convert(default: Any, value: Any) -> Any:
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        if str(value).lower() not in _WORDS:
            raise ValueError
        return _WORDS[str(value).lower()]
    if isinstance(default, list):
        items = value if isinstance(value, (list, tuple)) else str(value).strip("[]() ").split(",")
        return [_convert(default[0], item) for item in items]
    if isinstance(default, str):
        # runx writes a YAML null as the word None
        off = value is None or value == "None"
        return "" if off else ",".join(map(str, value)) if isinstance(value, list) else str(value)
    number = float(Fraction(value.replace(" ", "")) if isinstance(value, str) and "/" in value else value)
    if isinstance(value, bool) or not math.isfinite(number) or (isinstance(default, int) and number != int(number)):
        raise ValueError
    return int(number) if isinstance(default, int) else number


def problems(cfg: CfgNode) -> Iterator[str]:
    """One line for each value that is out of range or contradicts another."""
    yield from _range_problems(cfg)
    if cfg.EVAL.MODE == "folder" and not cfg.EVAL.FOLDER:
        yield "--eval folder needs --eval_folder DIR"
    if cfg.EVAL.FOLDER and cfg.EVAL.MODE != "folder":
        yield "--eval_folder is read with --eval folder only: add it, or leave the folder out"
    if cfg.EVAL.LABELS and cfg.EVAL.MODE != "folder":
        yield "--eval_labels is read with --eval folder only"
    if cfg.RESUME and cfg.RESUME != "auto" and cfg.SNAPSHOT:
        yield "--resume and --snapshot contradict each other: --resume continues a run, --snapshot starts a new one"
    if cfg.EVAL.MODE and not (cfg.SNAPSHOT or cfg.RESUME):
        yield f"--eval {cfg.EVAL.MODE} needs weights: --snapshot FILE"
    for flag in ("DUMP_FOR_SUBMISSION", "DUMP_FOR_AUTO_LABELLING"):
        if cfg.EVAL[flag] and not cfg.EVAL.MODE:
            yield f"--{flag.lower()} needs --eval val, trn, test or folder"
    yield from _evaluation_problems(cfg)
    for name in cfg.PUBLISHED:
        if name not in PUBLISHED:
            yield f"--published {name!r} is unknown{nearest(name, PUBLISHED)}; known: {', '.join(PUBLISHED)}"
    if not cfg.EVAL.MODE and cfg.TRAIN.START_EPOCH >= cfg.TRAIN.MAX_EPOCH:
        yield f"--start_epoch {cfg.TRAIN.START_EPOCH} leaves nothing to train up to --max_epoch {cfg.TRAIN.MAX_EPOCH}"
    if sum(name.startswith("dice_") for name in cfg.PUBLISHED) > 1:
        yield "--published takes one of dice_v2.0, dice_v2.1, dice_labels"
    main = [f for f, on in (("--rmi_loss", cfg.LOSS.RMI), ("--img_wt_loss", cfg.LOSS.IMG_WT),
                            ("--jointwtborder", cfg.LOSS.JOINTWTBORDER)) if on]  # fmt: skip
    if cfg.LOSS.TERMS and main:
        yield f"--loss_terms stands in place of {main[0]}: leave one of them out"
    yield from _mixing_problems(cfg)
    yield from _whole_problems(cfg)
    if cfg.AUG.SCALE_MIN > cfg.AUG.SCALE_MAX:
        yield f"--scale_min {cfg.AUG.SCALE_MIN} is larger than --scale_max {cfg.AUG.SCALE_MAX}"
    if cfg.TRAIN.FP16 and cfg.TRAIN.AMP_OPT_LEVEL == "O3" and not cfg.EVAL.MODE:
        yield "--amp_opt_level O3 has half-precision weights, for --eval only: train with O1 or O2"
    if cfg.MODEL.FREEZE_TRUNK and cfg.MODEL.GRAD_CKPT:
        yield "--grad_ckpt saves nothing with --freeze_trunk: leave one of them out"


def _evaluation_problems(cfg: CfgNode) -> Iterator[str]:
    """Options of --inference_mode without it, or beside those of the other rules."""
    e, published = cfg.EVAL, cfg.PUBLISHED
    changed = [name for name in ("SCALES", "SINGLE_SCALE", "NO_FLIP", "WINDOW", "SLIDING_OVERLAP")
               if e[name] != OPTIONS[f"EVAL.{name}"].default]  # fmt: skip
    if changed and not e.INFERENCE_MODE:
        yield f"--{changed[0].lower()} is read with --inference_mode only: add that, or leave it out"
    for name in ("WINDOW", "SLIDING_OVERLAP"):
        if name in changed and e.INFERENCE_MODE not in ("", "sliding"):
            yield f"--{name.lower()} is of --inference_mode sliding: leave it out"
    others = {"--multi_scale_inference": e.MULTI_SCALE, "--default_scale": e.DEFAULT_SCALE != 1.0,
              "--eval_rule": e.RULE != "auto", "--do_flip": e.DO_FLIP and e.NO_FLIP}  # fmt: skip
    for flag in [flag for flag, given in others.items() if given and e.INFERENCE_MODE]:
        yield f"--inference_mode has --scales and --no_flip of its own: leave {flag} out"
    if e.RULE == "csail" and not cfg.DATASET.IMG_SIZES:
        yield "--eval_rule csail has no sizes: add --imgSize 300 375 450 525 600"
    if cfg.DATASET.IMG_SIZES and e.RULE in ("auto", "csail"):
        own = {"--inference_mode": e.INFERENCE_MODE, **others}
        flags = [flag for flag in ("--inference_mode", "--multi_scale_inference", "--default_scale") if own[flag]]
        if flags:
            yield f"--imgSize says the sizes of evaluation: leave {flags[0]} out, or switch a file's sizes off (--imgSize '')"
    for name, mode in (("sliding_counts", "sliding"), ("pooling_input", "pooling")):
        if name in published and (e.INFERENCE_MODE != mode or not e.MODE):
            yield f"--published {name} is of --eval with --inference_mode {mode}: add them, or leave it out"
    if not 0 <= e.SPLIT_INDEX < max(1, e.SPLIT_COUNT):
        yield f"--split_index lies between 0 and --split_count ({e.SPLIT_COUNT}) less one, not at {e.SPLIT_INDEX}"
    for flag, given in (("--split_count", e.SPLIT_COUNT > 1), ("--fixed_aspp_pool", e.FIXED_ASPP_POOL)):
        if given and not e.MODE:
            yield f"{flag} is for --eval: add it, or leave {flag} out"
    for flag, given in (("--split_count", e.SPLIT_COUNT > 1), ("--num_val", e.NUM_IMAGES)):
        if given and e.DUMP_FOR_SUBMISSION:
            yield f"--dump_for_submission packs a whole split: leave {flag} out"


def _mixing_problems(cfg: CfgNode) -> Iterator[str]:
    """Options of one way to augment, or to mix coarse images in, beside the other way."""
    d, a = cfg.DATASET, cfg.AUG
    idle = {"--pre_size": d.PRE_SIZE, "--full_crop_training": d.FULL_CROP, "--translate_aug_fix": d.TRANSLATE_AUG_FIX,
            "--rand_augment": a.RAND_AUGMENT, "--gblur": a.GBLUR, "--bblur": a.BBLUR}  # fmt: skip
    for flag in [flag for flag, given in idle.items() if given and a.TABLE == "paddle"]:
        yield f"{flag} is no step of --aug_table paddle: leave it out"
    for flag, given in (("--list_train", d.LIST_TRAIN), ("--list_val", d.LIST_VAL)):
        if given and d.NAME != "ade20k":
            yield f"{flag} is a list of ADE20K: add --dataset ade20k, or leave it out"
    if d.MAX_SKIP and not d.CLASS_UNIFORM_PCT:
        yield "--maxSkip adds to class-uniform crops only: give --class_uniform_pct, or leave it out"
    if d.COARSE_MULTIPLE and (d.COARSE_BOOST_CLASSES or d.ONLY_COARSE):
        other = "--coarse_boost_classes" if d.COARSE_BOOST_CLASSES else "--only_coarse"
        yield f"--coarse_multiple brings whole coarse images, {other} crops of them: leave one of them out"


def _whole_problems(cfg: CfgNode) -> Iterator[str]:
    """Options of whole images without them, and those of crops beside them."""
    d, sizes = cfg.DATASET, cfg.DATASET.IMG_SIZES.split(",")
    if "wall_padding" in cfg.PUBLISHED and not d.IMG_SIZES:
        yield "--published wall_padding is of --imgSize: add that, or leave it out"
    if not d.IMG_SIZES:
        return
    if not all(size.strip().isdecimal() and int(size) for size in sizes):
        yield f"--imgSize takes whole numbers like 300 375 450, not {d.IMG_SIZES!r}"
    if d.PADDING > 0 and d.PADDING % max(1, d.LABEL_STRIDE):
        yield f"--padding_constant {d.PADDING} has to be a multiple of --segm_downsampling_rate {d.LABEL_STRIDE}"
    if cfg.EVAL.MODE:  # what a file says of its training does not matter
        return
    crops = ("DATASET.CROP_SIZE", "DATASET.FULL_CROP", "DATASET.PRE_SIZE", "DATASET.TRANSLATE_AUG_FIX", "AUG.SCALE_MIN",
             "AUG.SCALE_MAX", "AUG.TABLE", "DATASET.TRAIN_FRACTION", "DATASET.MAX_SKIP", "DATASET.COARSE_MULTIPLE",
             "DATASET.COARSE_BOOST_CLASSES", "DATASET.ONLY_COARSE", "DATASET.CUSTOM_COARSE_PROB")  # fmt: skip
    changed = [key for key in crops if get(cfg, key) != OPTIONS[key].default]
    if d.CLASS_UNIFORM_PCT not in (0, OPTIONS["DATASET.CLASS_UNIFORM_PCT"].default):
        changed.append("DATASET.CLASS_UNIFORM_PCT")
    for key in changed:
        yield f"--imgSize trains on whole images: leave {OPTIONS[key].flags.split()[0]} out"


def _range_problems(cfg: CfgNode) -> Iterator[str]:
    if not cfg.EVAL.SCALES:
        yield "--scales is empty: give at least one, for instance 1.0"
    several = {"--n_scales": cfg.MODEL.N_SCALES, "--extra_scales": cfg.EVAL.EXTRA_SCALES, "--scales": cfg.EVAL.SCALES}
    for flag, text in several.items():
        scales = _numbers(text)
        if text and (scales is None or min(scales) <= 0):
            yield f"{flag} takes positive numbers like 0.5,1.0,2.0, not {text!r}"
        elif flag == "--n_scales" and text and 1.0 not in (scales or []):
            yield f"--n_scales must contain 1.0, not {text!r}"
    crop = _numbers(cfg.DATASET.CROP_SIZE)
    if crop is None or len(crop) not in (1, 2) or min(crop) < 1 or any(c != int(c) for c in crop):
        yield f'--crop_size takes one number or "height,width", not {cfg.DATASET.CROP_SIZE!r}'
    yield from _list_problems(cfg)
    for flag, value in (("--class_uniform_pct", cfg.DATASET.CLASS_UNIFORM_PCT), ("--ema", cfg.TRAIN.EMA)):
        if not 0 <= value <= 1:
            yield f"{flag} lies between 0 and 1, not {value}"
    if not 0 < cfg.DATASET.TRAIN_FRACTION <= 1:
        yield f"--train_fraction lies above 0 and at most at 1, not {cfg.DATASET.TRAIN_FRACTION}"
    if not 0 <= cfg.DATASET.CV <= 3:
        yield f"--cv is 0, 1, 2 or 3, not {cfg.DATASET.CV}"
    for flag, value in (("--tile_overlap", cfg.EVAL.TILE_OVERLAP), ("--sliding_overlap", cfg.EVAL.SLIDING_OVERLAP)):
        if not 0 <= value < 0.9:
            yield f"{flag} lies between 0 and 0.9, not {value}"
    for key in ("TRAIN.BATCH_SIZE", "TRAIN.ACCUM", "TRAIN.MAX_EPOCH", "TRAIN.VAL_FREQ", "TRAIN.LOG_EVERY",
                "TRAIN.SAVE_INTERVAL", "EVAL.WINDOW", "EVAL.SPLIT_COUNT", "DATASET.IMG_MAX_SIZE", "DATASET.PADDING",
                "TRAIN.NAN_PATIENCE", "EVAL.BATCH_SIZE", "DATASET.LABEL_STRIDE", "AUG.SCALE_MIN", "EVAL.DEFAULT_SCALE",
                "LOSS.BOOT_MIN_PIXELS", "DATASET.CLASS_UNIFORM_TILE", "MODEL.HRNET_WIDTH", "MODEL.WIDTH_MULT", "OPTIM.LR"):  # fmt: skip
        value = get(cfg, key)
        if value <= 0:
            yield f"{OPTIONS[key].flags or key} must be above 0, not {value}"
    for key in ("DATASET.NUM_WORKERS", "TRAIN.START_EPOCH", "TRAIN.GRAD_CLIP", "OPTIM.WARMUP", "EVAL.TILE",
                "OPTIM.WEIGHT_DECAY", "DATASET.PRE_SIZE", "EVAL.DUMP_TOPN", "AUG.COLOR", "TRAIN.SAVE_EVERY",
                "LOSS.BORDER_WINDOW", "LOSS.DICE_SMOOTH", "LOSS.BOOT_THRESHOLD", "SEED",
                "TRAIN.MAX_ITERS", "OPTIM.END_LR", "AUG.HUE", "DATASET.COARSE_MULTIPLE", "DATASET.MAX_SKIP",
                "MODEL.FC_DIM", "LOSS.DEEP_SUP_SCALE", "OPTIM.LR_DECODER", "TRAIN.EPOCH_ITERS", "EVAL.NUM_IMAGES"):  # fmt: skip
        value = get(cfg, key)
        if value < 0:
            yield f"{OPTIONS[key].flags or key} must not be negative, it is {value}"


def _list_problems(cfg: CfgNode) -> Iterator[str]:
    for flag, key in (("--strict_bdr_cls", "LOSS.STRICT_BDR_CLS"), ("--rand_augment", "AUG.RAND_AUGMENT"),
                      ("--coarse_boost_classes", "DATASET.COARSE_BOOST_CLASSES"),
                      ("--custom_coarse_dropout_classes", "DATASET.CUSTOM_COARSE_DROPOUT_CLASSES")):  # fmt: skip
        numbers = _numbers(get(cfg, key))
        if numbers is None or any(number != int(number) or number < 0 for number in numbers):
            yield f"{flag} takes whole numbers with commas, not {get(cfg, key)!r}"
        elif flag == "--rand_augment" and len(numbers) not in (0, 2):
            yield f'--rand_augment takes "N,M", operations and magnitude, not {cfg.AUG.RAND_AUGMENT!r}'
    for key in ("DATASET.MEAN", "DATASET.STD"):
        value = get(cfg, key)
        if len(value) != 3 or (key == "DATASET.STD" and min(value) <= 0):
            yield f"{key} takes three numbers, for R, G, B{' (above 0)' if key == 'DATASET.STD' else ''}, not {value}"


def get(cfg: CfgNode, key: str) -> Any:
    """Value of a dotted key."""
    node: Any = cfg
    for part in key.split("."):
        node = node[part]
    return node


def flat(cfg: CfgNode) -> dict[str, Any]:
    """{dotted key: value} of every option, for files of record."""
    return {key: ",".join(cfg.PUBLISHED) if key == "PUBLISHED" else get(cfg, key) for key in OPTIONS}


def hparams(cfg: CfgNode) -> dict[str, Any]:
    """{flag or key: value} of every option, under the names by which people sweep them.

    Paths are written so that runs with the same settings have the same text, whatever folder their code was copied to.
    """
    values = {key: _plain(value, cfg.ASSETS_PATH) for key, value in flat(cfg).items() if key != "ASSETS_PATH"}
    return {(OPTIONS[key].flags.split() or [key])[-1].lstrip("-"): value for key, value in values.items()}


def _plain(value: Any, assets: str) -> Any:
    """A value for files of record: the folder of large files by its word, no `..` inside a path."""
    if not isinstance(value, str):
        return value
    if assets and (value == assets or value.startswith(assets.rstrip("/") + "/")):
        value = "ASSETS_PATH" + value[len(assets.rstrip("/")) :]
    return os.path.normpath(value) if "/.." in value else value


def _numbers(text: str) -> list[float] | None:
    try:
        return [float(word) for word in text.split(",")] if text else []
    except ValueError:
        return None


def help_text(full: bool = False) -> str:
    """The text of `--help`: the common options, or all of them with their keys."""
    off = {key: flag for flag, key in NEGATED.items()}
    lines = ["usage: python train.py --arch ARCH [--flag VALUE ...] [--cfg FILE.yaml] [KEY VALUE ...]", ""]
    for group, options in GROUPS.items():
        shown = [option for option in options if full or option.common]
        if not shown:
            continue
        lines.append(group)
        for option in shown:
            names = option.flags.replace(" ", ", ") or off.get(option.key) or option.key
            default = "" if option.default in ("", False) else f" [{_short(option.default)}]"
            lines.append(f"  {names:<34} {option.help}{default}")
            if full and names != option.key:
                lines.append(f"  {'':<34} key {option.key}")
            if option.choices:
                lines.append(f"  {'':<34} one of: {', '.join(c for c in option.choices if c)}")
        lines.append("")
    if full:
        lines += ["Older flags of CSAIL's scene parsing, made into the keys above"]
        lines += [*(f"  {flag:<34} {text}" for flag, text in csail.FLAGS.items()), ""]
        lines += ["Accepted, without effect (they never had one)", "  " + " ".join(WITHOUT_EFFECT), ""]
    lines.append("python train.py --help all lists every option with its key.")
    return "\n".join(lines)


def _short(default: Any) -> str:
    default = round(default, 4) if isinstance(default, float) else default
    text = str(default).replace(ASSETS_PATH, "ASSETS_PATH" if default != ASSETS_PATH else ASSETS_PATH)
    return text.replace("[", "").replace("]", "").replace(", ", ",")
