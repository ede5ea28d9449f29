"""Starting from a file: what it fixes about the network, and continuing a run from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from network.weights import Weights, csail, load, paddle, parse, read_file
from utils import checkpoint, finite, pairs, safe_load
from utils.distributed import Ranks
from utils.errors import UserError
from utils.state import TrainState

# Options of the run that a checkpoint of ours brings along where the command line names no network.
_RECORDED = ("DATASET.NAME", "DATASET.MAPILLARY_RELEASE", "DATASET.MEAN", "DATASET.STD")
_RECORDED += ("DATASET.IMG_SIZES", "DATASET.IMG_MAX_SIZE", "DATASET.PADDING", "DATASET.CAMVID_CLASSES")
_SLIPS = ("grid_false",)  # names of PUBLISHED that are the network's, not its training's
# What no weight shows, but changes what a network says: compared where a command line names the network.
_UNSEEN = ("MODEL.ALIGN_CORNERS", "MODEL.OFFSET_THRESHOLD", "MODEL.ITERATIVE_REFINEMENT", "MODEL.LOGITS")
_UNSEEN += ("DATASET.MEAN", "DATASET.STD", "PUBLISHED")
_EXPECTED = ("RESUME", "SNAPSHOT", "RESULT_DIR")  # what a resume changes by itself
_FILES = ("TRUNK_WEIGHTS", "OFFSET_PRETRAINED", "HRNET_CHECKPOINT", "WRN38_CHECKPOINT", "X71_CHECKPOINT")
_PATHS = tuple(f"MODEL.{name}" for name in _FILES)


def told(path: Path, arch: str) -> dict[str, Any]:
    """`recorded`, for a command line that names the network `arch` or, empty, none. What a pair of files tells always
    counts, since only some of it can be named; other files are silent where the line speaks.
    """
    return {} if arch and not pairs.is_pair(path) else recorded(path, arch)


def recorded(path: Path, arch: str = "") -> dict[str, Any]:
    """{config key: value} that a file tells of its network: all of MODEL.* for ours, else the arch, if it has one.

    Raises UserError where a file does not tell enough, and the command line names no network `arch`.
    """
    return _recorded(safe_load.read(path), path, arch)


def _recorded(content: Any, path: Path, arch: str) -> dict[str, Any]:
    if checkpoint.is_ours(content):
        options: Mapping[str, Any] = content.get("config") or {}
        told = {k: v for k, v in options.items() if k in _RECORDED or (k.startswith("MODEL.") and k not in _PATHS)}
        slips = _slips(options.get("PUBLISHED"))
        return told | ({"PUBLISHED": slips} if slips else {})
    weights = parse(content, path)
    if not arch and not (weights.arch and all(value != "" for value in weights.options.values())):
        asked = csail.question(weights) if weights.arch else "give --arch"
        raise UserError(f"checkpoint {path} does not name its network: {asked}")
    return {"MODEL.ARCH": weights.arch, **weights.options}


def _slips(names: Any) -> str:
    """Those of PUBLISHED's names that are the network's; text with commas."""
    words = names.split(",") if isinstance(names, str) else names or ()
    return ",".join(name for name in _SLIPS if name in [str(word).strip() for word in words])


def differences(path: Path, options: Mapping[str, Any], rule: str) -> list[str]:
    """A line for each option that no weight shows and that an evaluation has otherwise than its file's training.

    `options`: {key: value} of the evaluation, by the rule `rule`.
    """
    content = safe_load.read(path)
    told = _recorded(content, path, options["MODEL.ARCH"])
    now = {**options, "PUBLISHED": _slips(options["PUBLISHED"])}
    lines, same = [], "the scores of training need the same"
    for key in _UNSEEN:
        was = told.get(key, "" if key == "PUBLISHED" and checkpoint.is_ours(content) else now[key])
        if was != now[key]:
            lines.append(f"trained with {key} {was!r}, evaluated with {now[key]!r}: {same}")
    sizes = told.get("DATASET.IMG_SIZES", "")
    if sizes and not options["DATASET.IMG_SIZES"] and options["EVAL.RULE"] == "auto":
        lines.append(f"trained with --imgSize {sizes}, evaluated without: add it for the scores of training")
    before = content.get("config") or {} if checkpoint.is_ours(content) else {}
    validated = _rule(before)
    if validated not in ("", rule) and not (sizes or options["EVAL.INFERENCE_MODE"]) and options["EVAL.RULE"] == "auto":
        lines.append(f"its training was validated by the rule {validated}, not {rule}: --eval_rule {validated}")
    return lines


def _rule(before: Mapping[str, Any]) -> str:
    """The rule by which a run of such options validated; empty where it was the usual one, or follows from sizes."""
    if before.get("EVAL.RULE", "auto") != "auto":
        return before["EVAL.RULE"]
    paddles = any(paddle.is_own(Path(before.get(key) or "")) for key in ("SNAPSHOT", "RESUME"))
    return "paddle" if paddles and not before.get("DATASET.IMG_SIZES") else ""


def resume(path: Path, state: TrainState, options: Mapping[str, Any], ranks: Ranks, length: int) -> str:
    """Continue the run that wrote `path`, ours exactly, NVIDIA's with weights, optimizer and epoch, PaddleSeg's with
    weights, momentum and iterations. Gives some lines.

    `options`: {key: value} of this run; `length`: batches of its epoch. Raises UserError if the file is of another
    network, dataset or seed.
    """
    content = safe_load.read(path)
    named = content.get("arch") if checkpoint.is_ours(content) else parse(content, path).arch
    arch = options["MODEL.ARCH"]
    if named and named != arch:
        raise UserError(f"--resume {path} is of {named}, not of --arch {arch}: leave --arch out, or use --snapshot")
    _check_rounds(content, path, options)
    if checkpoint.is_ours(content):
        changes = _changes(content, options, ranks, path)
        for kind in ("net", "ema"):
            finite.check(content[kind] or {}, f"--resume {path}")
        state.unpack(checkpoint.whole(content, path), ranks)
        _reopen_round(state, content.get("config") or {}, options)
        where = f"epoch {state.epoch} done, {state.iteration} iterations of the next"
        return f"resumed from {path}, all {len(content['net'])} entries: {where}{changes}"
    report = load(state.net, path)
    taken = restore_optimizer(path, state)
    if state.ema:
        state.ema.net.load_state_dict(state.net.state_dict())
    if paddle.is_own(path):
        done = _place(path, state, length, int(options["TRAIN.ACCUM"]))
        _check_left(path, options, state, length)
    else:
        state.epoch = parse(content, path).epoch
        done = f"epoch {state.epoch} done"
    return f"{report}\nresumed from {path}: {done}{taken}"


def _check_rounds(content: Any, path: Path, options: Mapping[str, Any]) -> None:
    """With --max_iters a file counts in rounds of --save_interval iterations, else in epochs: that must not change.

    NVIDIA's count in epochs; PaddleSeg's in iterations, which have a place in either.
    """
    if paddle.is_own(path):
        return
    before = content.get("config") or {} if checkpoint.is_ours(content) else {}
    was = before.get("TRAIN.SAVE_INTERVAL", 0) if before.get("TRAIN.MAX_ITERS") else 0
    if was != (options["TRAIN.SAVE_INTERVAL"] if options["TRAIN.MAX_ITERS"] else 0):
        flag = "--epoch_iters" if options["TRAIN.EPOCH_ITERS"] else "--max_iters"
        advice = f"--max_iters and --save_interval {was}" if was else f"--max_epoch, without {flag}"
        advice = f"--epoch_iters {was}" if before.get("TRAIN.EPOCH_ITERS") else advice
        raise UserError(f"--resume {path} counts in {'iterations' if was else 'epochs'}: go on with {advice}")


def _check_left(path: Path, options: Mapping[str, Any], state: TrainState, length: int) -> None:
    """UserError where a file of PaddleSeg has done all iterations: nothing would be trained or written."""
    done = (state.epoch + 1) * length + state.iteration
    total = options["TRAIN.MAX_ITERS"] or options["TRAIN.MAX_EPOCH"] * length
    if done >= total:
        flag = "--max_iters" if options["TRAIN.MAX_ITERS"] else "--max_epoch"
        raise UserError(f"--resume {path} has {done} iterations done, of {total} here: raise {flag}, or use --snapshot")


def _reopen_round(state: TrainState, before: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """The last round of a budget ends with it. Where the budget is larger now, the round is not over."""
    was, steps = before.get("TRAIN.MAX_ITERS", 0), before.get("TRAIN.SAVE_INTERVAL", 0)
    if 0 < was < options["TRAIN.MAX_ITERS"] and was % steps and (state.epoch + 1) * steps > was:
        state.epoch, state.iteration = was // steps - 1, was % steps


def _place(path: Path, state: TrainState, length: int, accum: int) -> str:
    """Stand where the schedule of a Paddle file stands, in epochs of `length` batches. Gives what that is."""
    told = paddle.momentum(path, read_file(path))
    if told.iterations is None:
        return f"no schedule in {told.path.name}, so from epoch 0"
    state.step = told.iterations
    finished, state.iteration = divmod(told.iterations * accum, length)
    state.epoch = finished - 1
    rate = "" if told.rate is None else f", learning rate there {told.rate:.6g}"
    return (
        f"{told.iterations} iterations done there, in epochs of {length} batches epoch {state.epoch} and "
        f"{state.iteration} batches of the next{rate}"
    )


def _changes(content: Mapping[str, Any], options: Mapping[str, Any], ranks: Ranks, path: Path) -> str:
    """Options that differ from those of the file, as text; UserError where the run would not be the same any more."""
    before = content.get("config") or {}
    changed = {key: (before[key], options[key]) for key in options if key in before and before[key] != options[key]}
    for key in ("DATASET.NAME", "SEED"):
        if key in changed:
            was, now = changed[key]
            raise UserError(f"--resume {path}: {key} was {was}, now {now}; keep it, or start anew with --snapshot")
    layouts = [(content["world"], before["TRAIN.BATCH_SIZE"]), (ranks.world, options["TRAIN.BATCH_SIZE"])]
    batches = [world * size for world, size in layouts]
    if content["iteration"] and batches[0] != batches[1]:
        raise UserError(
            f"--resume {path} stands within an epoch of global batches of {batches[0]} images, not {batches[1]}: "
            "keep processes times --bs_trn until the epoch is over"
        )
    if content["iteration"] and options["DATASET.IMG_SIZES"] and layouts[0] != layouts[1]:
        world, size = layouts[0]  # a process's images are of one orientation, so that others would make a batch
        raise UserError(
            f"--resume {path} stands within an epoch of --imgSize on {world} process(es) with --bs_trn {size}: "
            "keep both until the epoch is over"
        )
    shown = [f"{k} {was!r} -> {now!r}" for k, (was, now) in changed.items() if k not in _EXPECTED]
    return f"\nchanged options: {', '.join(shown)}" if shown else ""


def restore_optimizer(path: Path, state: TrainState) -> str:
    """Take over the optimizer's state of a file. Gives a remark on what was taken or did not fit."""
    weights, remark = read_file(path), ""
    saved = weights.optimizer
    if paddle.is_own(path):
        saved, remark = _from_paddle(path, weights, state)
    if not saved:
        raise UserError(f"checkpoint {path} holds no optimizer state: leave --restore_optimizer out, or use --snapshot")
    try:
        state.optimizer.load_state_dict(dict(saved))
    except (ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the optimizer state of {path} is of another network or optimizer: {reason}") from None
    # Weights are taken where shapes agree, so the state of the others cannot be used either.
    odd = [p for p, slots in state.optimizer.state.items() if any(_differs(x, p) for x in slots.values())]
    for parameter in odd:
        del state.optimizer.state[parameter]
    return remark + (f"; the optimizer starts anew for {len(odd)} parameters of another shape" if odd else "")


def _from_paddle(path: Path, weights: Weights, state: TrainState) -> tuple[dict[str, Any], str]:
    """A `.pdopt` as the state of our optimizer, which goes by the parameters' positions; and what of it is taken."""
    told, groups = paddle.momentum(path, weights), state.optimizer.state_dict()["param_groups"]
    if not isinstance(state.optimizer, torch.optim.SGD):
        raise UserError(
            f"{told.path} holds the momentum of SGD: use --optimizer sgd, or --snapshot without the optimizer"
        )
    names = {id(parameter): name for name, parameter in state.net.named_parameters()}
    own = [names[id(parameter)] for group in state.optimizer.param_groups for parameter in group["params"]]
    slots = {i: {"momentum_buffer": told.velocities[name]} for i, name in enumerate(own) if name in told.velocities}
    return {
        "state": slots,
        "param_groups": groups,
    }, f"; momentum of {len(slots)} of {len(own)} parameters from {told.path}"


def _differs(slot: Any, parameter: Tensor) -> bool:
    return isinstance(slot, Tensor) and slot.dim() > 0 and slot.shape != parameter.shape
