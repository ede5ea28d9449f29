"""Learning-rate schedules: pure functions epoch -> factor of the initial rate. The epoch may be fractional.

Nothing is remembered between calls, so a resumed run needs the epoch alone. Past the last epoch a factor stays at its
end. With a budget of iterations (TRAIN.MAX_ITERS) the unit is the iteration, in place of the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from utils.errors import UserError

Schedule = Callable[[float], float]

_FIRST = 1e-2  # factor that a warm-up begins with: at 0 the first step would be lost


def poly(max_epoch: float, power: float) -> Schedule:
    """(1 - e / max)^power."""
    return lambda epoch: _left(epoch, max_epoch) ** power


def poly2(max_epoch: float, power: float, step: float) -> Schedule:
    """poly whose power doubles from epoch `step` on."""
    return lambda epoch: _left(epoch, max_epoch) ** (power if epoch < step else 2 * power)


def scl_poly(max_epoch: float, power: float, switch: float, rescale: float, repower: float) -> Schedule:
    """poly until epoch `switch`, then rescale * (1 - (e - switch) / (max - switch))^repower, a fresh start."""

    def factor(epoch: float) -> float:
        if epoch < switch:
            return _left(epoch, max_epoch) ** power
        return rescale * _left(epoch - switch, max_epoch - switch) ** repower

    return factor


def cosine(max_epoch: float) -> Schedule:
    """Half a cosine from 1 to 0 (Loshchilov and Hutter, arXiv:1608.03983, eq. 5 without restarts)."""
    return lambda epoch: 0.5 * (1 + math.cos(math.pi * min(epoch / max_epoch, 1.0)))


def warmed_up(schedule: Schedule, epochs: float) -> Schedule:
    """`schedule` times a straight line from 1 % at epoch 0 to 1 at epoch `epochs`; unchanged if `epochs` is 0."""
    if epochs <= 0:
        return schedule
    return lambda epoch: schedule(epoch) * min(_FIRST + (1 - _FIRST) * epoch / epochs, 1.0)


def ending_at(schedule: Schedule, end: float) -> Schedule:
    """`schedule` from 1 down to `end` in place of 0."""
    return (lambda epoch: (1 - end) * schedule(epoch) + end) if end else schedule


def _left(epoch: float, max_epoch: float) -> float:
    """Share of the training that is left."""
    return max(1 - epoch / max_epoch, 0.0)


def _switch(o: Any, length: float, unit: int) -> float:
    """Where scl-poly starts afresh; UserError for a place outside the training."""
    if not 0 <= o.RLX_OFF_EPOCH * unit < length:
        raise UserError(
            f"--lr_schedule scl-poly needs --rlx_off_epoch from 0 to below --max_epoch {length / unit:g}, "
            f"got {o.RLX_OFF_EPOCH}; give it, or use --lr_schedule poly"
        )
    return o.RLX_OFF_EPOCH * unit


# From OPTIM.*, the length of the training, and the units (epochs, or iterations) in one of the options' epochs.
SCHEDULES: dict[str, Callable[[Any, float, int], Schedule]] = {
    "poly": lambda o, length, _: poly(length, o.POLY_EXP),
    "poly2": lambda o, length, unit: poly2(length, o.POLY_EXP, o.POLY_STEP * unit),
    "scl-poly": lambda o, length, unit: scl_poly(length, o.POLY_EXP, _switch(o, length, unit), o.RESCALE, o.REPOLY),
    "cosine": lambda _, length, __: cosine(length),
}


def build(cfg: Any) -> Schedule:
    """The schedule that OPTIM.SCHEDULE names, over the whole training, behind OPTIM.WARMUP epochs of warm-up.

    Its argument is the epoch, or, with TRAIN.MAX_ITERS, the iteration.
    """
    schedule, _, unit = _whole(cfg)
    return warmed_up(schedule, cfg.OPTIM.WARMUP * unit)


def _whole(cfg: Any) -> tuple[Schedule, float, int]:
    """Give the schedule without its warm-up, its length, and the units (epochs, or iterations) in an epoch."""
    o, t = cfg.OPTIM, cfg.TRAIN
    length, unit = (t.MAX_ITERS, t.SAVE_INTERVAL) if t.MAX_ITERS else (t.MAX_EPOCH, 1)
    return ending_at(SCHEDULES[o.SCHEDULE](o, length, unit), o.END_LR / o.LR), length, unit


def rate_function(cfg: Any, progress: Callable[[], float] | None = None) -> Callable[[int, int, int], float]:
    """(epoch, iterations done in it, iterations of it) -> learning rate of the next step.

    `train.optimizer_step` sets it. It moves every iteration with OPTIM.PER_ITER, TRAIN.MAX_ITERS and in the warm-up,
    else every epoch. `progress()`: the share of the training that is done, by which the schedule then goes, every
    iteration; the warm-up keeps its epochs.
    """
    o, t, factor = cfg.OPTIM, cfg.TRAIN, build(cfg)
    if progress is not None:
        return _fitted(cfg, progress)

    def lr(epoch: int, iteration: int, total: int) -> float:
        if t.MAX_ITERS:
            return o.LR * factor(epoch * t.SAVE_INTERVAL + iteration)
        return o.LR * factor(epoch + iteration / total if o.PER_ITER or epoch < o.WARMUP else epoch)

    return lr


def _fitted(cfg: Any, progress: Callable[[], float]) -> Callable[[int, int, int], float]:
    """As `rate_function` says of `progress`."""
    o, t = cfg.OPTIM, cfg.TRAIN
    schedule, length, unit = _whole(cfg)
    warmth = warmed_up(lambda _: 1.0, o.WARMUP * unit)

    def lr(epoch: int, iteration: int, total: int) -> float:
        done = epoch * t.SAVE_INTERVAL + iteration if t.MAX_ITERS else epoch + iteration / total
        return o.LR * schedule(progress() * length) * warmth(done)

    return lr
