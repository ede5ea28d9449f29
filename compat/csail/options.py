"""CSAIL's scene parsing for ADE20K: its option files, their KEY VALUE pairs and its older flags, under our keys."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import PurePath
from typing import Any

from options.foreign import ForeignConfig, ParseContext, Tree, leaves, read_keys
from options.kinds import names
from utils.errors import UserError

# Their key -> ours ("": read by `overrides`, or without a counterpart), and their value where a file says nothing.
KEYS: dict[str, tuple[str, Any]] = {
    "DIR": ("", "ckpt/ade20k-resnet50dilated-ppm_deepsup"),
    "DATASET.root_dataset": ("DATASET.ROOT", "./data/"),
    "DATASET.list_train": ("DATASET.LIST_TRAIN", "./data/training.odgt"),
    "DATASET.list_val": ("DATASET.LIST_VAL", "./data/validation.odgt"),
    "DATASET.num_class": ("DATASET.NUM_CLASSES", 150),
    "DATASET.imgSizes": ("DATASET.IMG_SIZES", [300, 375, 450, 525, 600]),
    "DATASET.imgMaxSize": ("DATASET.IMG_MAX_SIZE", 1000),
    "DATASET.padding_constant": ("DATASET.PADDING", 8),
    "DATASET.segm_downsampling_rate": ("DATASET.LABEL_STRIDE", 8),
    "DATASET.random_flip": ("", True),
    "MODEL.arch_encoder": ("MODEL.ENCODER", "resnet50dilated"),
    "MODEL.arch_decoder": ("MODEL.DECODER", "ppm_deepsup"),
    "MODEL.weights_encoder": ("", ""),
    "MODEL.weights_decoder": ("", ""),
    "MODEL.fc_dim": ("MODEL.FC_DIM", 2048),
    "TRAIN.batch_size_per_gpu": ("TRAIN.BATCH_SIZE", 2),
    "TRAIN.num_epoch": ("TRAIN.MAX_EPOCH", 20),
    "TRAIN.start_epoch": ("TRAIN.START_EPOCH", 0),
    "TRAIN.epoch_iters": ("TRAIN.EPOCH_ITERS", 5000),
    "TRAIN.optim": ("OPTIM.NAME", "SGD"),
    "TRAIN.lr_encoder": ("OPTIM.LR", 0.02),
    "TRAIN.lr_decoder": ("OPTIM.LR_DECODER", 0.02),
    "TRAIN.lr_pow": ("OPTIM.POLY_EXP", 0.9),
    "TRAIN.beta1": ("OPTIM.MOMENTUM", 0.9),
    "TRAIN.weight_decay": ("OPTIM.WEIGHT_DECAY", 1e-4),
    "TRAIN.deep_sup_scale": ("LOSS.DEEP_SUP_SCALE", 0.4),
    "TRAIN.fix_bn": ("MODEL.FIX_BN", False),
    "TRAIN.workers": ("DATASET.NUM_WORKERS", 16),
    "TRAIN.disp_iter": ("TRAIN.LOG_EVERY", 20),
    "TRAIN.seed": ("SEED", 304),
    "VAL.batch_size": ("", 1),
    "VAL.visualize": ("EVAL.VISUALIZE", False),
    "VAL.checkpoint": ("", "epoch_20.pth"),
    "TEST.batch_size": ("", 1),
    "TEST.checkpoint": ("", "epoch_20.pth"),
    "TEST.result": ("", "./"),
}
# What their code does without an option for it: {our key: value}.
RECIPE: dict[str, Any] = {
    "DATASET.NAME": "ade20k",
    "DATASET.CLASS_UNIFORM_PCT": 0.0,
    "AUG.COLOR": 0.0,
    "MODEL.ARCH": "encoder_decoder",
    "LOSS.NORM": "rank",
    "OPTIM.DECAY_ON": "conv",
    "OPTIM.SCHEDULE": "poly",
    "OPTIM.PER_ITER": True,
    "TRAIN.SYNCBN": True,
}
# Flags of the time before option files that are no alias of one key of ours -> their key, if there is one, and help.
FLAGS = {
    "--ckpt": ("", "folder of the runs' folders, with --id [./ckpt]"),
    "--id": ("", "the run's folder in --ckpt: a training writes there, --eval takes encoder and decoder from there"),
    "--suffix": ("", "with --id and --eval: the end of the two files' names [_epoch_20.pth]"),
    "--weights_encoder": ("MODEL.weights_encoder", "weights to start from, with --weights_decoder; "
                          "alone: as --trunk_weights"),
    "--weights_decoder": ("MODEL.weights_decoder", "the decoder's"),
    "--num_gpus": ("", "as --gpus: this many, from the first on"),
    "--optim": ("TRAIN.optim", "SGD"),
    "--random_flip": ("DATASET.random_flip", "without effect: images are flipped at random"),
    "--result": ("TEST.result", "with --eval: as --result_dir"),
}  # fmt: skip
_SIDES = "give lengths of the short side, (300,375,450) for instance"


def is_theirs(tree: Tree) -> bool:
    """Tell whether a file is one of theirs: it has one of their keys."""
    return any(key in KEYS for key, _ in leaves(tree))


def translate(foreign: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Give (their key, our key, value) of what has a counterpart; UserError for another value than theirs can have."""
    for key, value in foreign.items():
        ours = KEYS[key][0]
        if key == "TRAIN.optim":
            if str(value).lower() != "sgd":
                raise UserError(f"{key} {value}: their code has SGD alone; --optimizer has others")
            value = "sgd"
        elif key in ("VAL.batch_size", "TEST.batch_size") and str(value) != "1":
            raise UserError(f"{key} {value}: their code has 1 alone; several images at a time are --bs_val {value}")
        elif key.startswith("MODEL.arch_"):
            value = str(value).lower()
        elif key == "DATASET.imgSizes":
            try:
                value = names.read(value)
            except ValueError:
                raise UserError(f"{key} {value}: {_SIDES}") from None
            if not value:
                raise UserError(f"{key} is empty: {_SIDES}")
        if ours:
            yield key, ours, value


def ignored_flags(context: ParseContext) -> list[str]:
    """List what was asked for and has no effect, there as here: images without random flips."""
    flips = {
        "DATASET.random_flip": context.foreign.get("DATASET.random_flip"),
        "--random_flip": context.legacy_flags.get("--random_flip"),
    }
    return [f"{name} {value}" for name, value in flips.items() if str(value).lower() in ("false", "0", "no")]


def overrides(context: ParseContext) -> dict[str, Any]:
    """Give {our key: value} of what takes several of their keys: folders, weights, GPUs.

    `context.legacy_flags`: {flag: value} of FLAGS. UserError where older flags are not for that, or contradict others.
    """
    foreign, legacy_flags, values, chosen, _ = context
    mode = values["EVAL.MODE"]
    _check(foreign, legacy_flags, mode, chosen)
    _check_named({**foreign, **legacy_flags})
    foreign = {**foreign, **{FLAGS[flag][0]: value for flag, value in legacy_flags.items() if FLAGS[flag][0]}}
    if "--id" in legacy_flags or "--ckpt" in legacy_flags:
        foreign["DIR"] = str(PurePath(legacy_flags.get("--ckpt", "./ckpt"), legacy_flags.get("--id", "")))
    found = _weights(foreign, legacy_flags.get("--suffix", ""), mode)
    folder = foreign.get("DIR")
    if mode and ("--result" in legacy_flags or mode == "folder"):
        folder = foreign.get("TEST.result", folder)
    if folder:
        found["RESULT_DIR"] = str(folder)
    if "--optim" in legacy_flags:
        found |= {ours: value for _, ours, value in translate({"TRAIN.optim": legacy_flags["--optim"]})}
    if "--num_gpus" in legacy_flags:
        count = legacy_flags["--num_gpus"]
        if not count.isdigit() or int(count) < 1:
            raise UserError(f"--num_gpus takes a number from 1 on, not {count!r}")
        found["OPTIONS.DEVICES"] = "0" if int(count) == 1 else f"0-{int(count) - 1}"
    return {key: value for key, value in found.items() if key not in chosen}


def problems(cfg: Any) -> dict[str, object]:
    """{line: whether it holds}: --imgSize says the sizes of their way of evaluating, and nothing else does."""
    e, sizes = cfg.EVAL, cfg.DATASET.IMG_SIZES
    others = {"--inference_mode": e.INFERENCE_MODE, "--multi_scale_inference": e.MULTI_SCALE}
    others |= {"--default_scale": e.DEFAULT_SCALE != 1.0}
    off = "or switch a file's sizes off (--imgSize '')"
    return {
        **{f"--imgSize says the sizes of evaluation: leave {flag} out, {off}":
           given and sizes and e.RULE in ("auto", "csail") for flag, given in others.items()},
        "--eval_rule csail has no sizes: add --imgSize 300 375 450 525 600": e.RULE == "csail" and not sizes,
    }  # fmt: skip


def _check_named(foreign: Mapping[str, Any]) -> None:
    """Raise UserError for a folder to write to without a name."""
    for name in ("DIR", "TEST.result", "--ckpt", "--result"):
        if name in foreign and not str(foreign[name] or "").strip():
            raise UserError(f"{name} is empty: name the folder that the run writes to")


def _weights(foreign: Mapping[str, Any], suffix: str, mode: str) -> dict[str, Any]:
    """Find where encoder and decoder start from: the run's folder, or two files that are named."""
    start = str(foreign.get("TRAIN.start_epoch", 0))
    if mode and "DIR" in foreign:
        end = suffix or f"_{foreign.get('TEST.checkpoint' if mode == 'folder' else 'VAL.checkpoint', 'epoch_20.pth')}"
    elif not mode and start != "0":
        end = f"_epoch_{start}.pth"
    else:
        encoder, decoder = (foreign.get(f"MODEL.weights_{part}") or "" for part in ("encoder", "decoder"))
        if decoder and not encoder:
            raise UserError(f"{decoder}: a decoder's weights without its encoder's; also give --weights_encoder")
        if encoder and not decoder:
            return {"MODEL.TRUNK_WEIGHTS": encoder}
        return {"SNAPSHOT": f"{encoder},{decoder}"} if encoder else {}
    files = (PurePath(str(foreign["DIR"]), f"{part}{end}") for part in ("encoder", "decoder"))
    return {"SNAPSHOT": ",".join(map(str, files))}


def _check(foreign: Mapping[str, Any], legacy_flags: Mapping[str, str], mode: str, chosen: Collection[str]) -> None:
    """Raise UserError for older flags that say again what another flag says, or that are of the other mode."""
    names = [flag for flag in ("--id", "--ckpt") if flag in legacy_flags]
    weights = [flag for flag in ("--weights_encoder", "--weights_decoder") if flag in legacy_flags]
    for flags, key, other in (
        (weights + (names if mode else []), "SNAPSHOT", "--snapshot"),
        (["--result"] if mode else names, "RESULT_DIR", "--result_dir"),
        (["--num_gpus"], "OPTIONS.DEVICES", "--gpus"),
        (["--optim"], "OPTIM.NAME", "--optimizer"),
    ):
        for flag in flags:
            if flag in legacy_flags and key in chosen:
                raise UserError(f"{flag} and {other} say the same thing: leave one of them out")
    if mode and names and weights:
        raise UserError(f"{names[0]} and {weights[0]} both name weights to evaluate: leave one of them out")
    if "--suffix" in legacy_flags and not (mode and (names or foreign)):
        raise UserError("--suffix is the end of two files' names: also give --eval val and --id")
    if "--result" in legacy_flags and not mode:
        raise UserError("--result is of --eval: --ckpt and --id say where a training writes")


read = partial(read_keys, keys=KEYS, whose="CSAIL's scene parsing")
_HELP = {flag: text for flag, (_, text) in FLAGS.items()}
SYSTEM = ForeignConfig(
    "CSAIL", is_theirs, read, translate, RECIPE, KEYS, False, _HELP, overrides, ignored_flags, problems
)
