"""What an export says before it works."""

from __future__ import annotations

from torch import nn

import config
from datasets import cityscapes
from engine.export import work
from inference.from_file import Trained


def test_sizes_of_evaluation_are_no_part_of_a_file() -> None:
    """The demo of such a checkpoint averages over sizes: its masks are not those of the file."""
    cfg = config.load([])
    plain = Trained(cfg, cityscapes.SPEC, nn.Identity(), {})  # type: ignore[arg-type]
    sized = plain._replace(metadata={"DATASET.IMG_SIZES": "300,450"})
    assert work.notes(plain) == list(cfg.NOTES)
    assert "resizes to short sides 300,450; a file takes pictures as they are" in work.notes(sized)[-1]
