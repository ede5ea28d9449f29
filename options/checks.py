"""What contradicts itself, or is out of range, among the options: all of it at once, a line each."""

from __future__ import annotations

from collections.abc import Iterator

from yacs.config import CfgNode

from options import archs
from options.kinds import joined
from options.table import OPTIONS, PUBLISHED, get
from utils.errors import nearest

# Inside the program labels are bytes, of which one stands for what is ignored.
_IGNORED = 255


def problems(cfg: CfgNode) -> Iterator[str]:
    """One line for each value that is out of range or contradicts another."""
    yield from _range_problems(cfg)
    yield from _class_problems(cfg)
    if not cfg.RESULT_DIR.strip():
        yield "--result_dir is empty: name the folder that the run writes to"
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
    yield from _offset_problems(cfg)


def _class_problems(cfg: CfgNode) -> Iterator[str]:
    """Classes that no network can tell apart, and an ignored train id that is none."""
    count, ignored = cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL
    if count < 2 and count != 0:  # 0: not looked up, as for a sweep
        advice = "a binary task has two classes, the background and the object"
        named = "1 class" if count == 1 else f"{count} classes"
        yield f"{named}: where there is nothing to tell apart nothing is learned; {advice}"
    if count > _IGNORED:
        yield f"{count} classes are more than the {_IGNORED} that a label can have"
    if ignored != _IGNORED:
        advice = "leave it out, and name label values that do not count in --classes FILE (ignore: [0])"
        yield f"DATASET.IGNORE_LABEL {ignored}: inside the program {_IGNORED} is what is left out; {advice}"


def _offset_problems(cfg: CfgNode) -> Iterator[str]:
    """Options of networks with offset vectors."""
    m, longest = cfg.MODEL, cfg.MODEL.OFFSET_THRESHOLD
    if longest != -1 and not 0 < longest <= 2:
        yield f"MODEL.OFFSET_THRESHOLD lies above 0 and at most at 2, the whole side, or is -1, not {longest}"
    for key in [key for key in ("FREEZED_PAR", "OFFSET_PRETRAINED") if m[key]]:
        if m.ARCH and not archs.find(m.ARCH).offsets:
            yield f"MODEL.{key} is of networks with offset vectors: take an --arch offset...., or leave it out"


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
    if e.RULE != "hrnet":
        for name in [name for name in ("BASE_SIZE", "PIECE") if e[name] != OPTIONS[f"EVAL.{name}"].default]:
            yield f"--{name.lower()} is of --eval_rule hrnet: add that, or leave it out"
    if e.RULE == "csail" and not cfg.DATASET.IMG_SIZES:
        yield "--eval_rule csail has no sizes: add --imgSize 300 375 450 525 600"
    if cfg.DATASET.IMG_SIZES and e.RULE in ("auto", "csail"):
        own = {"--inference_mode": e.INFERENCE_MODE, **others}
        flags = [flag for flag in ("--inference_mode", "--multi_scale_inference", "--default_scale") if own[flag]]
        if flags:
            advice = f"leave {flags[0]} out, or switch a file's sizes off (--imgSize '')"
            yield f"--imgSize says the sizes of evaluation: {advice}"
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
    for flag, path in (("--list_train", d.LIST_TRAIN), ("--list_val", d.LIST_VAL), ("--list_test", d.LIST_TEST)):
        if path.endswith(".odgt") and d.NAME != "ade20k":
            yield f"{flag} is a list of ADE20K: add --dataset ade20k, or leave it out"
    for flag, given in (("--conditions", d.CONDITIONS), ("--maxSkip", d.MAX_SKIP)):
        if given and d.LIST_TRAIN:
            yield f"--list_train names all training images itself: leave {flag} out"
    if d.MAX_SKIP and not d.CLASS_UNIFORM_PCT:
        yield "--maxSkip adds to class-uniform crops only: give --class_uniform_pct, or leave it out"
    if d.COARSE_MULTIPLE and (d.COARSE_BOOST_CLASSES or d.ONLY_COARSE):
        other = "--coarse_boost_classes" if d.COARSE_BOOST_CLASSES else "--only_coarse"
        yield f"--coarse_multiple brings whole coarse images, {other} crops of them: leave one of them out"


def _whole_problems(cfg: CfgNode) -> Iterator[str]:
    """Options of whole images without them, and those of crops beside them."""
    d = cfg.DATASET
    if "wall_padding" in cfg.PUBLISHED and not d.IMG_SIZES:
        yield "--published wall_padding is of --imgSize: add that, or leave it out"
    if not d.IMG_SIZES:
        return
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
        yield f"--imgSize trains on whole images: leave {OPTIONS[key].name} out"


def _range_problems(cfg: CfgNode) -> Iterator[str]:
    """Values outside their row's bounds, and what a bound does not say."""
    yield from filter(None, (option.problem(get(cfg, key)) for key, option in OPTIONS.items()))
    if not cfg.EVAL.SCALES:
        yield "--scales is empty: give at least one, for instance 1.0"
    if cfg.MODEL.N_SCALES and 1.0 not in cfg.MODEL.N_SCALES:
        yield f"--n_scales must contain 1.0, not {joined(cfg.MODEL.N_SCALES)!r}"
    for key in ("MODEL.N_SCALES", "EVAL.EXTRA_SCALES", "EVAL.SCALES"):
        scales = get(cfg, key)
        if len(set(scales)) < len(scales):
            yield f"{OPTIONS[key].name} {joined(scales)!r}: give different positive scales"
    if cfg.DATASET.IMAGE_BITS and not 8 <= cfg.DATASET.IMAGE_BITS <= 16:
        yield f"--image_bits is 8 to 16, or 0 to go by the files, not {cfg.DATASET.IMAGE_BITS}"
