"""Keys of the HRNet family's option files (HRNet, with OCR, with offset vectors): ours for each, and its default."""

from __future__ import annotations

from typing import Any

EXTRA, _OURS = "MODEL.EXTRA", "MODEL.OCR_EXTRA"
STAGES = ("STAGE1", "STAGE2", "STAGE3", "STAGE4", "STAGE2_2", "STAGE3_2", "STAGE4_2")
_SHAPE = ("NUM_BRANCHES", "NUM_RANCHES", "BLOCK", "NUM_CHANNELS", "FUSE_METHOD")

# Keys without one of ours, read with others together or without a counterpart, by their value where a file says
# nothing; None: then it is as published.
_ALONE: tuple[tuple[Any, str], ...] = (
    ("", "OUTPUT_DIR LOG_DIR MODEL.PRETRAINED MODEL.OFFSET_PRETRAINED DATASET.ROOT DATASET.EXTRA_TRAIN_SET "
         "TRAIN.OFFSET_DIR TEST.MODEL_FILE"),
    (True, "PIN_MEMORY CUDNN.BENCHMARK CUDNN.ENABLED LOSS.CLASS_BALANCE TRAIN.FLIP TRAIN.MULTI_SCALE TRAIN.SHUFFLE"),
    (False, "AUTO_RESUME LOSS.USE_OHEM TRAIN.NESTEROV TRAIN.RESUME TEST.VISUALIZATION TEST.FLIP_TEST TEST.MULTI_SCALE "
            "TEST.CENTER_CROP_TEST DEBUG.DEBUG DEBUG.SAVE_BATCH_IMAGES_GT DEBUG.SAVE_BATCH_IMAGES_PRED "
            "DEBUG.SAVE_HEATMAPS_GT DEBUG.SAVE_HEATMAPS_PRED"),
    (0, "RANK TRAIN.BEGIN_EPOCH TRAIN.EXTRA_EPOCH TRAIN.NUM_SAMPLES"),
    (None, "MODEL.ALIGN_CORNERS MODEL.NUM_OUTPUTS MODEL.OCR.SCALE LOSS.BALANCE_WEIGHTS TEST.OUTPUT_INDEX "
           "TRAIN.FREEZE_LAYERS TRAIN.FREEZE_EPOCHS TRAIN.NONBACKBONE_KEYWORDS TRAIN.NONBACKBONE_MULT "
           "TRAIN.RANDOM_BRIGHTNESS TRAIN.RANDOM_BRIGHTNESS_SHIFT_VALUE"),
    (None, " ".join(f"{EXTRA}.{name}" for name in ("FINAL_CONV_KERNEL", "FINAL_CONV_SEED", "CONFIDENCE"))),
    (None, " ".join(f"{EXTRA}.{stage}.{name}" for stage in STAGES for name in _SHAPE)),
)  # fmt: skip
# Their key -> ours ("": none, as above), and their value where a file says nothing.
KEYS: dict[str, tuple[str, Any]] = {
    **{key: ("", default) for default, keys in _ALONE for key in keys.split()},
    "GPUS": ("", [0]),
    "WORKERS": ("DATASET.NUM_WORKERS", 4),
    "PRINT_FREQ": ("TRAIN.LOG_EVERY", 20),
    "CUDNN.DETERMINISTIC": ("OPTIONS.DETERMINISTIC", False),
    "MODEL.NAME": ("", "seg_hrnet"),
    "MODEL.FREEZED_PAR": ("MODEL.FREEZED_PAR", False),
    "MODEL.OCR.MID_CHANNELS": ("MODEL.OCR.MID_CHANNELS", None),
    "MODEL.OCR.KEY_CHANNELS": ("MODEL.OCR.KEY_CHANNELS", None),
    "MODEL.OCR.DROPOUT": ("MODEL.OCR.DROPOUT", None),
    f"{EXTRA}.OFFSET_THRESHOLD": ("MODEL.OFFSET_THRESHOLD", None),
    f"{EXTRA}.OFFSET_BRANCH": ("MODEL.OFFSET_BRANCH", None),
    f"{EXTRA}.ITERATIVE_REFINEMENT": ("MODEL.ITERATIVE_REFINEMENT", None),
    f"{EXTRA}.LOGITS": ("MODEL.LOGITS", None),
    **{f"{EXTRA}.{stage}.{name}": (f"{_OURS}.{stage}.{name}", None)
       for stage in STAGES for name in ("NUM_MODULES", "NUM_BLOCKS")},
    "LOSS.OHEMTHRES": ("LOSS.OHEM_THRES", 0.9),
    "LOSS.OHEMKEEP": ("LOSS.OHEM_KEEP", 100_000),
    "DATASET.DATASET": ("", "acdc"),
    "DATASET.NUM_CLASSES": ("DATASET.NUM_CLASSES", 19),
    "DATASET.TRAIN_SET": ("", "list/acdc/train.lst"),
    "DATASET.TEST_SET": ("", "list/acdc/val.lst"),
    "TRAIN.IMAGE_SIZE": ("DATASET.CROP_SIZE", [1024, 512]),
    "TRAIN.BASE_SIZE": ("", 2048),
    "TRAIN.DOWNSAMPLERATE": ("DATASET.LABEL_STRIDE", 1),
    "TRAIN.SCALE_FACTOR": ("", 16),
    "TRAIN.LR_FACTOR": ("", 0.1),
    "TRAIN.LR_STEP": ("", [90, 110]),
    "TRAIN.LR": ("OPTIM.LR", 0.01),
    "TRAIN.EXTRA_LR": ("", 0.001),
    "TRAIN.OPTIMIZER": ("OPTIM.NAME", "sgd"),
    "TRAIN.MOMENTUM": ("OPTIM.MOMENTUM", 0.9),
    "TRAIN.WD": ("OPTIM.WEIGHT_DECAY", 1e-4),
    "TRAIN.IGNORE_LABEL": ("", -1),
    "TRAIN.END_EPOCH": ("TRAIN.MAX_EPOCH", 484),
    "TRAIN.BATCH_SIZE_PER_GPU": ("TRAIN.BATCH_SIZE", 32),
    "TEST.IMAGE_SIZE": ("EVAL.PIECE", [2048, 1024]),
    "TEST.BASE_SIZE": ("EVAL.BASE_SIZE", 2048),
    "TEST.BATCH_SIZE_PER_GPU": ("", 32),
    "TEST.NUM_SAMPLES": ("EVAL.NUM_IMAGES", 0),
    "TEST.SCALE_LIST": ("", [1]),
}  # fmt: skip
# What their code does without an option for it: {our key: value}.
RECIPE: dict[str, Any] = {
    "DATASET.CLASS_UNIFORM_PCT": 0.0,
    "AUG.COLOR": 0.0,
    "LOSS.NORM": "rank",
    "OPTIM.SCHEDULE": "poly",
    "OPTIM.POLY_EXP": 0.9,
    "OPTIM.PER_ITER": True,
    "EVAL.RULE": "hrnet",
}
# The only values that are known here.
ONLY: dict[str, tuple[Any, ...]] = {
    "CUDNN.ENABLED": (True,), "MODEL.OCR.SCALE": (1,), f"{EXTRA}.FINAL_CONV_KERNEL": (1,),
    f"{EXTRA}.FINAL_CONV_SEED": (1,), f"{EXTRA}.CONFIDENCE": (0, 1), "DATASET.EXTRA_TRAIN_SET": ("",),
    "TRAIN.FREEZE_LAYERS": ("",), "TRAIN.NONBACKBONE_KEYWORDS": ([],), "TRAIN.FLIP": (True,),
    "TRAIN.RANDOM_BRIGHTNESS": (False,), "TRAIN.OPTIMIZER": ("sgd",), "TRAIN.NESTEROV": (False,),
    "TRAIN.IGNORE_LABEL": (255, -1), "TRAIN.EXTRA_EPOCH": (0,), "TRAIN.SHUFFLE": (True,),
    "TEST.CENTER_CROP_TEST": (False,), "TEST.OUTPUT_INDEX": (-1, 1),
}  # fmt: skip
# Without effect, there as here; said where it is asked for.
IGNORED = ("AUTO_RESUME", "RANK", "TRAIN.LR_FACTOR", "TRAIN.LR_STEP", "TRAIN.BEGIN_EPOCH", "TRAIN.NUM_SAMPLES",
         "TEST.MULTI_SCALE", *(key for key in KEYS if key.startswith("DEBUG.")))  # fmt: skip
