"""When a training is validated, and on which images."""

from __future__ import annotations

import itertools
import time

from torch import nn
from yacs.config import CfgNode

import datasets
import inference
from engine.session import Run
from engine.state import TrainState
from media import decoding
from utils.errors import MemoryShortageError

_TRIED = 3  # batches: the first ones pay for what is done once
_AND_FILES = 1.5


def validation_due(cfg: CfgNode, epoch: int, over: bool = False) -> bool:
    """Ask for a validation every VAL_FREQ epochs, and after the last one (`over`); never without DO_EVAL."""
    last = over or epoch + 1 == cfg.TRAIN.MAX_EPOCH
    return cfg.TRAIN.DO_EVAL and epoch >= 0 and (last or (epoch + 1) % cfg.TRAIN.VAL_FREQ == 0)


def validation_missing(run: Run, state: TrainState, over: bool = False) -> bool:
    """Tell whether the run ended between a checkpoint and its validation; the main rank's files decide for all."""
    done = any(row["epoch"] == state.epoch for row in run.log.history("val"))
    there = (run.folder / f"last_checkpoint_ep{state.epoch}.pth").is_file()
    owes = there and not done and state.iteration == 0 and validation_due(run.cfg, state.epoch, over)
    return run.ranks.gather(owes)[0]


def validation(run: Run, mode: str) -> datasets.EvalLoader:
    """Build the loader of an evaluation's images; what there is to say of them is said once a run."""
    loader = datasets.build_val(run.cfg, run.ranks, mode)
    for note in (*loader.dataset.notes, decoding.note()):
        run.log.once(note)
    return loader


def expected_seconds(run: Run, net: nn.Module) -> float:
    """Tell what a validation will take about, by its first batches, the last of which counts; 0 where one does not fit.

    All ranks call it. The score's table, pictures and files take some more.
    """
    loader = validation(run, "val")
    predictor = inference.build_predictor(run.cfg, net, run.precision)
    took, began = 0.0, time.monotonic()
    try:
        for batch in itertools.islice(loader, _TRIED):
            predictor(batch["image"])
            took, began = time.monotonic() - began, time.monotonic()
    except MemoryShortageError:  # the validation will say so
        return 0.0
    finally:
        loader.close()
    return _AND_FILES * took * len(loader)
