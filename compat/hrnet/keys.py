"""Keys of the HRNet family's option files (HRNet, with OCR, with offset vectors): ours for each, and its default."""

from __future__ import annotations

from typing import Any

EXTRA, _OURS = "MODEL.EXTRA", "MODEL.OCR_EXTRA"
STAGES = ("STAGE1", "STAGE2", "STAGE3", "STAGE4", "STAGE2_2", "STAGE3_2", "STAGE4_2")
_SHAPE = ("NUM_BRANCHES", "NUM_RANCHES", "BLOCK", "NUM_CHANNELS", "FUSE_METHOD")

# Their key -> ours ("": read with others together, or without a counterpart), and their value where a file says
# nothing; None: then it is as published.
KEYS: dict[str, tuple[str, Any]] = {
    "OUTPUT_DIR": ("", ""),
    "LOG_DIR": ("", ""),
    "GPUS": ("", [0]),
    "WORKERS": ("DATASET.NUM_WORKERS", 4),
    "PRINT_FREQ": ("TRAIN.LOG_EVERY", 20),
    "AUTO_RESUME": ("", False),
    "PIN_MEMORY": ("", True),
    "RANK": ("", 0),
    "CUDNN.BENCHMARK": ("", True),
    "CUDNN.DETERMINISTIC": ("OPTIONS.DETERMINISTIC", False),
    "CUDNN.ENABLED": ("", True),
    "MODEL.NAME": ("", "seg_hrnet"),
    "MODEL.PRETRAINED": ("", ""),
    "MODEL.OFFSET_PRETRAINED": ("", ""),
    "MODEL.FREEZED_PAR": ("MODEL.FREEZED_PAR", False),
    "MODEL.ALIGN_CORNERS": ("", None),
    "MODEL.NUM_OUTPUTS": ("", None),
    "MODEL.OCR.MID_CHANNELS": ("MODEL.OCR.MID_CHANNELS", None),
    "MODEL.OCR.KEY_CHANNELS": ("MODEL.OCR.KEY_CHANNELS", None),
    "MODEL.OCR.DROPOUT": ("MODEL.OCR.DROPOUT", None),
    "MODEL.OCR.SCALE": ("", None),
    f"{EXTRA}.FINAL_CONV_KERNEL": ("", None),
    f"{EXTRA}.FINAL_CONV_SEED": ("", None),
    f"{EXTRA}.CONFIDENCE": ("", None),
    f"{EXTRA}.OFFSET_THRESHOLD": ("MODEL.OFFSET_THRESHOLD", None),
    f"{EXTRA}.OFFSET_BRANCH": ("MODEL.OFFSET_BRANCH", None),
    f"{EXTRA}.ITERATIVE_REFINEMENT": ("MODEL.ITERATIVE_REFINEMENT", None),
    f"{EXTRA}.LOGITS": ("MODEL.LOGITS", None),
    **{f"{EXTRA}.{stage}.{name}": (f"{_OURS}.{stage}.{name}", None)
       for stage in STAGES for name in ("NUM_MODULES", "NUM_BLOCKS")},
    **{f"{EXTRA}.{stage}.{name}": ("", None) for stage in STAGES for name in _SHAPE},
    "LOSS.USE_OHEM": ("", False),
    "LOSS.OHEMTHRES": ("LOSS.OHEM_THRES", 0.9),
    "LOSS.OHEMKEEP": ("LOSS.OHEM_KEEP", 100_000),
    "LOSS.CLASS_BALANCE": ("", True),
    "LOSS.BALANCE_WEIGHTS": ("", None),
    "DATASET.ROOT": ("", ""),
    "DATASET.DATASET": ("", "acdc"),
    "DATASET.NUM_CLASSES": ("DATASET.NUM_CLASSES", 19),
    "DATASET.TRAIN_SET": ("", "list/acdc/train.lst"),
    "DATASET.EXTRA_TRAIN_SET": ("", ""),
    "DATASET.TEST_SET": ("", "list/acdc/val.lst"),
    "TRAIN.FREEZE_LAYERS": ("", None),
    "TRAIN.FREEZE_EPOCHS": ("", None),
    "TRAIN.NONBACKBONE_KEYWORDS": ("", None),
    "TRAIN.NONBACKBONE_MULT": ("", None),
    "TRAIN.IMAGE_SIZE": ("DATASET.CROP_SIZE", [1024, 512]),
    "TRAIN.BASE_SIZE": ("", 2048),
    "TRAIN.DOWNSAMPLERATE": ("DATASET.LABEL_STRIDE", 1),
    "TRAIN.FLIP": ("", True),
    "TRAIN.MULTI_SCALE": ("", True),
    "TRAIN.SCALE_FACTOR": ("", 16),
    "TRAIN.RANDOM_BRIGHTNESS": ("", None),
    "TRAIN.RANDOM_BRIGHTNESS_SHIFT_VALUE": ("", None),
    "TRAIN.LR_FACTOR": ("", 0.1),
    "TRAIN.LR_STEP": ("", [90, 110]),
    "TRAIN.LR": ("OPTIM.LR", 0.01),
    "TRAIN.EXTRA_LR": ("", 0.001),
    "TRAIN.OPTIMIZER": ("OPTIM.NAME", "sgd"),
    "TRAIN.MOMENTUM": ("OPTIM.MOMENTUM", 0.9),
    "TRAIN.WD": ("OPTIM.WEIGHT_DECAY", 1e-4),
    "TRAIN.NESTEROV": ("", False),
    "TRAIN.IGNORE_LABEL": ("", -1),
    "TRAIN.BEGIN_EPOCH": ("", 0),
    "TRAIN.END_EPOCH": ("TRAIN.MAX_EPOCH", 484),
    "TRAIN.EXTRA_EPOCH": ("", 0),
    "TRAIN.RESUME": ("", False),
    "TRAIN.BATCH_SIZE_PER_GPU": ("TRAIN.BATCH_SIZE", 32),
    "TRAIN.SHUFFLE": ("", True),
    "TRAIN.NUM_SAMPLES": ("", 0),
    "TRAIN.OFFSET_DIR": ("", ""),
    "TEST.IMAGE_SIZE": ("EVAL.PIECE", [2048, 1024]),
    "TEST.BASE_SIZE": ("EVAL.BASE_SIZE", 2048),
    "TEST.BATCH_SIZE_PER_GPU": ("", 32),
    "TEST.NUM_SAMPLES": ("EVAL.NUM_IMAGES", 0),
    "TEST.VISUALIZATION": ("", False),
    "TEST.MODEL_FILE": ("", ""),
    "TEST.FLIP_TEST": ("", False),
    "TEST.MULTI_SCALE": ("", False),
    "TEST.CENTER_CROP_TEST": ("", False),
    "TEST.SCALE_LIST": ("", [1]),
    "TEST.OUTPUT_INDEX": ("", None),
    **{f"DEBUG.{name}": ("", False) for name in ("DEBUG", "SAVE_BATCH_IMAGES_GT", "SAVE_BATCH_IMAGES_PRED",
                                                 "SAVE_HEATMAPS_GT", "SAVE_HEATMAPS_PRED")},
}  # fmt: skip
# Names that ours have, too: behind a file of theirs they mean what they mean there, else what they mean here.
SHARED = frozenset({"DATASET.ROOT", "DATASET.NUM_CLASSES", "MODEL.ALIGN_CORNERS", "MODEL.FREEZED_PAR",
                    "MODEL.OFFSET_PRETRAINED", "MODEL.OCR.MID_CHANNELS", "MODEL.OCR.KEY_CHANNELS",
                    "MODEL.OCR.DROPOUT"})  # fmt: skip
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
