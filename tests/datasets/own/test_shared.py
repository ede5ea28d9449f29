"""Images that two sets of one training have are counted before it begins."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets_own import CLASSES, make, split_of, written
from pictures import write_image

TEXT = f"images: images\nlabels: {{kind: gray, path: gray}}\n{CLASSES}splits: {{percent: {{train: 50, val: 50}}}}\n"


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """A file of two sets, one and two, whose 30 images differ and whose files are all of one size."""
    for seed, name in enumerate(("one", "two")):
        root = make(tmp_path / name, 15)
        for number, path in enumerate(sorted((root / "images").iterdir())):
            rng = np.random.default_rng(100 * seed + number)
            write_image(path.with_suffix(".bmp"), rng.integers(0, 255, (24, 32, 3), np.uint8))
            path.unlink()
        written(root, TEXT, f"{name}.yaml")
    return written(tmp_path, "sets: [one/one.yaml, two/two.yaml]\n", "both.yaml")


def said(file: Path, mode: str = "train") -> list[str]:
    return [note for note in split_of(file, mode).notes if " share " in note]


def images(file: Path, name: str) -> list[str]:
    return [item.image for item in split_of(file.parent / name / f"{name}.yaml").items]


def test_nothing_is_said_of_sets_without_shared_images(sets: Path) -> None:
    assert said(sets) == said(sets, "val") == []


@pytest.mark.parametrize("how", [shutil.copyfile, os.symlink, os.link])
def test_shared_content_is_said_in_one_line(sets: Path, how: object) -> None:
    ours, theirs = images(sets, "one"), images(sets, "two")
    for mine, other in zip(ours[:3], theirs[:3], strict=True):
        os.unlink(other)
        how(mine, other)  # type: ignore[operator]
    line = f"both: train: one and two share 3 images, drawn from both: {ours[0]} and {theirs[0]} first"
    assert said(sets) == [line] and said(sets, "val") == []


def test_one_image_under_one_path(sets: Path) -> None:
    path = images(sets, "one")[4]
    (sets.parent / "more.txt").write_text(f"{path}\n")
    more = TEXT.replace("path: gray", "path: one/gray").replace("images: images\n", "")
    written(sets.parent, more.replace("{percent: {train: 50, val: 50}}", "{train: more.txt}"), "more.yaml")
    sets.write_text("sets: [one/one.yaml, two/two.yaml, more.yaml]\n")
    assert said(sets) == [f"both: train: one and more share 1 image, drawn from both: {path}"]
