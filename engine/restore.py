"""Starting from a file: what it fixes about the network, and continuing a run from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

import config
from datasets import classes
from engine import checkpoint, elastic, optimizer_state
from engine.state import TrainState
from network.weights import finite, load, metadata, parse, read_file, safe_load
from network.weights.checksum import is_ours
from network.weights.formats import Momentum
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.errors import UserError

Options = Mapping[str, Any]  # {key: value}
# What a resume, or its launcher, changes by itself.
_EXPECTED = ("RESUME", "SNAPSHOT", "RESULT_DIR", "TRAIN.LOCAL_RANK", "TRAIN.GLOBAL_RANK")
_EXPECTED += ("DATASET.CENTROID_ROOT", "DATASET.CACHE_DECODED")  # where one keeps what is made again to the same bits
# What counts for a start alone.
_OVER = ("MODEL.INIT_DECODER", "TRAIN.START_EPOCH", "TRAIN.RESTORE_OPTIMIZER", "TRAIN.RESTORE_NET", "TRAIN.APEX")
_OVER += metadata.WEIGHT_FILES
_SHARED = ("TRAIN.SYNCBN", "LOSS.NORM")  # of several processes


def resume(
    path: Path,
    state: TrainState,
    options: Options,
    ranks: DistributedContext,
    length: int,
    unread: Collection[str] = (),
    spec: DatasetSpec | None = None,
) -> str:
    """Continue the run that wrote `path`: ours exactly; others' with weights, optimizer and epoch, or, where momentum
    stands in a file beside it, with that and its iterations. Gives some lines.

    `options`: {key: value} of this run, of which `unread` have no effect on it; `length`: batches of its epoch; `spec`:
    its classes, compared with the file's. Raises UserError if the file is of another network, optimizer, dataset, order
    of classes or seed.
    """
    content = safe_load.read(path)
    weights = parse(content, path)
    named, arch = weights.arch, options["MODEL.ARCH"]
    if named and named != arch:
        raise UserError(f"--resume {path} is of {named}, not of --arch {arch}: leave --arch out, or use --snapshot")
    if weights.momentum is None:
        _check_rounds(content, path, options)
    if is_ours(content):
        if "optimizer" not in content:
            raise UserError(f"--resume {path} has weights alone, as they are shared: use --snapshot")
        _check_classes(content, path, spec)
        changes = _changes(content, options, ranks, path, unread)
        before = metadata.recorded(content, path)
        changes += elastic.remark(content, before, options, ranks.world, state.net)
        for kind in ("net", "ema"):
            finite.check(content[kind] or {}, f"--resume {path}")
        parts = elastic.parts(content, before, options)
        taken = state.unpack({**checkpoint.whole(content, path), "parts": parts}, ranks)
        _reopen_round(state, before, options)
        where = f"epoch {state.epoch} done, {state.iteration} iterations of the next"
        return f"resumed from {path}, all {len(content['net'])} entries: {where}{taken}{changes}"
    report = load(state.net, path)
    taken = restore_optimizer(path, state)
    if state.ema:
        state.ema.net.load_state_dict(state.net.state_dict())
    if weights.momentum:
        done = _place(weights.momentum(path), state, length, int(options["TRAIN.ACCUM"]))
        _check_left(path, options, state, length)
    else:
        state.epoch = weights.epoch
        done = f"epoch {state.epoch} done"
    return f"{report}\nresumed from {path}: {done}{taken}"


def _check_classes(content: Mapping[str, Any], path: Path, spec: DatasetSpec | None) -> None:
    """Checkpoints from before label values were recorded are compared by names alone."""
    if spec is None:
        return
    names, ids = content.get("class_names") or (), content.get("class_ids") or ()
    odd = classes.other_count(names, spec) or classes.other_names(names, spec) or classes.other_ids(ids, spec)
    if odd:
        raise UserError(f"--resume {path} was trained on other classes: {odd}; keep them, or use --snapshot")


def _check_rounds(content: Any, path: Path, options: Options) -> None:
    """With --max_iters a file counts in rounds of --save_interval iterations, else in epochs: that must not change.

    Others' count in epochs; but not those that count in iterations, which have a place in either.
    """
    before = metadata.recorded(content, path)
    was = before.get("TRAIN.SAVE_INTERVAL", 0) if before.get("TRAIN.MAX_ITERS") else 0
    if was != (options["TRAIN.SAVE_INTERVAL"] if options["TRAIN.MAX_ITERS"] else 0):
        flag = "--epoch_iters" if options["TRAIN.EPOCH_ITERS"] else "--max_iters"
        advice = f"--max_iters and --save_interval {was}" if was else f"--max_epoch, without {flag}"
        advice = f"--epoch_iters {was}" if before.get("TRAIN.EPOCH_ITERS") else advice
        raise UserError(f"--resume {path} counts in {'iterations' if was else 'epochs'}: go on with {advice}")


def _check_left(path: Path, options: Options, state: TrainState, length: int) -> None:
    """Raise UserError where another system's file has done all iterations: nothing would be trained or written."""
    done = (state.epoch + 1) * length + state.iteration
    total = options["TRAIN.MAX_ITERS"] or options["TRAIN.MAX_EPOCH"] * length
    if done >= total:
        flag = "--max_iters" if options["TRAIN.MAX_ITERS"] else "--max_epoch"
        raise UserError(f"--resume {path} has {done} iterations done, of {total} here: raise {flag}, or use --snapshot")


def _reopen_round(state: TrainState, before: Options, options: Options) -> None:
    """The last round of a budget ends with it. Where the budget is larger now, the round is not over."""
    was, steps = before.get("TRAIN.MAX_ITERS", 0), before.get("TRAIN.SAVE_INTERVAL", 0)
    if 0 < was < options["TRAIN.MAX_ITERS"] and was % steps and (state.epoch + 1) * steps > was:
        state.epoch, state.iteration = was // steps - 1, was % steps


def _place(momentum: Momentum, state: TrainState, length: int, accum: int) -> str:
    """Stand where the schedule of another system's file stands, in epochs of `length` batches. Gives what that is."""
    if momentum.iterations is None:
        return f"no schedule in {momentum.path.name}, so from epoch 0"
    state.step.fill_(momentum.iterations)
    finished, state.iteration = divmod(momentum.iterations * accum, length)
    state.epoch = finished - 1
    rate = "" if momentum.rate is None else f", learning rate there {momentum.rate:.6g}"
    return (
        f"{momentum.iterations} iterations done there, in epochs of {length} batches epoch {state.epoch} and "
        f"{state.iteration} batches of the next{rate}"
    )


def _changes(
    content: Mapping[str, Any], options: Options, ranks: DistributedContext, path: Path, unread: Collection[str]
) -> str:
    """List options that differ from the file's, as text; UserError where the run would no longer be the same."""
    before = config.as_written(metadata.recorded(content, path))
    changed = {key: (before[key], options[key]) for key in options if key in before and before[key] != options[key]}
    for key in ("DATASET.NAME", "SEED", "OPTIM.NAME"):
        if key in changed and not (key == "DATASET.NAME" and _moved(*changed[key])):
            was, now = changed[key]
            raise UserError(f"--resume {path}: {key} was {was}, now {now}; keep it, or start anew with --snapshot")
    _check_place(content, before, options, ranks, path)
    if content["world"] != ranks.world:
        changed.pop("TRAIN.BATCH_SIZE", None)  # which follows, and is told of with the number of processes
    ignored = {*unread, *_OVER, *(_SHARED if ranks.world == 1 else ())}
    shown = {k: f"{k} {was!r} -> {now!r}" for k, (was, now) in changed.items() if k not in _EXPECTED}
    effective = ", ".join(text for key, text in shown.items() if key not in ignored)
    without = ", ".join(text for key, text in shown.items() if key in ignored)
    parts = {"changed options": effective, "changed, without effect on what goes on here": without}
    return "".join(f"\n{title}: {text}" for title, text in parts.items() if text)


def _moved(was: str, now: str) -> bool:
    """Say whether a dataset's file lies elsewhere now; its classes are compared anyway."""
    return Path(was).name == Path(now).name and Path(now).suffix.lower() in (".yaml", ".yml")


def _check_place(
    content: Mapping[str, Any], before: Options, options: Options, ranks: DistributedContext, path: Path
) -> None:
    """Raise UserError where a run stands within an epoch, and the rest of it would not fit to what is done."""
    done, now, why = content["iteration"], options["TRAIN.ACCUM"], ""
    layouts = [(content["world"], before["TRAIN.BATCH_SIZE"]), (ranks.world, options["TRAIN.BATCH_SIZE"])]
    batches = [world * size for world, size in layouts]
    if done % now:
        cure = f"keep --accum {before.get('TRAIN.ACCUM', 1)}"
        why = f"after {done} batches, which --accum {now} does not divide: {cure}"
    elif done and batches[0] != batches[1]:
        why = f"of global batches of {batches[0]} images, not {batches[1]}: keep processes times --bs_trn"
    elif done and options["DATASET.IMG_SIZES"] and layouts[0] != layouts[1]:
        world, size = layouts[0]  # a process's images are of one orientation, so that others would make a batch
        why = f"of --imgSize on {world} process(es) with --bs_trn {size}: keep both"
    if why:
        raise UserError(f"--resume {path} stands within an epoch {why} until the epoch is over")


def restore_optimizer(path: Path, state: TrainState) -> str:
    """Take over the optimizer's state of a file. Gives a remark on what was taken or did not fit."""
    weights, remark = read_file(path), ""
    saved = weights.optimizer
    if weights.momentum:
        saved, remark = _as_sgd(weights.momentum(path), state)
    if not saved:
        raise UserError(f"checkpoint {path} holds no optimizer state: leave --restore_optimizer out, or use --snapshot")
    try:
        remark += optimizer_state.take_over(state.optimizer, state.net, saved, weights.optimizer_names)
        remark += optimizer_state.other_settings(state.optimizer, saved)
    except UserError as error:
        raise UserError(f"{path}: {error}; take its --optimizer, or its weights alone with --snapshot") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the optimizer state of {path} is of another network or optimizer: {reason}") from None
    # Weights are taken where shapes agree, so the state of the others cannot be used either.
    differs = optimizer_state.differs
    odd = [p for p, slots in state.optimizer.state.items() if any(differs(x, p) for x in slots.values())]
    for parameter in odd:
        del state.optimizer.state[parameter]
    return remark + (f"; the optimizer starts anew for {len(odd)} parameters of another shape" if odd else "")


def _as_sgd(momentum: Momentum, state: TrainState) -> tuple[dict[str, Any], str]:
    """Turn velocities into the state of our optimizer, which goes by position; tell what of them is taken."""
    if not isinstance(state.optimizer, torch.optim.SGD):
        raise UserError(
            f"{momentum.path} holds the momentum of SGD: use --optimizer sgd, or --snapshot without the optimizer"
        )
    own = optimizer_state.parameter_names(state.optimizer, state.net)
    known = momentum.velocities
    slots = {i: {"momentum_buffer": known[name]} for i, name in enumerate(own) if name in known}
    saved = {"state": slots, "param_groups": state.optimizer.state_dict()["param_groups"]}
    return saved, f"; momentum of {len(slots)} of {len(own)} parameters from {momentum.path}"
