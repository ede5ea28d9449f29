"""Starting from a file: what it fixes about the network, and continuing a run from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from network.weights import load, read_file
from utils import checkpoint, safe_load
from utils.distributed import Ranks
from utils.errors import UserError
from utils.state import TrainState

# Options of the run that a checkpoint of ours brings along where the command line names no network.
_RECORDED = ("DATASET.NAME", "DATASET.MEAN", "DATASET.STD")
_PATHS = ("MODEL.TRUNK_WEIGHTS", "MODEL.HRNET_CHECKPOINT")


def recorded(path: Path) -> dict[str, Any]:
    """{config key: value} that a file tells of its network: all of MODEL.* for ours, the arch for NVIDIA's."""
    content = safe_load.read(path)
    if checkpoint.is_ours(content):
        options: Mapping[str, Any] = content.get("config") or {}
        return {k: v for k, v in options.items() if k in _RECORDED or (k.startswith("MODEL.") and k not in _PATHS)}
    arch = content.get("arch") if isinstance(content, Mapping) else None
    if not arch:
        raise UserError(f"checkpoint {path} does not name its network: give --arch")
    return {"MODEL.ARCH": str(arch)}


def resume(path: Path, state: TrainState, arch: str, ranks: Ranks) -> str:
    """Continue the run that wrote `path`, ours exactly, NVIDIA's with weights, optimizer and epoch. Gives a line.

    Raises UserError if the file is of another network.
    """
    content = safe_load.read(path)
    named = content.get("arch") if isinstance(content, Mapping) else None
    if named and named != arch:
        raise UserError(f"--resume {path} is of {named}, not of --arch {arch}: leave --arch out, or use --snapshot")
    if checkpoint.is_ours(content):
        state.unpack(checkpoint.verified(content, path), ranks)
        return f"resumed from {path}: epoch {state.epoch} done, {state.iteration} iterations of the next"
    report, weights = load(state.net, path), read_file(path)
    restore_optimizer(weights.optimizer, state, path)
    state.epoch = weights.epoch
    return f"{report}\nresumed from {path}: epoch {state.epoch} done"


def restore_optimizer(saved: Mapping[str, Any], state: TrainState, path: Path) -> None:
    """Take over an optimizer's state, indexed by the position of the parameter."""
    if not saved:
        raise UserError(f"checkpoint {path} holds no optimizer state: leave --restore_optimizer out, or use --snapshot")
    try:
        state.optimizer.load_state_dict(dict(saved))
    except (ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the optimizer state of {path} is of another network or optimizer: {reason}") from None
