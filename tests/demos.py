"""What a demo has to leave of a picture, pictures for it, and what it answers to a mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import datasets


def colors(path: Path) -> np.ndarray:
    """(H, W, 3) RGB of a file."""
    found = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert found is not None, path
    return found[..., ::-1]


def check(folder: Path, image: np.ndarray, classes: np.ndarray, suffix: str = "") -> None:
    """The three files of a picture hold what `classes` say: label ids, colors, half image and half colors."""
    spec = datasets.spec("cityscapes")
    with Image.open(folder / f"pred_mask{suffix}.png") as stored:
        assert stored.mode == "L"
        assert np.array_equal(np.array(stored), np.array(spec.train_to_id, np.uint8)[classes])
    palette = np.array(spec.palette, np.uint8)[classes]
    assert np.array_equal(colors(folder / f"color_mask{suffix}.png"), palette)
    blend = (image.astype(np.float64) + palette) / 2
    assert np.abs(colors(folder / f"overlap{suffix}.png") - blend).max() <= 0.5


def noise(height: int = 60, width: int = 83, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: smooth patches."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def save(path: Path, array: np.ndarray) -> Path:
    Image.fromarray(array).save(path)
    return path


def complaint(main: Callable[[list[str]], int], words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a command line that has to fail."""
    capsys.readouterr()
    assert main(words) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert line.startswith("error: ")
    return line
