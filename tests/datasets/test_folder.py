"""Any folder of images, with or without labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import config
from datasets import folder
from datasets.base import SegmentationDataset
from transforms import Pipeline
from utils.errors import UserError
from utils.visualize import file_stem

Write = Callable[[Path, np.ndarray], None]


def test_recursive_odd_sizes_any_extension(tmp_path: Path, write_file: Write) -> None:
    sizes = {"b/x.png": (5, 7), "b/deep/y.JPG": (8, 3), "a.bmp": (4, 4), "c/x.jpeg": (6, 2), ".hidden.png": (1, 1)}
    for name, size in sizes.items():
        write_file(tmp_path / name, np.zeros((*size, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    items = folder.split(str(tmp_path)).items
    assert [item.name for item in items] == ["a", "y", "b__x_png", "c__x_jpeg"]
    dataset = SegmentationDataset(items, folder.SPEC, Pipeline())
    assert [dataset[i].size for i in range(4)] == [(4, 4), (8, 3), (5, 7), (6, 2)]
    assert dataset[0].label is None


@pytest.mark.parametrize(
    "files",
    [
        ("a/x.png", "a/x.jpg"),
        ("x.png", "a/x.png", "b/x.png", "b/x.jpg"),
        ("x.png", "x.jpg", "x_jpg.bmp"),
        ("a/x.png", "b/x.png", "a__x_png.png"),
        ("x.png.jpg", "x.jpg"),
    ],
)
def test_names_of_outputs_differ(tmp_path: Path, write_file: Write, files: tuple[str, ...]) -> None:
    """Without their suffix, too, as those who write files use them."""
    for name in files:
        write_file(tmp_path / name, np.zeros((2, 2, 3), np.uint8))
    names = [item.name for item in folder.split(str(tmp_path)).items]
    assert len({file_stem(name) for name in names}) == len(files), names
    assert not any("/" in name for name in names)


@pytest.mark.parametrize(("ids", "stored"), [("raw", 7), ("train", 0)])
def test_labels_by_stem(tmp_path: Path, write_file: Write, ids: str, stored: int) -> None:
    write_file(tmp_path / "images/u/one_leftImg8bit.jpg", np.zeros((4, 6, 3), np.uint8))
    write_file(tmp_path / "labels/one.png", np.full((4, 6), stored, np.uint8))
    (item,) = folder.split(str(tmp_path / "images"), str(tmp_path / "labels"), label_ids=ids).items
    label = SegmentationDataset([item], folder.SPEC, Pipeline())[0].label
    assert label is not None and (label == 0).all()


def test_cityscapes_names_and_labels_inside_the_folder(tmp_path: Path, write_file: Write) -> None:
    for city in ("a", "b"):
        write_file(tmp_path / f"{city}/f_leftImg8bit.png", np.zeros((4, 6, 3), np.uint8))
        for kind, value in (("labelIds", 7), ("labelTrainIds", 0)):
            write_file(tmp_path / f"gt/{city}/f_gtFine_{kind}.png", np.full((4, 6), value, np.uint8))
    items = folder.split(str(tmp_path), str(tmp_path / "gt")).items
    assert [Path(str(item.label)).relative_to(tmp_path).as_posix() for item in items] == [
        "gt/a/f_gtFine_labelIds.png",
        "gt/b/f_gtFine_labelIds.png",
    ]
    assert not items[0].train_ids


def test_mistakes(tmp_path: Path, write_file: Write) -> None:
    with pytest.raises(UserError, match="the folder of images .*nowhere does not exist; in .* there is nothing"):
        folder.split(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/a.txt").write_text("")
    with pytest.raises(UserError, match=r"no images \(.png.*found there: a.txt"):
        folder.split(str(tmp_path / "empty"))
    write_file(tmp_path / "images/one.png", np.zeros((4, 6, 3), np.uint8))
    Image.new("L", (6, 4)).save(tmp_path / "empty/two.png")
    with pytest.raises(UserError, match=r"image without label: .*one\.png has no file one\.png"):
        folder.split(str(tmp_path / "images"), str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("there", "mode", "message"),
    [
        (("train",), "val", "has train, but no folder val: add it, or give --list_val, or train with --do_eval false"),
        (("train", "validation"), "val", "has train, validation, but no folder val: call validation val,"),
        (("Train", "val"), "train", "has Train, val, but no folder train: call Train train,"),
        (("train", "val"), "test", "has train, val, but no folder test: add it, or give --list_test"),
        (("val",), "val", ""),
        (("train", "val"), "val", ""),
        (("images", "labels", "test"), "val", ""),
        (("a", "b"), "val", ""),
    ],
)
def test_a_mode_without_its_folder_is_refused_beside_others(
    tmp_path: Path, write_file: Write, there: tuple[str, ...], mode: str, message: str
) -> None:
    """What lies below all of them would be taken otherwise, masks too."""
    for place in there:
        for kind in ("",) if place in ("images", "labels") else ("images", "labels"):
            write_file(tmp_path / place / kind / "1.png", np.zeros((4, 6), np.uint8))
    cfg = config.load(["--dataset", "folder", "--data_root", str(tmp_path)])
    if message:
        with pytest.raises(UserError, match=message):
            folder.items(str(tmp_path), mode, cfg)
    else:
        assert folder.items(str(tmp_path), mode, cfg).items
    folder.training_labels(str(tmp_path), cfg)  # of those that are there


def test_labels_under_another_name_are_missed(tmp_path: Path, write_file: Write) -> None:
    for kind in ("images", "masks"):
        write_file(tmp_path / "train" / kind / "1.png", np.zeros((4, 6, 3), np.uint8))
    words = ["--dataset", "folder", "--data_root", str(tmp_path)]
    with pytest.raises(UserError, match="no folder labels in .*train, but images/, masks/"):
        folder.items(str(tmp_path), "train", config.load(words))
    shown = folder.items(str(tmp_path), "train", config.load([*words, "--eval", "trn", "--snapshot", "x"]))
    assert [item.label for item in shown.items] == [None]
