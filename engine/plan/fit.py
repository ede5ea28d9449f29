"""--max_memory: batch, accumulation, recomputed activations and tiles that fit, while a step keeps its images."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

import config
from engine.plan import estimate, trace
from engine.plan.rules import Choice
from engine.plan.trace import Peak
from utils.errors import UserError

MARGIN = 1.1  # how far a traced peak may be off (docs/benchmarks.md)
# What a CUDA process takes beside its tensors: context, cuBLAS and cuDNN. A round figure, not measured here.
CONTEXT = 600 << 20
Change = Callable[[Sequence[Choice]], Any]  # choices -> the options with them


def choices(cfg: Any, device: torch.device, world: int, change: Change) -> tuple[list[Choice], list[str]]:
    """Choose the fastest setting whose peaks stay within --max_memory; gives what is changed, and lines that say it.

    A step keeps its images. What leaves numbers as they are comes first: activations that are computed again, then
    smaller batches, over which batch norm sees other statistics. UserError where nothing fits.
    """
    limit = cfg.OPTIONS.MAX_MEMORY
    free = (limit - beside(device)) / MARGIN
    said = [
        f"--max_memory {estimate.gib(limit)}: {estimate.gib(max(0, free))} for tensors, behind what a process takes "
        f"beside ({estimate.gib(beside(device))}) and the {100 * (MARGIN - 1):.0f} % that a plan may be off"
    ]
    for found in _candidates(cfg):
        peak = _peak(change(found), device, world)
        if peak is not None and peak.bytes <= free:
            found, left = _without_copy(change(found), device, peak, free, found)
            more, line = _validation(change(found), device, peak, left)
            said += [f"  {_named(choice)}: {choice.reason}" for choice in (*found, *more)]
            return [*found, *more], [
                *said,
                f"  a step takes {estimate.gib(peak.bytes)} at its peak, in {peak.during}{line}",
            ]
        size = f"{_batch(found, cfg)} images at once{' with --grad_ckpt' * any(_is_ckpt(x) for x in found)}"
        said.append(f"  {size}: {estimate.gib(peak.bytes) if peak else 'too few for batch norm'}")
    raise UserError(
        f"--max_memory {estimate.gib(limit)} is too little: {'; '.join(line.strip() for line in said[1:])}; lower "
        "--crop_size, or add --fp16"
    )


def _without_copy(
    cfg: Any, device: torch.device, step: Peak, free: float, found: list[Choice]
) -> tuple[list[Choice], float]:
    """Let training wait for its checkpoints where a copy of one does not fit; gives the choices and what is free."""
    copied = estimate.copy_beside(cfg, device, step)
    if step.bytes + copied <= free:
        return found, free - copied
    why = f"a copy of a checkpoint, {estimate.gib(copied)}, does not fit beside a step: training waits for each"
    return [*found, Choice("TRAIN.ASYNC_SAVE", False, why)], free


def beside(device: torch.device) -> int:
    """Give the bytes that a process holds beside its tensors."""
    if device.type == "cuda":
        return CONTEXT
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _candidates(cfg: Any) -> Iterator[list[Choice]]:
    """Give the settings to look at, the fastest first."""
    m, (size, accumulated) = cfg.MODEL, (cfg.TRAIN.BATCH_SIZE, cfg.TRAIN.ACCUM)
    able = "MODEL.GRAD_CKPT" not in config.unread(cfg)
    again = Choice("MODEL.GRAD_CKPT", True, "activations are computed again: the same numbers, about a third slower")
    for part in (part for part in range(size, 0, -1) if size % part == 0):
        batch = [
            Choice("TRAIN.BATCH_SIZE", part, f"{size} at once do not fit; batch norm sees {part} at a time"),
            Choice("TRAIN.ACCUM", accumulated * size // part, f"a step keeps its {size * accumulated} images"),
        ]
        smaller = batch if part < size else []
        yield smaller
        if able and not (m.GRAD_CKPT or m.FREEZE_TRUNK):
            yield [*smaller, again]


def _peak(cfg: Any, device: torch.device, world: int) -> Peak | None:
    """Trace a step; None where batch norm refuses its batch."""
    try:
        return trace.training(cfg, device, world)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        return None


def _validation(cfg: Any, device: torch.device, step: Peak, free: float) -> tuple[list[Choice], str]:
    """Bound the memory of a validation where an image at once would take more; gives that and the end of a line."""
    data = estimate.data_of(cfg)
    if not cfg.TRAIN.DO_EVAL or data.note:
        return [], ""
    held = step.stays
    one, _ = trace.validation(cfg, device, data.size)
    if one.bytes + held <= free or cfg.EVAL.MEMORY_GB:
        return [], f"; a validation {estimate.gib(one.bytes + held)}"
    limit = int(free - held - one.weights)
    if limit <= 0:
        raise UserError(
            f"--max_memory: a validation does not fit beside {estimate.gib(held + one.weights)} of training"
        )
    part, tiles = trace.validation(cfg, device, data.size, limit)
    why = f"an image at once would take {estimate.gib(one.bytes + held)}; it is done in {tiles or 'one pass'}"
    return [Choice("EVAL.MEMORY_GB", round(limit / 2**30, 3), why)], f"; a validation {estimate.gib(part.bytes + held)}"


def _is_ckpt(choice: Choice) -> bool:
    return choice.key == "MODEL.GRAD_CKPT"


def _batch(found: Sequence[Choice], cfg: Any) -> int:
    return next((choice.value for choice in found if choice.key == "TRAIN.BATCH_SIZE"), cfg.TRAIN.BATCH_SIZE)


def _named(choice: Choice) -> str:
    return f"{choice.key} {choice.value}"
