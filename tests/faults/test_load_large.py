"""Large pictures in little memory: evaluations of 1 to 100 megapixels under a limit of two gigabytes.

FAULTS_LARGE: pictures of the long run, a tenth of them for each number of classes, of 1 to 100 megapixels.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
from faults import large
from faults.figures import record

COUNT = int(os.environ.get("FAULTS_LARGE", "100"))
CLASSES = (2, 5, 10, 19, 30, 50, 65, 100, 120, 150)
SHAPES = (1.0, 2.0, 0.5, 3.0)  # width to height, in turn
FITS = 160e6  # elements of logits up to which a picture is also done at once


def size(megapixels: float, shape: float) -> tuple[int, int]:
    """(H, W)."""
    height = round(math.sqrt(megapixels * 1e6 / shape))
    return height, round(megapixels * 1e6 / height)


@pytest.mark.run
def test_a_picture_in_little_memory(tmp_path: Path) -> None:
    """1.5 megapixels of 64 classes, whose logits alone are as large as the limit."""
    large.draw(tmp_path / "data", 64, [(1000, 1500)])
    tiled, said = large.evaluated(tmp_path / "data", tmp_path / "tiled", 400 << 20)
    whole, at_once = large.evaluated(tmp_path / "data", tmp_path / "whole", None)
    assert "tiles of" in said and "tiles of" not in at_once
    assert tiled == pytest.approx(whole, abs=0.01) and min(whole.values()) > 0.3


@pytest.mark.faults
@pytest.mark.parametrize("classes", CLASSES)
def test_up_to_a_hundred_megapixels(classes: int, tmp_path: Path) -> None:
    """A tenth of the pictures; those whose logits fit are also done at once, without a limit."""
    steps = np.geomspace(1, 100, max(1, COUNT // len(CLASSES)))
    sizes = [size(step, SHAPES[number % 4]) for number, step in enumerate(steps)]
    data = tmp_path / "data"
    large.draw(data, classes, sizes)
    tiled, said = large.evaluated(data, tmp_path / "tiled", 2 << 30)
    small = [f"{number:03d}" for number, (h, w) in enumerate(sizes) if h * w * classes < FITS]
    whole, _ = large.evaluated(large.part_of(data, tmp_path / "part", small), tmp_path / "whole", None)
    assert {name: tiled[name] for name in small} == pytest.approx(whole, abs=0.01)
    assert len(tiled) == len(sizes) and tiled[max(tiled)] > 0.2  # of few areas, most classes are only at borders
    figures = {
        "pictures": len(sizes),
        "largest, megapixels": max(h * w for h, w in sizes) / 1e6,
        "compared with one pass": len(small),
        "largest difference": max((abs(tiled[name] - whole[name]) for name in small), default=0.0),
        "resident at most, MB": int(re.findall(r"resident at most: (\d+) MB", said)[0]),
        "tiles": re.findall(r"images of (\S+): tiles of (\S+)", said),
    }
    record("load", {f"evaluation of {classes} classes under 2 GB": figures})
