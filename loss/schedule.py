"""Learning-rate schedules: pure functions epoch -> factor of the initial rate. The epoch may be fractional.

Nothing is remembered between calls, so a resumed run needs the epoch alone. Past the last epoch a factor stays at 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from utils.errors import UserError, nearest

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


def _left(epoch: float, max_epoch: float) -> float:
    """Share of the training that is left."""
    return max(1 - epoch / max_epoch, 0.0)


def _poly(o: Any, epochs: float) -> Schedule:
    return poly(epochs, o.POLY_EXP)


def _poly2(o: Any, epochs: float) -> Schedule:
    return poly2(epochs, o.POLY_EXP, o.POLY_STEP)


def _scl_poly(o: Any, epochs: float) -> Schedule:
    if not 0 <= o.RLX_OFF_EPOCH < epochs:
        raise UserError(
            f"--lr_schedule scl-poly needs --rlx_off_epoch from 0 to below --max_epoch {epochs}, "
            f"got {o.RLX_OFF_EPOCH}; give it, or use --lr_schedule poly"
        )
    return scl_poly(epochs, o.POLY_EXP, o.RLX_OFF_EPOCH, o.RESCALE, o.REPOLY)


def _cosine(o: Any, epochs: float) -> Schedule:  # noqa: ARG001
    return cosine(epochs)


SCHEDULES: dict[str, Callable[[Any, float], Schedule]] = {
    "poly": _poly,
    "poly2": _poly2,
    "scl-poly": _scl_poly,
    "cosine": _cosine,
}


def build(cfg: Any) -> Schedule:
    """The schedule that OPTIM.SCHEDULE names, over TRAIN.MAX_EPOCH epochs, behind OPTIM.WARMUP epochs of warm-up."""
    o = cfg.OPTIM
    if o.SCHEDULE not in SCHEDULES:
        known = ", ".join(SCHEDULES)
        raise UserError(f"--lr_schedule {o.SCHEDULE!r} is unknown{nearest(o.SCHEDULE, SCHEDULES)}; known: {known}")
    return warmed_up(SCHEDULES[o.SCHEDULE](o, cfg.TRAIN.MAX_EPOCH), o.WARMUP)
