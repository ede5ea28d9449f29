"""Lists of files: columns, label values, names, classes told by a file, every way in which a line can be wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from yacs.config import CfgNode

import datasets
from datasets import classfile, lists
from utils.distributed import DistributedContext
from utils.errors import UserError

CITYSCAPES = datasets.spec("cityscapes")
Make = Callable[..., CfgNode]
Write = Callable[[Path, np.ndarray], None]


@pytest.fixture
def root(tmp_path: Path, write_file: Write) -> Path:
    """Two images in two folders under one name, labels with Cityscapes' ids."""
    for i, place in enumerate(("a", "b")):
        write_file(tmp_path / f"images/{place}/x_leftImg8bit.png", np.full((32, 64, 3), 60 + i, np.uint8))
        write_file(tmp_path / f"labels/{place}/x_gtFine_labelIds.png", np.full((32, 64), 7 + i, np.uint8))
    rows = [f"images/{p}/x_leftImg8bit.png labels/{p}/x_gtFine_labelIds.png" for p in "ab"]
    (tmp_path / "train.lst").write_text("\n".join([rows[0], "", f"{rows[1]} images/a/x_leftImg8bit.png"]) + "\n")
    (tmp_path / "test.lst").write_text("images/b/x_leftImg8bit.png\n")
    return tmp_path


def test_two_columns_three_and_one(root: Path) -> None:
    items = lists.split(str(root / "train.lst"), str(root), CITYSCAPES).items
    assert [(item.name, item.train_ids) for item in items] == [("images__a__x", False), ("images__b__x", False)]
    assert [Path(str(item.label)).parent.name for item in items] == ["a", "b"]
    (item,) = lists.split(str(root / "test.lst"), str(root), CITYSCAPES, labeled=False).items
    assert (item.name, item.label) == ("x", None)
    (first, _) = lists.split(str(root / "train.lst"), str(root), CITYSCAPES, labeled=False).items
    assert first.label is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("images/a/x_leftImg8bit.png", "line 2: 1 columns; an image and its label are 2, with colors 3"),
        (
            "a b c d",
            "line 2: 4 columns; an image and its label are 2, with colors 3; blanks part columns, so that names",
        ),
        ("images/a/y.png labels/a/x_gtFine_labelIds.png", r"line 2: .*images/a/y\.png is not there; is .* the folder"),
        ("images/a/x_leftImg8bit.png labels/none.png", r"line 2: .*labels/none\.png is not there"),
    ],
)
def test_a_wrong_line_is_named(root: Path, line: str, message: str) -> None:
    path = root / "train.lst"
    path.write_text(path.read_text().splitlines()[0] + f"\n{line}\n")
    with pytest.raises(UserError, match=message):
        lists.split(str(path), str(root), CITYSCAPES)


def test_a_path_of_any_length_makes_no_long_line(root: Path) -> None:
    (root / "long.lst").write_text(f"{'x' * 140_000}.png y.png")
    with pytest.raises(UserError, match=r"line 1: .*x\.\.\. \(\d+ letters\) is not there; is ") as caught:
        lists.split(str(root / "long.lst"), str(root), CITYSCAPES)
    assert len(str(caught.value)) < 1000


def test_lists_that_hold_nothing(root: Path) -> None:
    (root / "empty.lst").write_text("\n# nothing\n")
    with pytest.raises(UserError, match=r"the list .*empty\.lst is empty"):
        lists.split(str(root / "empty.lst"), str(root), CITYSCAPES)
    with pytest.raises(UserError, match=r"cannot read the list .*none\.lst: No such file"):
        lists.split(str(root / "none.lst"), str(root), CITYSCAPES)


def test_any_dataset_takes_lists(root: Path, make_cfg: Make) -> None:
    words = ["--dataset", "cityscapes", "--data_root", root, "--class_uniform_pct", "0"]
    cfg = make_cfg(
        *words, "--list_train", root / "train.lst", "--list_val", root / "train.lst", "--list_test", root / "test.lst"
    )
    (batch,) = list(datasets.build_train(cfg, DistributedContext()))
    assert set(batch["name"]) == {"images__a__x", "images__b__x"} and set(batch["label"].unique().tolist()) == {0, 1}
    assert [part["name"] for part in datasets.build_val(cfg, DistributedContext())] == [
        ["images__a__x"],
        ["images__b__x"],
    ]
    (shown,) = datasets.build_val(cfg, DistributedContext(), "test")
    assert shown["label"] == [None] and shown["name"] == ["x"]
    for beside in (["--maxSkip", "3"], ["--coarse_boost_classes", "3"], ["--custom_coarse_prob", "0.5"]):
        with pytest.raises(UserError, match=f"--list_train names all training images itself: leave {beside[0]} out"):
            make_cfg(*words[:-1], "0.5", "--list_train", "x.lst", *beside)


def test_a_wrong_list_of_validation_is_found_before_training(root: Path, make_cfg: Make) -> None:
    (root / "val.lst").write_text("images/a/x_leftImg8bit.png\n")
    words = [
        "--dataset",
        "cityscapes",
        "--data_root",
        root,
        "--class_uniform_pct",
        "0",
        "--list_train",
        root / "train.lst",
    ]
    words += ["--list_val", root / "val.lst"]
    with pytest.raises(UserError, match=r"val\.lst, line 1: 1 columns"):
        datasets.build_train(make_cfg(*words), DistributedContext())
    assert len(datasets.build_train(make_cfg(*words, "--do_eval", "false"), DistributedContext()))


def test_a_list_of_other_classes(root: Path, make_cfg: Make, write_file: Write) -> None:
    """As LIP (values are classes) and COCO-Stuff (values are ids with holes) have them."""
    write_file(root / "labels/a/x_gtFine_labelIds.png", np.full((32, 64), 3, np.uint8))
    write_file(root / "labels/b/x_gtFine_labelIds.png", np.full((32, 64), 0, np.uint8))
    words = ["--dataset", "list", "--data_root", root, "--list_train", root / "train.lst", "--class_uniform_pct", "0"]
    words += ["--do_eval", "false"]
    cfg = make_cfg(*words, "--num_class", "4")
    assert datasets.spec(cfg).classes == ("class 0", "class 1", "class 2", "class 3")
    (batch,) = list(datasets.build_train(cfg, DistributedContext()))
    assert set(batch["label"].unique().tolist()) == {0, 3}
    (root / "classes.yaml").write_text(
        "names: [sea, land]\nids: [9, 3]\nignore: [0]\ncolours: [[0, 0, 200], [90, 60, 0]]\n"
    )
    cfg = make_cfg(*words, "--classes", root / "classes.yaml")
    assert cfg.DATASET.NUM_CLASSES == 2 and datasets.spec(cfg).train_to_id == (9, 3)
    (batch,) = list(datasets.build_train(cfg, DistributedContext()))
    assert set(batch["label"].unique().tolist()) == {1, 255}
    write_file(root / "labels/b/x_gtFine_labelIds.png", np.full((32, 64), 5, np.uint8))
    with pytest.raises(UserError, match=r"label value 5 \(2048 pixels\) is no class of list \(classes\)"):
        list(datasets.build_train(cfg, DistributedContext()))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_files_as_windows_saves_them(encoding: str, end: str, root: Path) -> None:
    """The list and the table of classes; their words are what was written."""
    for name, text in (("train.lst", (root / "train.lst").read_text()), ("c.yaml", "names:\n- no\n- 1.0\n- größe\n")):
        (root / name).write_bytes(text.replace("\n", end).encode(encoding))
    spec = classfile.read(str(root / "c.yaml"))
    assert spec.classes == ("no", "1.0", "größe")
    assert [item.name for item in lists.split(str(root / "train.lst"), str(root), spec).items] == [
        "images__a__x",
        "images__b__x",
    ]


@pytest.mark.parametrize(
    "name", [b"stra\xdfe.png", "写真\u3000１.png".encode(), b"a\xc2\x85b.png", "a\xa0b.png".encode()]
)
def test_names_in_any_encoding(name: bytes, root: Path) -> None:
    """Latin-1 as the disk has it, and blanks of Unicode in a name."""
    (root / os.fsdecode(name)).write_bytes((root / "images/a/x_leftImg8bit.png").read_bytes())
    (root / "test.lst").write_bytes(name + b"\n")
    (item,) = lists.split(str(root / "test.lst"), str(root), CITYSCAPES, labeled=False).items
    assert os.fsencode(item.image) == os.fsencode(root) + b"/" + name


def test_ids_are_what_is_written(tmp_path: Path) -> None:
    """Not in octal, as YAML reads 010."""
    (tmp_path / "c.yaml").write_text("names: [a, b]\nids: [010, 9]\nignore: [07]\n")
    spec = classfile.read(str(tmp_path / "c.yaml"))
    assert spec.train_to_id == (10, 9) and spec.id_to_train[7] == 255


def test_a_name_in_another_encoding_than_the_disk(root: Path) -> None:
    (root / "test.lst").write_bytes(b"\nstra\xdfe.png\n")
    with pytest.raises(UserError, match="line 2: byte 5, 0xDF, is no UTF-8: save the file as UTF-8"):
        lists.split(str(root / "test.lst"), str(root), CITYSCAPES, labeled=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", "is no table of classes"),
        ("names: [a, b]\nids: [1, 1]", "2 names, 1 different ids"),
        ("names: [a, b]\ncolour: 1", "colour is unknown; did you mean 'colours' or 'colors'.; known: names, ids"),
        ("names: [a, b]\npalette: 1", "palette is unknown; known: names, ids, ignore, colors, colours$"),
        ("names: [a]\ncolors: [[1, 2, 3]]\ncolours: [[1, 2, 3]]", "colors and colours are the same: leave one out"),
        ("names: [a]\ncolours: [[1, 2]]", "is no table of classes"),
        ("names: [a]\ncolours: [[0.5, 0.2, 1]]", "is no table of classes"),
        ("names: [a]\ncolours: [[true, 0, 0]]", "is no table of classes"),
        ("names: []", "0 names"),
        ("names: [a, b]\nids: [0, 65536]", "65536 is out of range; ids and values to ignore are 0 to 65535"),
        ("names: [a]\nids: [-1]", "-1 is out of range"),
        ("names: [a]\nignore: [65536]", "65536 is out of range"),
        ("names: [a, b]\nids: [0, 255]\nignore: [255]", "255 is among the ids and among the values to ignore"),
        ("names: [a, b]\nignore: 255", "is no table of classes"),
        ("names: [a, b]\nids: 12", "is no table of classes"),
        ('names: [a, b]\nids: "12"', "is no table of classes"),
        ("names: [a, b]\nids: [true, 2]", "is no table of classes"),
        ("names: [a]\ncolours: [[1, 2, 999]]", "999 is out of range"),
        ("names: road", "is no table of classes"),
        ("names: [a, b]\nids:", "ids is empty"),
        ("names: [a, b]\nids: [1.5, 2]", "is no table of classes"),
        ("names: [a, b]\nids: [yes, 2]", "is no table of classes"),
        ("names:\nids: [1]", "names is empty"),
        ("names: [road, car, road]", "the class 'road' stands twice, 1. and 3. of names"),
        ("names: ['1.0', 1.0]", "the class '1.0' stands twice, 1. and 2. of names"),
        ("names: [' a', a]", "the class 'a' stands twice"),
        ("names: [a, '']", "'' is no name of a class"),
        ("names: [a, {b: c}]", "no name of a class"),
        ("names: [a, b]\nids: [0, 1]\nnames: [b, a]", "names stands twice, in lines 1 and 3"),
        ("names: [a\tb", "no valid YAML"),
        ("", "is no table of classes"),
    ],
)
def test_a_wrong_table_of_classes(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        classfile.read(str(tmp_path / "c.yaml"))


def test_what_is_missing(make_cfg: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--dataset list: give --classes FILE\.yaml, or the number"):
        make_cfg("--dataset", "list", "--list_train", "x.lst")
    with pytest.raises(UserError, match="256 classes are more than the 255 that a label can have"):
        make_cfg("--dataset", "list", "--num_class", "256")
    with pytest.raises(UserError, match=r"--dataset list needs a list .*: give --list_val FILE\.lst"):
        datasets.build_val(make_cfg("--dataset", "list", "--num_class", "3"), DistributedContext())
    with pytest.raises(UserError, match="cannot read --classes .*: No such file"):
        classfile.read(str(tmp_path / "none.yaml"))
