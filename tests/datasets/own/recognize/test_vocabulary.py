"""What names of folders and files say."""

from __future__ import annotations

import pytest

from datasets.own.recognize.pairs import read_name
from datasets.own.recognize.selection import select
from datasets.own.recognize.vocabulary import is_void, part_of, split_of_list, stem_of


@pytest.mark.parametrize(
    ("name", "split", "role"),
    [
        ("train", "train", ""),
        ("Training", "train", ""),
        ("VALID", "val", ""),
        ("trainannot", "train", "label"),
        ("val_masks", "val", "label"),
        ("TrainImages", "train", "image"),
        ("train2017", "train", ""),
        ("test_drive_7", "", ""),
        ("SegmentationClass", "", "label"),
        ("SegmentationObject", "", "other"),
        ("JPEGImages", "", "image"),
        ("leftImg8bit", "", "image"),
        ("gtFine", "", "label"),
        ("label_images", "", "label"),
        ("instance_masks", "", "other"),
        ("trains", "", ""),
        ("x_train", "train", "image"),
        ("Y_val", "val", "label"),
        ("x", "", ""),
        ("berlin", "", ""),
    ],
)
def test_folders(name: str, split: str, role: str) -> None:
    assert part_of(name) == (split, role)


@pytest.mark.parametrize(
    ("stem", "key", "role"),
    [
        ("a_mask", "a", "label"),
        ("a-MASK", "a", "label"),
        ("0001TP_1_L", "0001TP_1", "label"),
        ("wall", "wall", ""),
        ("x_gtFine_labelIds", "x", "label"),
        ("x_leftImg8bit", "x", "image"),
        ("9_sat", "9", "image"),
        ("x_color_mask", "x", "other"),
        ("mask", "", "label"),
    ],
)
def test_files(stem: str, key: str, role: str) -> None:
    assert stem_of(stem)[:2] == (key, role)


def test_a_path_as_a_whole() -> None:
    found = read_name("train/drive 3/images/0007_mask.png")
    assert (found.split, found.role, found.place, found.key) == ("train", "label", ("drive 3",), "0007")
    assert read_name("labels/val/x_leftImg8bit.png").role == "label"
    assert read_name("instances/masks/x.png").role == "other"


def test_names_of_what_is_no_class() -> None:
    assert all(is_void(name) for name in ("Void", "ignore", "unlabeled", "un-annotated", "dont care", "out_of_roi"))
    assert not any(is_void(name) for name in ("background", "avoid", "road", "unknown vehicle"))


@pytest.mark.parametrize(
    ("stem", "split"),
    [("train", "train"), ("val_list", "val"), ("Valid", "val"), ("trainval", ""), ("train_aug", ""), ("classes", "")],
)
def test_lists(stem: str, split: str) -> None:
    assert split_of_list(stem) == split


def test_files_are_chosen_exactly() -> None:
    every = ["a/x.jpg", "a/x.png", "a/y.jpg", "a/y_mask.png", "b/c/z.png"]
    assert select(["b/c/z.png"], every) == ["b/c"]
    assert select(["a/x.jpg", "a/y.jpg"], every) == ["a/*.jpg"]
    assert select(["a/y_mask.png"], every) == ["a/*_mask.png"]
    assert select(["a/x.png", "a/y.jpg"], every) is None
    assert select(every, every) == ["."]
