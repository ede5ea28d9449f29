"""--plan: the memory of training and validation, hours and disk of a run, with reasons, before anything is there."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

import config
from datasets import splits, subset
from datasets.reading import size_of
from engine.hostcopy import room_for
from engine.meter import duration
from engine.plan import trace
from engine.plan.trace import Peak
from utils.distributed import DistributedContext
from utils.errors import UserError

# What a training step reaches of the rate of a convolution by itself, as measured of HRNet-W48 with RMI on 2 CPU cores.
# Not measured on a GPU.
SHARE_OF_RATE = 0.58
_SIZES = 50  # images whose heads are read
_SECONDS = 0.3  # of measuring


class Data(NamedTuple):
    """Images of an epoch and of a validation, (H, W) of a validation image, and what is to be said of them."""

    train: int = 0
    val: int = 0
    size: tuple[int, int] = (0, 0)
    note: str = ""


def data_of(cfg: Any) -> Data:
    """Count the images and look at the sizes of some; where they cannot be listed, the note says why."""
    alone = DistributedContext()
    try:
        train, val = splits.load(cfg, "train", alone), splits.load(cfg, "val", alone)
        sizes = [size_of(item.image) for item in subset.share(val.items, _SIZES)]
    except (UserError, OSError) as error:
        return Data(note=f"not planned: {error}")
    size = (int(median(h for h, _ in sizes)), int(median(w for _, w in sizes))) if sizes else (0, 0)
    return Data(train.fine, len(val.items), size)


def lines(cfg: Any, device: torch.device, world: int) -> Iterator[str]:
    """Write the plan of `cfg` on `world` devices, line by line."""
    data, step = data_of(cfg), trace.training(cfg, device, world)
    copied = copy_beside(cfg, device, step)
    yield f"plan of {cfg.MODEL.ARCH} on {world} {device.type} process{'es' * (world > 1)}, from a trace; each of them:"
    yield f"  training: {gib(step.bytes + copied)} at the peak, in {step.during}; {_batch(cfg)}"
    yield f"    {_parts(step)}"
    yield f"    of that a forward pass keeps {gib(step.kept)} for the backward pass{_cures(cfg)}"
    yield f"    not in it: {_beside(cfg, device)}"
    if not cfg.TRAIN.DO_EVAL:
        yield "  validation: none (--do_eval false)"
        one = Peak(0, "")
    elif data.note:
        yield f"  validation {data.note}"
        one = Peak(0, "")
    else:
        one, tiles = trace.validation(cfg, device, data.size)
        held = step.stays + copied
        yield (
            f"  validation: {gib(one.bytes + held)} at the peak, an image of {_size(data.size)} "
            f"{f'in {tiles}' if tiles else 'at once'}, with {gib(held)} of the training's that stays"
        )
    yield from _copy(cfg, device, step)
    yield from _hours(cfg, device, world, data, step, one)
    yield from _disk(cfg, step, data)


def copy_beside(cfg: Any, device: torch.device, step: Peak) -> int:
    """Give the bytes that the main process holds on `device` for checkpoints that are written beside the training."""
    return checkpoint_size(step) if cfg.TRAIN.ASYNC_SAVE and device.type == "cpu" else 0


def checkpoint_size(step: Peak) -> int:
    """Give the bytes of a checkpoint."""
    return step.weights + step.slots + step.average


def _copy(cfg: Any, device: torch.device, step: Peak) -> Iterator[str]:
    """Tell what a checkpoint's copy takes of the host's memory."""
    if cfg.TRAIN.ASYNC_SAVE:
        size, cuda = checkpoint_size(step), device.type == "cuda"
        where = f"{gib(room_for(size, cuda))} of page-locked host memory" if cuda else f"{gib(size)}, counted above"
        yield f"  copy of a checkpoint, in the main process: {where}; --async_save false makes none"


def gib(count: float) -> str:
    """Write bytes for people."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 / 10 else f"{count / 2**20:.1f} MiB"


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _batch(cfg: Any) -> str:
    precision = {"O0": "fp32", "O1": "fp16", "O2": "bf16"}[cfg.TRAIN.AMP_OPT_LEVEL] if cfg.TRAIN.FP16 else "fp32"
    accumulated = f", {cfg.TRAIN.ACCUM} batches a step" if cfg.TRAIN.ACCUM > 1 else ""
    return f"batches of {cfg.TRAIN.BATCH_SIZE}, {_size(trace.image_size(cfg))}, {precision}{accumulated}"


def _parts(step: Peak) -> str:
    average = f", their average {gib(step.average)}" if step.average else ""
    slots = f", the optimizer's slots {gib(step.slots)}" if step.slots else ""
    return f"weights {gib(step.weights)}, gradients {gib(step.gradients)}{slots}{average}"


def _cures(cfg: Any) -> str:
    cures = [flag for flag, used in (("--grad_ckpt", cfg.MODEL.GRAD_CKPT), ("--fp16", cfg.TRAIN.FP16)) if not used]
    return f"; {' and '.join(cures)} lower{'s' * (len(cures) == 1)} that" if cures else ""


def _beside(cfg: Any, device: torch.device) -> str:
    found = ["Python and its libraries"]
    if device.type == "cuda":
        found = ["the device's context and libraries", "workspaces of its kernels", "what its allocator cannot use"]
    found += ["what --compile changes"] * cfg.TRAIN.COMPILE + ["the teacher"] * bool(cfg.LOSS.TEACHER)
    return ", ".join(found)


def _hours(cfg: Any, device: torch.device, world: int, data: Data, step: Peak, one: Peak) -> Iterator[str]:
    """Tell the time of training and validations, by operations and a rate."""
    rate, whence = _rate(cfg, device)
    operations = f"{step.flops / 1e9:.1f} GFLOP a batch"
    if not rate:
        yield f"  hours not planned: {operations}, and no rate is known: --tflops states one"
        return
    seconds, whence = step.flops / rate, f"{operations}, {rate / 1e12:.3f} TFLOP/s, {whence}"
    if data.note:
        yield f"  hours: {duration(1000 * seconds)} for 1000 batches; {whence}"
        return
    batches, epochs = epochs_of(cfg, data, world)
    validations = max(1, epochs // cfg.TRAIN.VAL_FREQ) * cfg.TRAIN.DO_EVAL
    training, scoring = epochs * batches * seconds, validations * math.ceil(data.val / world) * one.flops / rate
    yield (
        f"  hours: {duration(training + scoring)}: {epochs} epochs of {batches} batches {duration(training)}, "
        f"{validations} validations of {data.val} images {duration(scoring)}; {whence}"
    )


def epochs_of(cfg: Any, data: Data, world: int) -> tuple[int, int]:
    """Give batches of an epoch on each process, and epochs."""
    if cfg.TRAIN.MAX_ITERS:
        return cfg.TRAIN.SAVE_INTERVAL, max(1, cfg.TRAIN.MAX_ITERS // cfg.TRAIN.SAVE_INTERVAL)
    images = int(data.train * (cfg.DATASET.TRAIN_FRACTION if not cfg.DATASET.IMG_SIZES else 1))
    return max(1, images // (cfg.TRAIN.BATCH_SIZE * world)), cfg.TRAIN.MAX_EPOCH - cfg.TRAIN.START_EPOCH


def _rate(cfg: Any, device: torch.device) -> tuple[float, str]:
    """Give operations a second of a process and where the figure comes from; 0 where nobody knows."""
    if cfg.OPTIONS.TFLOPS:
        return cfg.OPTIONS.TFLOPS * 1e12, "as --tflops states"
    if device.type == "cuda" and not torch.cuda.is_available():
        return 0.0, ""
    share = f"{100 * SHARE_OF_RATE:.0f} % of what a convolution by itself reaches here, measured now"
    return SHARE_OF_RATE * _convolution_rate(device), share


def _convolution_rate(device: torch.device) -> float:
    """Measure a 3x3 convolution of 64 channels: its operations a second."""
    x, w = torch.zeros(1, 64, 128, 128, device=device), torch.zeros(64, 64, 3, 3, device=device)
    x, w = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, w))
    began, count = 0.0, -1
    while count < 0 or time.perf_counter() - began < _SECONDS:
        F.conv2d(x, w, padding=1)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        began, count = (began, count + 1) if count >= 0 else (time.perf_counter(), 0)
    return count * 2 * 64 * 64 * 9 * 128 * 128 / (time.perf_counter() - began)


def _disk(cfg: Any, step: Peak, data: Data) -> Iterator[str]:
    """Tell what the run writes."""
    size, every = checkpoint_size(step), cfg.TRAIN.SAVE_EVERY
    kept = cfg.TRAIN.MAX_EPOCH // every if every else 0
    files = 2 + cfg.TRAIN.DO_EVAL + kept  # the last, the next one while it is written, the best
    more = f", {kept} kept by --save_every" if kept else ""
    kinds = f"last, next{', best' * cfg.TRAIN.DO_EVAL}{more}"
    yield f"  disk: {gib(files * size)}: {files} checkpoints of {gib(size)} ({kinds})"
    names = [name for name in cfg.EVAL if name.startswith("DUMP_") and cfg.EVAL[name]]
    if names and data.val:
        most = 3 * data.val * data.size[0] * data.size[1]
        flags = ", ".join(config.OPTIONS[f"EVAL.{name}"].name for name in names)
        yield f"    {flags}: up to {gib(most)} for each kind of picture, as PNG less"
    if cfg.DATASET.CACHE_DECODED and data.val:
        most = 4 * (data.train + data.val) * data.size[0] * data.size[1]  # three colors, and a label
        yield f"    --cache_decoded: up to {gib(most)} of raw pixels, if all images have the size of validation's"
    yield f"    class centroids once, in {cfg.DATASET.CENTROID_ROOT}"
    folder = Path(cfg.RESULT_DIR).resolve()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < files * size:
        yield f"    warning: {gib(free)} are free in {place}"
