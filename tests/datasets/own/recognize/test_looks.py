"""What several labels are together: read by one palette, or by their colors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from datasets.own.recognize.looks import Looks


def test_palettes_that_differ_are_read_by_color(tmp_path: Path) -> None:
    """Writers that count colors give black another index in each file."""
    paths = []
    for k, order in enumerate([(0, 1), (1, 0)]):
        ids = np.full((8, 8), order[0], np.uint8)
        ids[:3] = order[1]
        image = Image.fromarray(ids, "P")
        colors = [(0, 0, 0), (200, 0, 0)]
        image.putpalette([part for i in order for part in colors[i]])
        paths.append(tmp_path / f"{k}.png")
        image.save(paths[-1])
    found = Looks.of(paths)
    assert found.kind == "rgb" and found.values == [(0, 0, 0), (200, 0, 0)] and found.files[(200, 0, 0)] == 2


def test_a_label_of_gray_alone_among_colors(tmp_path: Path) -> None:
    colored = np.zeros((8, 8, 3), np.uint8)
    colored[:3] = (200, 0, 0)
    paths = [tmp_path / "0.png", tmp_path / "1.png"]
    Image.fromarray(colored).save(paths[0])
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(paths[1])
    found = Looks.of(paths)
    assert found.kind == "rgb" and found.files[(0, 0, 0)] == 2
    Image.fromarray(np.full((8, 8), 7, np.uint8)).save(paths[1])
    found = Looks.of(paths)
    assert found.kind == "spoilt" and "1.png: it holds ids" in found.spoilt and "0.png colors" in found.spoilt
