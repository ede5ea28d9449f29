"""What a comparison keeps of each image: whole rows, in a file that goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.scored_images import ScoredImage, ScoredImages
from evaluation.calibration import BINS
from utils.errors import UserError


def image(seed: int) -> ScoredImage:
    rng = np.random.default_rng(seed)
    whole = [rng.integers(0, 9, size) for size in ((3, 2), (2, 2), (BINS, 3), (2, 3))]
    return ScoredImage(
        *whole, rng.random((seed + 1, 2), np.float32), np.zeros(seed + 1, np.uint8), np.eye(4, dtype="u1")
    )


def test_images_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    odd = "dir/caf\udce9'; DROP TABLE images"  # a name that is no UTF-8
    with closing(ScoredImages(tmp_path / "new/x.sqlite")) as file:
        for seed, name in enumerate(["a", odd, "b"]):
            file.add(name, image(seed))
    with closing(ScoredImages(tmp_path / "new/x.sqlite")) as file:  # a second start
        assert file.names() == {"a", odd, "b"}
        counts = file.counts(["b", odd])
        assert np.array_equal(counts.pixels, [image(2).pixels, image(1).pixels])
        assert np.array_equal(counts.objects[1], image(1).objects) and counts.bins.dtype == np.float64
        logits, truth, place = file.sample(["b", odd])
        assert logits.shape == (5, 2) and len(truth) == 5 and place.tolist() == [0, 0, 0, 1, 1]
        assert np.array_equal(file.classes(odd), np.eye(4))
        with pytest.raises(UserError, match="c is not there"):
            file.counts(["c"])


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(b"this is no database, but long enough to be read as one" * 20)
    with pytest.raises(UserError, match="delete it, and it is made anew"):
        ScoredImages(path)
    other = sqlite3.connect(tmp_path / "y.sqlite")
    other.execute("CREATE TABLE images (x)")
    other.commit()
    other.close()
    with pytest.raises(UserError, match="y.sqlite cannot be used"):
        ScoredImages(tmp_path / "y.sqlite")
