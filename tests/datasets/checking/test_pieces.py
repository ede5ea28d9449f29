"""What is looked for in pieces of huge images, and what is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from data_faults import COLORS, scene
from datasets_own import split_of, written
from pictures import write_image

from datasets.base import Item
from datasets.checking.check import Checked, check
from datasets.checking.faults import Faults
from datasets.checking.look import Reader
from media.reading import read_image
from utils.contracts import DatasetSpec

SPEC = DatasetSpec("drawn", ("ground", "car", "water", "lamp"), COLORS)
TEXT = """labels: {kind: gray}
classes: [ground, car, water, lamp]
splits:
  train: {images: images/train, labels: labels/train}
  val: {images: images/val, labels: labels/val}
cut: 96
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten scenes of 240 x 320, many of whose pieces are of one class."""
    for i in range(10):
        image, label = scene(i, 240, 320)
        split = "val" if i >= 8 else "train"
        write_image(tmp_path / f"images/{split}/{i}.png", image)
        write_image(tmp_path / f"labels/{split}/{i}.png", label)
    return tmp_path


def checked(root: Path) -> tuple[Checked, list[tuple[str, str, str]]]:
    file = written(root, TEXT)
    items: dict[str, list[Item]] = {mode: [*split_of(file, mode).items] for mode in ("train", "val")}
    assert all(item.piece is not None for part in items.values() for item in part)
    found = check(Reader(SPEC, 0, 64), items, Faults(), 1, shown=False)
    kept = [f for kinds in found.faults.kept.values() for f in kinds]
    return found, [(f.kind, Path(f.file).name, f.what) for f in kept]


def test_nothing_is_found_where_nothing_is_wrong(root: Path) -> None:
    found, faults = checked(root)
    assert faults == []
    assert [note[:24] for note in found.notes] == ["10 images cut into piece"]


def test_a_value_without_a_class_is_told_with_its_piece(root: Path) -> None:
    label = read_image(root / "labels/train/3.png")[..., 0].copy()
    label[200:204, 310:315] = 77
    write_image(root / "labels/train/3.png", label)
    _, faults = checked(root)
    assert [fault[:2] for fault in faults] == [("unmapped-value", "3.png")]
    assert faults[0][2].startswith("has 77 (20 pixels)") and faults[0][2].endswith("in the piece from x 240, y 160 on")


@pytest.mark.parametrize("copy", ["bytes", "brighter"])
def test_an_image_in_both_splits_is_told_once(root: Path, copy: str) -> None:
    shutil.copyfile(root / "labels/train/3.png", root / "labels/val/8.png")
    if copy == "bytes":
        shutil.copyfile(root / "images/train/3.png", root / "images/val/8.png")
    else:
        image = read_image(root / "images/train/3.png")
        write_image(root / "images/val/8.png", (0.9 * image).astype("uint8"))
    _, faults = checked(root)
    assert [fault[:2] for fault in faults] == [("leak", "8.png")]
    much = "has the pixels of" if copy == "bytes" else " % like "
    assert much in faults[0][2] and faults[0][2].endswith("images/train/3.png")
