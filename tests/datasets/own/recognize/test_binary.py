"""Binary masks with soft edges, as antialiasing, resizing and JPEG leave them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import own_layouts as drawn
import pytest
from pictures import write_image

from datasets.own.recognize.binary import kind_of
from tests.datasets.own.recognize.test_layouts import described, look


def soft(mask: np.ndarray) -> np.ndarray:
    """Draw a mask large, with edges of several values, (192, 256) uint8."""
    large = cv2.resize(np.where(mask, 255, 0).astype(np.uint8), (256, 192), interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(large, (3, 3), 0)


def large(seed: int) -> np.ndarray:
    return cv2.resize(drawn.image(seed), (256, 192), interpolation=cv2.INTER_NEAREST)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_masks_of_classes_with_soft_edges(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "set"
    for seed, stem in enumerate(drawn.STEMS):
        write_image(folder / f"images/{stem}.png", large(seed))
        for number, name in enumerate(("road", "car"), 1):
            write_image(folder / f"masks/{stem}_{name}{suffix}", soft(drawn.label(seed) >= number))
    found = described(folder)
    assert found.tree["labels"]["kind"] == "binary" and found.classes == ("background", "car", "road")
    assert any("128 or more is of the class" in note for note in found.draft.notes)
    assert sum(map(len, found.read.values())) == 12


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_one_mask_an_image_with_soft_edges(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "set"
    for seed, stem in enumerate(drawn.STEMS):
        write_image(folder / f"images/{stem}.jpg", large(seed))
        write_image(folder / f"masks/{stem}_mask{suffix}", soft(drawn.label(seed) > 0))
    found = described(folder)
    assert found.tree["labels"]["kind"] == "binary" and found.classes == ("background", "object")
    assert all(values == {0, 1} for names in found.read.values() for values in names.values())


def test_what_is_no_mask(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    pictures = {"ids": drawn.label(0), "ramp": ramp, "photo": drawn.image(0), "mask": soft(drawn.label(1) > 0)}
    for name, picture in pictures.items():
        write_image(tmp_path / f"{name}.png", picture)
    (tmp_path / "none.png").write_text("x")
    kinds = {name: kind_of(tmp_path / f"{name}.png") for name in (*pictures, "none")}
    assert kinds == {"ids": "", "ramp": "", "photo": "", "mask": "smooth", "none": ""}


def test_sites_with_the_same_names(tmp_path: Path) -> None:
    """The folder above both would be that of everything."""
    folder = tmp_path / "set"
    for seed, site in enumerate(("north", "south")):
        for number in range(3):
            write_image(folder / f"{site}/images/{number}.jpg", drawn.image(5 * seed + number))
            for value, name in enumerate(("road", "car"), 1):
                mask = np.uint8(255) * (drawn.label(5 * seed + number) == value)
                write_image(folder / f"{site}/masks/{name}/{number}.png", mask)
    found = described(folder)
    assert found.tree["labels"]["path"] == ["set/north/masks", "set/south/masks"]
    assert sum(map(len, found.read.values())) == 6 and not found.draft.notes
    assert all(values == {0, 1, 2} for names in found.read.values() for values in names.values())


def test_masks_beside_their_images_are_of_the_folder_itself(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for number in range(6):
        write_image(folder / f"{number}.jpg", drawn.image(number))
        for value, name in enumerate(("road", "car"), 1):
            write_image(folder / f"{number}_{name}.png", np.uint8(255) * (drawn.label(number) == value))
    draft = look(folder)
    (labels,) = (entry.value for entry in draft.entries if entry.key == "labels")
    assert labels == {"kind": "binary", "path": "."}


def test_small_masks_as_jpeg_some_of_them_empty(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for seed in range(8):
        write_image(folder / f"images/{seed}.jpg", drawn.image(seed))
        for value, name in enumerate(("road", "car"), 1):
            mask = np.uint8(255) * (drawn.label(seed) == value) * (seed != 3)
            write_image(folder / f"masks/{seed}_{name}.jpg", mask)
    found = described(folder)
    assert found.tree["labels"]["kind"] == "binary" and sum(map(len, found.read.values())) == 8
    values = [values for names in found.read.values() for values in names.values()]
    assert values.count({0, 1, 2}) == 7 and values.count({0}) == 1
