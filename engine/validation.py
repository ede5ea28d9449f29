"""When a training is validated, and on which images."""

from __future__ import annotations

from yacs.config import CfgNode

import datasets
from engine.session import Run
from engine.state import TrainState


def validation_due(cfg: CfgNode, epoch: int) -> bool:
    """Ask for a validation every VAL_FREQ epochs, and after the last one; never without DO_EVAL."""
    last = epoch + 1 == cfg.TRAIN.MAX_EPOCH
    return cfg.TRAIN.DO_EVAL and epoch >= 0 and (last or (epoch + 1) % cfg.TRAIN.VAL_FREQ == 0)


def validation_missing(run: Run, state: TrainState) -> bool:
    """Tell whether the run ended between a checkpoint and its validation; the main rank's files decide for all."""
    done = any(row["epoch"] == state.epoch for row in run.log.history("val"))
    there = (run.folder / f"last_checkpoint_ep{state.epoch}.pth").is_file()
    owes = there and not done and state.iteration == 0 and validation_due(run.cfg, state.epoch)
    return run.ranks.gather(owes)[0]


def validation(run: Run, mode: str) -> datasets.EvalLoader:
    """Build the loader of an evaluation's images; what there is to say of them is said once a run."""
    loader = datasets.build_val(run.cfg, run.ranks, mode)
    for note in loader.dataset.notes:
        run.log.once(note)
    return loader
