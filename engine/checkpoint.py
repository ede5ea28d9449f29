"""Checkpoints of a run: written so that a crash leaves the old one or the new one, read so that no code ever runs.

A file is a dict of plain values and tensors: `format`, `net`, `ema`, `optimizer`, `scaler`, `epoch` (last finished),
`iteration` (steps done in the epoch after it), `step` (of the whole run), `rng` (a dict per rank), `config`, `arch`,
`class_names`, `class_ids` and `class_colors` (label value and color of each), `mean_iu`, `command`, `bs_trn` (as the
command asks for it), `versions`, `spent` (time used, scores), `checksum`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from network.weights.checksum import FORMAT, checksum, is_ours
from network.weights.safe_load import read
from utils import files
from utils.errors import UserError

_NO_EPOCH = (True, 0, 0)  # age of a file whose name tells no epoch


def save(state: Mapping[str, Any], path: Path) -> None:
    """Write `state` to `path` by a temporary file, fsynced, renamed. Full disk, memory: UserError, old file intact."""
    content = {"format": FORMAT, **state}
    try:
        content["checksum"] = checksum(content)
        with files.whole(path, durable=True) as stream:
            torch.save(content, stream)
    except (OSError, RuntimeError, MemoryError) as error:  # torch reports a full disk as an error of its container
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

    Their names tell the order, not their times: another machine's clock may be an hour off.
    """
    notes: list[str] = []
    for path in sorted(run_dir.glob("*checkpoint_ep*.pth"), key=_age):
        try:
            load(path)
            return path, notes
        except UserError as error:
            notes.append(str(error))
    if notes:
        raise UserError(f"no checkpoint in {run_dir} is intact: {'; '.join(notes)}")
    return None, notes


def _age(path: Path) -> tuple[bool, int, int]:
    """Give what sorts checkpoints, the newest first: by epoch, the last before its copies; other names come behind."""
    found = re.fullmatch(r"(last_|best_)?checkpoint_ep(\d+)\.pth", path.name)
    return (False, -int(found[2]), ("last_", None, "best_").index(found[1])) if found else _NO_EPOCH


def save_last(state: Mapping[str, Any], run_dir: Path, epoch: int, say: Callable[[str], None] = print) -> Path:
    """Write `last_checkpoint_ep<epoch>.pth`, then remove the one before and what a kill has left.

    `say` takes a line on what cannot be removed.
    """
    path = run_dir / f"last_checkpoint_ep{epoch}.pth"
    save(state, path)
    _remove_older(path, say)
    return path


def tidy(path: Path, say: Callable[[str], None] = print) -> None:
    """Remove what a kill has left beside the last checkpoint `path`: those that it or the best one has replaced."""
    _remove_older(path, say)
    for best in sorted(path.parent.glob("best_checkpoint_ep*.pth"), key=_age)[:1]:
        _remove_others(best, "best_checkpoint_ep*.pth", say)


def _remove_older(path: Path, say: Callable[[str], None]) -> None:
    # Half-written files are those of a process that was killed.
    for pattern in ("last_checkpoint_ep*.pth", "*checkpoint_ep*.pth.part", "*checkpoint_ep*.pth.tmp*"):
        _remove_others(path, pattern, say)


def save_best(state: Mapping[str, Any], run_dir: Path, epoch: int, say: Callable[[str], None] = print) -> Path:
    """Write `best_checkpoint_ep<epoch>.pth`, the state with its own score; the best before it goes."""
    path = run_dir / f"best_checkpoint_ep{epoch}.pth"
    save(state, path)
    _remove_others(path, "best_checkpoint_ep*.pth", say)
    return path


def _remove_others(path: Path, pattern: str, say: Callable[[str], None]) -> None:
    """Remove halves and checkpoints of epochs before that of `path` that match `pattern` in its folder."""
    for old in path.parent.glob(pattern):
        if old.suffix != path.suffix or _age(path) < _age(old) < _NO_EPOCH:
            try:
                old.unlink(missing_ok=True)  # a network's disk may list what is gone
            except OSError as error:
                say(f"warning: {old} cannot be removed ({files.reason(error)}), and is of no use: {path} is newer")


def copy_as(source: Path, target: Path) -> None:
    """Copy a checkpoint under another name, completely or not at all."""
    try:
        with open(source, "rb") as old, files.whole(target, durable=True) as stream:
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
