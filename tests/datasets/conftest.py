"""Small datasets in the published layouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import write_image
from yacs.config import CfgNode

import config
from datasets.cityscapes import SPEC

HEIGHT, WIDTH = 32, 64


def block_label(seed: int, values: Sequence[int], height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """(height, width) uint8 of 8x8 blocks of one value each."""
    blocks = np.random.default_rng(seed).choice(np.asarray(values, np.uint8), (-(-height // 8), -(-width // 8)))
    return blocks.repeat(8, 0).repeat(8, 1)[:height, :width]


def make_cityscapes(
    root: Path,
    train: Sequence[str] = ("aachen", "ulm"),
    val: Sequence[str] = ("lindau",),
    frames: int = 3,
    zips: bool = True,
) -> Path:
    """A Cityscapes tree, as NVIDIA keeps it (`zips`) or as the zips unpack together."""
    images, labels = ("leftImg8bit_trainvaltest/", "gtFine_trainvaltest/") if zips else ("", "")
    seed = 0
    for split, cities in (("train", train), ("val", val), ("test", ("berlin",))):
        for city in cities:
            for frame in range(frames):
                seed += 1
                stem = f"{city}_000000_{frame:06d}"
                image = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
                write_image(root / f"{images}leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png", image)
                label = block_label(seed, [*SPEC.train_to_id, 0, 4])
                write_image(root / f"{labels}gtFine/{split}/{city}/{stem}_gtFine_labelIds.png", label)
    return root


@pytest.fixture
def cityscapes_root(tmp_path: Path) -> Path:
    """Six training and three validation images."""
    return make_cityscapes(tmp_path / "cityscapes")


@pytest.fixture
def make_cfg(tmp_path: Path) -> Callable[..., CfgNode]:
    """`make_cfg("--flag", "value", ...)`: a config with small crops and no workers."""

    def make(*argv: Any) -> CfgNode:
        base = ["--arch", "ocrnet.HRNet", "--crop_size", "16", "--num_workers", "0", "--class_uniform_tile", "16"]
        keys = ["DATASET.CENTROID_ROOT", str(tmp_path / "centroids")]
        return config.load([*base, *(str(a) for a in argv), *keys])

    return make


@pytest.fixture
def make_tree() -> Callable[..., Path]:
    """`make_cityscapes` itself."""
    return make_cityscapes
