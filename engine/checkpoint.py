"""Checkpoints of a run: written so that a crash leaves the old one or the new one, read so that no code ever runs.

A file is a dict of plain values and tensors: `format`, `net`, `ema`, `optimizer`, `scaler`, `epoch` (last finished),
`iteration` (steps done in the epoch after it), `step` (of the whole run), `rng` (a dict per rank), `config`, `arch`,
`class_names`, `class_ids` and `class_colors` (label value and color of each), `mean_iu`, `command`, `bs_trn` (as the
command asks for it), `versions`, `spent` (time used, scores), `checksum`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from network.weights.checksum import FORMAT, checksum, is_ours
from network.weights.safe_load import read
from utils import files
from utils.errors import UserError


def save(state: Mapping[str, Any], path: Path) -> None:
    """Write `state` to `path` through a temporary file, fsynced and renamed. Full disk: UserError, old file intact."""
    content = {"format": FORMAT, **state}
    content["checksum"] = checksum(content)
    try:
        with files.whole(path, durable=True) as stream:
            torch.save(content, stream)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as an error of its container
        cure = f"{files.advice(error)}, then --resume auto: earlier checkpoints are intact"
        raise UserError(f"could not write {path}: {files.reason(error)}; {cure}") from None


def load(path: Path) -> dict[str, Any]:
    """Read one of our checkpoints. UserError if it is not ours, or its checksum is wrong or gone."""
    state = read(path)
    if not is_ours(state):
        raise UserError(f"{path} is no checkpoint of a run of ours: --snapshot takes weights from other files")
    return whole(state, path)


def whole(state: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Give the state of a file that was read, and so verified, without its checksum. UserError where it has none."""
    if "checksum" not in state:
        raise UserError(f"{path} was written anew by other hands (it has no checksum): --snapshot takes its weights")
    return {name: x for name, x in state.items() if name != "checksum"}


def newest(run_dir: Path) -> tuple[Path | None, list[str]]:
    """Find the newest intact checkpoint of a run (None if it has none yet), and notes on damaged ones.

    The best one is a copy made after its validation: it comes last.
    """
    notes: list[str] = []
    files = run_dir.glob("*checkpoint_ep*.pth")
    for path in sorted(files, key=lambda p: (p.name.startswith("best"), -p.stat().st_mtime_ns)):
        try:
            load(path)
            return path, notes
        except UserError as error:
            notes.append(str(error))
    if notes:
        raise UserError(f"no checkpoint in {run_dir} is intact: {'; '.join(notes)}")
    return None, notes


def save_last(state: Mapping[str, Any], run_dir: Path, epoch: int) -> Path:
    """Write `last_checkpoint_ep<epoch>.pth`, then remove the one before and what a kill has left."""
    path = run_dir / f"last_checkpoint_ep{epoch}.pth"
    save(state, path)
    # Half-written files are those of a process that was killed.
    for pattern in ("last_checkpoint_ep*.pth", "*checkpoint_ep*.pth.part", "*checkpoint_ep*.pth.tmp*"):
        _remove_others(path, pattern)
    return path


def save_best(state: Mapping[str, Any], run_dir: Path, epoch: int) -> Path:
    """Write `best_checkpoint_ep<epoch>.pth`, the state with its own score; the best before it goes."""
    path = run_dir / f"best_checkpoint_ep{epoch}.pth"
    save(state, path)
    _remove_others(path, "best_checkpoint_ep*.pth")
    return path


def _remove_others(path: Path, pattern: str) -> None:
    """Remove what matches `pattern` in the folder of `path`, but not `path` itself."""
    for old in path.parent.glob(pattern):
        if old != path:
            old.unlink()


def copy_as(source: Path, target: Path) -> None:
    """Copy a checkpoint under another name, completely or not at all."""
    try:
        with open(source, "rb") as old, files.whole(target) as stream:
            shutil.copyfileobj(old, stream, 1 << 22)
    except OSError as error:
        cure = f"{files.advice(error)}; {source} is intact"
        raise UserError(f"could not write {target}: {files.reason(error)}; {cure}") from None


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Give torch's random states of this process, uint8 tensors. Samples need none: they are seeded one by one."""
    state = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    """Set what `random_state` gave."""
    torch.set_rng_state(state["torch"].cpu().to(torch.uint8))
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu().to(torch.uint8), device)
