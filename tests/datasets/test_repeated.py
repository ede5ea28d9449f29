"""Lists in which an image stands twice: it counts once, and the log says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shared import dataset_options

from datasets import camvid, cityscapes, lists, odgt
from datasets.base import Split
from utils.errors import UserError

ROWS = ("images/a.png", "labels/a.png"), ("images/b.png", "labels/b.png")


@pytest.fixture
def root(tmp_path: Path, write_file: Callable[[Path, np.ndarray], None]) -> Path:
    for name in ("images/a", "images/b", "labels/a", "labels/b", "train/a", "train/b", "trainannot/a", "trainannot/b"):
        write_file(tmp_path / f"{name}.png", np.zeros((4, 6) if "l" in name else (4, 6, 3), np.uint8))
    return tmp_path


def lst(root: Path, rows: list[tuple[str, str]]) -> Split:
    (root / "x.lst").write_text("# a comment\n" + "".join(f"{image} {label}\n" for image, label in rows))
    return lists.split(str(root / "x.lst"), str(root), cityscapes.SPEC)


def test_list(root: Path, rows: list[tuple[str, str]]) -> Split:
    (root / "x.lst").write_text("# a comment\n" + "".join(f"{image}\n" for image, _ in rows))
    return lists.split(str(root / "x.lst"), str(root), cityscapes.SPEC, labeled=False)


def ade20k(root: Path, rows: list[tuple[str, str]]) -> Split:
    told = [{"fpath_img": image, "fpath_segm": label, "width": 6, "height": 4} for image, label in rows]
    (root / "x.lst").write_text("\n" + "".join(json.dumps(row) + "\n" for row in told))
    return odgt.split(str(root / "x.lst"), str(root))


def segnet(root: Path, rows: list[tuple[str, str]]) -> Split:
    lines = [f"/SegNet/CamVid/train/{Path(image).name} {label}\n" for image, label in rows]
    (root / "train.txt").write_text("\n" + "".join(lines))
    return camvid.items(str(root), "train", dataset_options())


test_list.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("read", [lst, test_list, ade20k, segnet])
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([ROWS[0], ROWS[1]], ""),
        ([ROWS[0], ROWS[1], ROWS[0]], "1 line repeats an image and counts once, line 4 as line 2"),
        (
            [ROWS[0], ROWS[1], ROWS[1], ROWS[0], ROWS[1]],
            "3 lines repeat images and count once, the first line 4 as line 3",
        ),
        (
            [ROWS[0], ("images/./a.png", "labels/../labels/a.png")],
            "1 line repeats an image and counts once, line 3 as line 2",
        ),
    ],
)
def test_a_line_that_stands_twice_counts_once(root: Path, read: Callable, rows: list, said: str) -> None:
    listing = read(root, rows)
    assert [Path(item.image).stem for item in listing.items] == ["a", "b"][: len({Path(row[0]).stem for row in rows})]
    assert listing.fine == len(listing.items) and len({item.name for item in listing.items}) == len(listing.items)
    file = root / ("train.txt" if read is segnet else "x.lst")
    assert listing.notes == ((f"note: {file}: {said}",) if said else ())


@pytest.mark.parametrize("read", [lst, ade20k])
def test_an_image_with_two_labels_is_refused(root: Path, read: Callable) -> None:
    message = r"x\.lst, line 4: .*images/a\.png also stands in line 2, with another label, .*labels/a\.png: keep one"
    with pytest.raises(UserError, match=message):
        read(root, [ROWS[0], ROWS[1], ("images/a.png", "labels/b.png")])


def test_an_image_with_two_sizes_is_refused(root: Path) -> None:
    told = [{"fpath_img": ROWS[0][0], "fpath_segm": ROWS[0][1], "width": 6, "height": height} for height in (4, 5)]
    (root / "x.odgt").write_text("".join(json.dumps(row) + "\n" for row in told))
    with pytest.raises(UserError, match="line 2: .*a.png also stands in line 1, with another size, 6x4: keep one"):
        odgt.split(str(root / "x.odgt"), str(root))
