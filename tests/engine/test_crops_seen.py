"""Where a crop lies in its file, read off its transform."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from pictures import write_image

from datasets.base import Item, SegmentationDataset
from datasets.folder import SPEC
from engine.crops_seen import told
from transforms import Pipeline
from transforms.geometry import RandomFlip, RandomScaleCrop
from utils.contracts import CropRequest, Sample


def test_the_part_is_the_one_that_is_cut(tmp_path: Path) -> None:
    """Of crops without scaling the window is known; beyond 128 columns a second digit counts."""
    write_image(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (90, 300, 3), "u1"))
    crop = RandomScaleCrop((40, 50), 1.0, 1.0)
    dataset = SegmentationDataset([Item(str(tmp_path / "a.png"), None, "a")], SPEC, Pipeline((crop, RandomFlip())))
    flipped = 0
    for seed in range(8):
        rng = random.Random(seed)
        sample = Sample(np.zeros((90, 300, 3), "u1"), None, "", (90, 300), (200, 60), 0)
        (top, left), flips = crop.draw(sample, rng).offset, rng.random() < 0.5
        line = told(dataset, CropRequest(0, (200, 60), seed))
        part = f"columns {left} to {left + 49}, rows {top} to {top + 39} of 300x90{', flipped' if flips else ''}"
        assert line == f"{tmp_path}/a.png: {part}, round (200, 60), seed {seed}"
        flipped += flips
    assert 0 < flipped < 8
