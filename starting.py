"""What a run starts from: the checkpoint that its options name, or the newest of its folder, or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from yacs.config import CfgNode

from utils import checkpoint
from utils.errors import UserError


class Start(NamedTuple):
    """What a run starts from: a checkpoint to take weights from, or to continue (`resumes`), or nothing."""

    path: Path | None = None
    resumes: bool = False
    notes: Sequence[str] = ()


def starting_point(cfg: CfgNode) -> Start:
    """The file that --resume or --snapshot names; `auto`: the newest intact one of the run, else --snapshot.

    A batch script sets STREETSCALE_RESUME=auto, since it may be started again: its run then goes on, if there is one.
    """
    folder = Path(cfg.RESULT_DIR)
    again = os.environ.get("STREETSCALE_RESUME") == "auto" and not cfg.EVAL.MODE and any(_checkpoints(folder))
    if cfg.RESUME == "auto" or again:
        newest, notes = checkpoint.newest(folder)
        if newest:
            return Start(newest, True, notes)
    named = Path(cfg.RESUME or cfg.SNAPSHOT)
    if not (cfg.RESUME == "auto" or again or cfg.EVAL.MODE or cfg.OPTIONS.SUMMARY):
        for old in _checkpoints(folder):
            if not (cfg.RESUME and named.exists() and old.samefile(named)):  # its successor would delete it
                advice = "--resume auto continues it, or give another --result_dir"
                raise UserError(f"{folder} holds a run already ({old.name}): {advice}")
    if cfg.RESUME and cfg.RESUME != "auto":
        return Start(named, True)
    return Start(Path(cfg.SNAPSHOT) if cfg.SNAPSHOT else None)


def _checkpoints(folder: Path) -> Iterator[Path]:
    return folder.glob("last_checkpoint_ep*.pth")
