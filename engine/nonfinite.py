"""Steps that are left out since a number in them is none: counted, named with their files, in the end the run's end."""

from __future__ import annotations

import math
import shlex

import torch

from engine.session import Run
from engine.state import BatchLoss, TrainState
from utils.errors import UserError


def record_losses(run: Run, state: TrainState) -> None:
    """Add finite losses since the last call to the epoch's mean, and name the files of the steps that were left out.

    Waits for the device. UserError, on all ranks, where too many steps in a row were left out; on the main one where a
    checkpoint was not written.
    """
    run.saver.check()
    named = ""  # the last loss of the step that is none
    for batch, value in state.read_losses():
        if math.isfinite(value):
            state.loss_sum, state.loss_count = state.loss_sum + value, state.loss_count + 1
        else:
            named = _named(run, state, batch, f"loss {value}")
        if batch.taken is None:  # others of its step follow
            continue
        state.bad_steps = 0 if batch.taken else state.bad_steps + 1
        if state.bad_steps:
            what = "losses in a row were not finite" if named else "steps in a row were left out"
            named = named or _named(run, state, batch, f"gradients of the loss {value:.6g} not finite")
            if state.bad_steps >= run.cfg.TRAIN.NAN_PATIENCE:
                half = "--amp_opt_level O2 (bfloat16), " * (run.precision.dtype == torch.float16)
                advice = f"{half}lower --lr, or --grad_clip 1"
                raise UserError(f"{state.bad_steps} {what}, the last: {named}; {advice}; {_why(run, state, batch)}")
        named = ""


def _named(run: Run, state: TrainState, batch: BatchLoss, what: str) -> str:
    """Log what kept a step from being taken, its files and how to see why; gives the first two. All ranks call it."""
    names = ", ".join(name for part in run.ranks.gather(batch.names) for name in part)
    where = f"{what} in epoch {state.epoch + 1}, iteration {batch.iteration}: {names}"
    run.log.line(f"{where}; the step is left out; {_why(run, state, batch)}")
    return where


def _why(run: Run, state: TrainState, batch: BatchLoss) -> str:
    step = state.before + batch.iteration
    return f"python scripts/replay.py {shlex.quote(str(run.folder))} --step {step} says why"
