"""What contradicts itself, or is out of range, among the options: all of it at once, a line each."""

from __future__ import annotations

from collections.abc import Iterator

from yacs.config import CfgNode

from options.kinds import joined
from options.table import OPTIONS, PUBLISHED, TRACKERS, get
from utils.errors import nearest

# Inside the program labels are bytes, of which one stands for what is ignored.
_IGNORED = 255

Problems = dict[str, object]  # {line: whether it holds, by its truth}


def problems(cfg: CfgNode) -> Iterator[str]:
    """One line for each value that is out of range or contradicts another."""
    yield from filter(None, (option.problem(get(cfg, key)) for key, option in OPTIONS.items()))
    for found in (_run(cfg), _tracked(cfg), _published(cfg), _classes(cfg), _evaluation(cfg), _data(cfg)):
        yield from (line for line, holds in found.items() if holds)


def _run(cfg: CfgNode) -> Problems:
    """What is to be done, with which weights, and how it is trained."""
    m, t, mode = cfg.MODEL, cfg.TRAIN, cfg.EVAL.MODE
    return {
        "--result_dir is empty: name the folder that the run writes to": not cfg.RESULT_DIR.strip(),
        "--eval folder needs --eval_folder DIR": mode == "folder" and not cfg.EVAL.FOLDER,
        "--resume and --snapshot contradict each other: --resume continues a run, --snapshot starts a new one":
            cfg.RESUME not in ("", "auto") and cfg.SNAPSHOT,
        f"--eval {mode} needs weights: --snapshot FILE": mode and not (cfg.SNAPSHOT or cfg.RESUME),
        f"--unfreeze {joined(cfg.OPTIM.UNFREEZE)}: give rising epochs; the last part of the trunk comes first":
            sorted(cfg.OPTIM.UNFREEZE) != list(cfg.OPTIM.UNFREEZE),
        f"--start_epoch {t.START_EPOCH} leaves nothing to train up to --max_epoch {t.MAX_EPOCH}":
            not mode and t.START_EPOCH >= t.MAX_EPOCH,
        "--patience counts validations, of which --do_eval false leaves none: leave one of them out":
            t.PATIENCE and not t.DO_EVAL and not mode,
        "--time_limit moves the ends of the schedule, --lr_schedule scl-poly starts afresh at an epoch: take another":
            t.TIME_LIMIT and cfg.OPTIM.SCHEDULE == "scl-poly" and not mode,
        "--amp_opt_level O3 has half-precision weights, for --eval only: train with O1 or O2":
            t.FP16 and t.AMP_OPT_LEVEL == "O3" and not mode,
        "--loss_terms has distill, which learns from a teacher: give --teacher CKPT":
            "distill" in {term.loss for term in cfg.LOSS.TERMS} and not cfg.LOSS.TEACHER and not mode,
        "--auto plans a training: leave it out with --eval and --summary":
            cfg.OPTIONS.AUTO and (mode or cfg.OPTIONS.SUMMARY),
        "--plan and --max_memory plan a training: leave them out with --eval and --summary":
            (cfg.OPTIONS.PLAN or cfg.OPTIONS.MAX_MEMORY) and (mode or cfg.OPTIONS.SUMMARY),
        "--freeze_trunk leaves all stages: leave --freeze_stages out": m.FREEZE_TRUNK and m.FREEZE_STAGES,
        "--grad_ckpt saves nothing with --freeze_trunk: leave one of them out": m.FREEZE_TRUNK and m.GRAD_CKPT,
        f"--n_scales must contain 1.0, not {joined(m.N_SCALES)!r}": m.N_SCALES and 1.0 not in m.N_SCALES,
    }  # fmt: skip


def _tracked(cfg: CfgNode) -> Problems:
    """Names of trackers."""
    names = cfg.TRAIN.TRACK
    return {
        **{f"--track {name!r} is unknown{nearest(name, TRACKERS)}; known: {', '.join(TRACKERS)}": True
           for name in names if name not in TRACKERS},
        "--track is empty: give tensorboard, or none": not names,
        "--track none leaves no room for others: leave one of them out": "none" in names and len(names) > 1,
    }  # fmt: skip


def _published(cfg: CfgNode) -> Problems:
    """Names of published bugs, and what has them."""
    names, mode = cfg.PUBLISHED, cfg.EVAL.INFERENCE_MODE if cfg.EVAL.MODE else ""
    advice = "add them, or leave it out"
    return {
        **{f"--published {name!r} is unknown{nearest(name, PUBLISHED)}; known: {', '.join(PUBLISHED)}": True
           for name in names if name not in PUBLISHED},
        "--published takes one of dice_v2.0, dice_v2.1, dice_labels":
            sum(name.startswith("dice_") for name in names) > 1,
        f"--published sliding_counts is of --eval with --inference_mode sliding: {advice}":
            "sliding_counts" in names and mode != "sliding",
        f"--published pooling_input is of --eval with --inference_mode pooling: {advice}":
            "pooling_input" in names and mode != "pooling",
        "--published wall_padding is of --imgSize: add that, or leave it out":
            "wall_padding" in names and not cfg.DATASET.IMG_SIZES,
    }  # fmt: skip


def _classes(cfg: CfgNode) -> Problems:
    """Classes that no network can tell apart, and an ignored train id that is none."""
    count, ignored = cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL
    named = "1 class" if count == 1 else f"{count} classes"
    binary = "a binary task has two classes, the background and the object"
    advice = "leave it out, and name label values that do not count in --classes FILE (ignore: [0])"
    return {
        # 0: not looked up, as for a sweep
        f"{named}: where there is nothing to tell apart nothing is learned; {binary}": count < 2 and count != 0,
        f"{count} classes are more than the {_IGNORED} that a label can have": count > _IGNORED,
        f"DATASET.IGNORE_LABEL {ignored}: inside the program {_IGNORED} is what is left out; {advice}":
            ignored != _IGNORED,
    }  # fmt: skip


def _evaluation(cfg: CfgNode) -> Problems:
    """What only --eval does, sizes and scales that two options say, and parts of a split."""
    e = cfg.EVAL
    scales = {"--multi_scale_inference": e.MULTI_SCALE, "--default_scale": e.DEFAULT_SCALE != 1.0}
    others = {**scales, "--eval_rule": e.RULE != "auto", "--do_flip": e.DO_FLIP and e.NO_FLIP}
    parts = {"--split_count": e.SPLIT_COUNT > 1, "--num_val": e.NUM_IMAGES}
    of_eval = {"--split_count": e.SPLIT_COUNT > 1, "--fixed_aspp_pool": e.FIXED_ASPP_POOL,
               "--dump_for_submission": e.DUMP_FOR_SUBMISSION, "--dump_confidence": e.DUMP_CONFIDENCE,
               "--dump_for_auto_labelling": e.DUMP_FOR_AUTO_LABELLING}  # fmt: skip
    return {
        **{f"{flag} is for --eval: add it, or leave {flag} out": given and not e.MODE
           for flag, given in of_eval.items()},
        **{f"--inference_mode has --scales and --no_flip of its own: leave {flag} out": given and e.INFERENCE_MODE
           for flag, given in others.items()},
        **{f"--dump_for_submission packs a whole split: leave {flag} out": given and e.DUMP_FOR_SUBMISSION
           for flag, given in parts.items()},
        **{f"{OPTIONS[key].name} {joined(get(cfg, key))!r}: give different positive scales":
           len({*get(cfg, key)}) < len(get(cfg, key))
           for key in ("MODEL.N_SCALES", "EVAL.EXTRA_SCALES", "EVAL.SCALES")},
        "--scales is empty: give at least one, for instance 1.0": not e.SCALES,
        f"--split_index lies between 0 and --split_count ({e.SPLIT_COUNT}) less one, not at {e.SPLIT_INDEX}":
            not 0 <= e.SPLIT_INDEX < max(1, e.SPLIT_COUNT),
    }  # fmt: skip


def _data(cfg: CfgNode) -> Problems:
    """Lists, coarse images and augmentation that say two things."""
    d, a = cfg.DATASET, cfg.AUG
    lists = {"--list_train": d.LIST_TRAIN, "--list_val": d.LIST_VAL, "--list_test": d.LIST_TEST}
    crops = {"--coarse_boost_classes": d.COARSE_BOOST_CLASSES, "--only_coarse": d.ONLY_COARSE}
    mixed = {"--mosaic": a.MOSAIC, "--cutmix": a.CUTMIX, "--copy_paste": a.COPY_PASTE}
    beside = {"--conditions": d.CONDITIONS, "--maxSkip": d.MAX_SKIP, **crops, "--coarse_multiple": d.COARSE_MULTIPLE,
              "--custom_coarse_prob": d.CUSTOM_COARSE_PROB >= 0}  # fmt: skip
    return {
        **{f"{flag} is a list of ADE20K: add --dataset ade20k, or leave it out":
           path.endswith(".odgt") and d.NAME != "ade20k" for flag, path in lists.items()},
        **{f"--list_train names all training images itself: leave {flag} out": given and d.LIST_TRAIN
           for flag, given in beside.items()},
        **{f"--coarse_multiple brings whole coarse images, {flag} crops of them: leave one of them out":
           given and d.COARSE_MULTIPLE for flag, given in crops.items()},
        **{f"{flag} mixes crops of one size, --full_crop_training makes them as large as their images: leave one out":
           given and d.FULL_CROP for flag, given in mixed.items()},
        f"--scale_min {a.SCALE_MIN} is larger than --scale_max {a.SCALE_MAX}": a.SCALE_MIN > a.SCALE_MAX,
        f"--padding_constant {d.PADDING} has to be a multiple of --segm_downsampling_rate {d.LABEL_STRIDE}":
            d.IMG_SIZES and d.PADDING > 0 and d.PADDING % max(1, d.LABEL_STRIDE),
    }  # fmt: skip
