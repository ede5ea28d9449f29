"""What label files hold is what was declared; between Cityscapes' two conventions a whole run decides once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from yacs.config import CfgNode

import datasets
from datasets import labelids
from datasets.ade20k import SPEC as ADE20K
from datasets.camvid import SPEC as CAMVID
from datasets.cityscapes import SPEC as CITYSCAPES
from datasets.labelrecord import Record
from datasets.mapillary import SPEC as MAPILLARY
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.errors import UserError

Make = Callable[..., CfgNode]
Write = Callable[[Path, np.ndarray], None]


def pairs(root: Path, write: Write, split: str, labels: Sequence[Sequence[int]], suffix: str = "") -> str:
    """Images whose labels are stripes of these values, and the list of them."""
    lines = []
    for i, values in enumerate(labels):
        write(root / f"images/{split}{i}.png", np.zeros((32, 32, 3), np.uint8))
        label = np.resize(np.asarray(values, np.uint16 if max(values) > 255 else np.uint8), 32).repeat(32)
        write(root / f"labels/{split}{i}{suffix}.png", label.reshape(32, 32))
        lines.append(f"images/{split}{i}.png labels/{split}{i}{suffix}.png")
    (root / f"{split}.lst").write_text("\n".join(lines) + "\n")
    return str(root / f"{split}.lst")


def listed(root: Path) -> list[Any]:
    return ["--data_root", root, "--list_train", root / "train.lst", "--list_val", root / "val.lst"]


def train_ids(loader: datasets.TrainLoader | datasets.EvalLoader) -> set[int]:
    """Train ids of all labels of a loader."""
    found = [loader.dataset.label(i) for i in range(len(loader.dataset))]
    return {int(value) for label in found if label is not None for value in np.unique(label)}


@pytest.mark.parametrize(
    ("classes", "train", "val", "seen_train", "seen_val"),
    [
        ("ids: [1, 2, 3]\nignore: [0]", [(1, 2)], [(1, 2)], {0, 1}, {0, 1}),
        ("ids: [1, 2, 3]\nignore: [0]", [(1, 3)], [(1, 2)], {0, 2}, {0, 1}),
        ("ids: [1, 2, 3]\nignore: [0]", [(0, 1)], [(0, 1)], {0, 255}, {0, 255}),
        ("ids: [2, 0, 1]", [(0, 2)], [(0,)], {0, 1}, {1}),  # a permutation
        ("ids: [1, 5, 0]", [(0, 1)], [(5,)], {0, 2}, {1}),
        ("ids: [0, 255, 7]", [(0, 255)], [(255,)], {0, 1}, {1}),
        ("ids: [255, 0, 1]", [(0, 255)], [(1,)], {0, 1}, {2}),
        ("ids: [300, 7, 65535]", [(300, 7)], [(65535,)], {0, 1}, {2}),
        ("ids: [256, 0, 1]\nignore: [1000]", [(0, 1)], [(1000, 256)], {1, 2}, {0, 255}),
        ("ids: [7, 8, 9]", [(7, 255)], [(8,)], {0, 255}, {1}),  # 255 is ignored where it is not declared
    ],
)
def test_declared_values_are_what_files_hold(
    tmp_path: Path, make_cfg: Make, write_file: Write,
    classes: str, train: list, val: list, seen_train: set, seen_val: set,
) -> None:  # fmt: skip
    pairs(tmp_path, write_file, "train", train * 2)
    pairs(tmp_path, write_file, "val", val)
    (tmp_path / "classes.yaml").write_text(f"names: [a, b, c]\n{classes}\n")
    words = ["--dataset", "list", "--classes", tmp_path / "classes.yaml", "--class_uniform_pct", "0.5"]
    loader, shown = datasets.build(make_cfg(*words, *listed(tmp_path)), DistributedContext())
    assert (train_ids(loader), train_ids(shown)) == (seen_train, seen_val)
    assert loader.dataset.notes == shown.dataset.notes == ()
    next(iter(loader))


@pytest.mark.parametrize(
    ("name", "spec", "values", "seen"),
    [
        ("ade20k", ADE20K, (3, 7), {2, 6}),
        ("ade20k", ADE20K, (0, 1), {0, 255}),
        ("camvid", CAMVID, (0, 11), {0, 255}),
        ("mapillary", MAPILLARY, (1, 65), {1, 255}),
    ],
)
def test_datasets_in_a_folder_keep_their_own_values(
    tmp_path: Path, make_cfg: Make, write_file: Write, name: str, spec: DatasetSpec, values: tuple, seen: set
) -> None:
    pairs(tmp_path, write_file, "val", [values])
    words = ["--eval", "folder", "--eval_folder", tmp_path / "images", "--eval_labels", tmp_path / "labels"]
    cfg = make_cfg("--dataset", name, *words, "--snapshot", "x.pth", "--data_root", tmp_path)
    loader = datasets.build_val(cfg, DistributedContext(), "folder")
    assert train_ids(loader) == seen and loader.dataset.spec.classes == spec.classes and not loader.dataset.notes


RAW, TRAIN = "note: labels are read as Cityscapes' own ids, since ", "note: labels are read as train ids, since "


@pytest.mark.parametrize(
    ("train", "val", "more", "seen_train", "seen_val", "said"),
    [
        ([(7, 23)], [(7, 8)], [], {0, 10}, {0, 1}, f"{RAW}.*labels/train0.png has the value 23; --label_ids train"),
        ([(7, 8)], [(7, 33)], [], {0, 1}, {0, 18}, f"{RAW}.*labels/val0.png has the value 33"),
        ([(0, 18)], [(7, 255)], [], {0, 18}, {7, 255}, rf"{TRAIN}no label .*\(2 of .*train.lst, 1 of .*val.lst\) has"),
        ([(7, 8)], [(7, 11)], ["--label_ids", "raw"], {0, 1}, {0, 2}, ""),
        ([(7, 8)], [(7, 11)], ["--eval_label_ids", "train"], {7, 8}, {7, 11}, ""),
    ],
)
@pytest.mark.parametrize("dataset", ["cityscapes", "kitti", "acdc"])
def test_a_run_guesses_once_and_says_so(
    tmp_path: Path, make_cfg: Make, write_file: Write, dataset: str,
    train: list, val: list, more: list, seen_train: set, seen_val: set, said: str,
) -> None:  # fmt: skip
    pairs(tmp_path, write_file, "train", train * 2)
    pairs(tmp_path, write_file, "val", val)
    cfg = make_cfg("--dataset", dataset, "--class_uniform_pct", "0", *more, *listed(tmp_path))
    loader, shown = datasets.build(cfg, DistributedContext())
    assert (train_ids(loader), train_ids(shown)) == (seen_train, seen_val)
    assert loader.dataset.notes == shown.dataset.notes and len(loader.dataset.notes) == bool(said)
    for note in loader.dataset.notes:
        assert re.match(said, note), note


def test_names_decide_file_by_file(tmp_path: Path, make_cfg: Make, write_file: Write) -> None:
    pairs(tmp_path, write_file, "train", [(0, 7)] * 2, "_gtFine_labelTrainIds")
    pairs(tmp_path, write_file, "val", [(0, 7)], "_gtFine_labelIds")
    (tmp_path / "train.lst").write_text((tmp_path / "train.lst").read_text() + (tmp_path / "val.lst").read_text())
    loader, shown = datasets.build(make_cfg("--class_uniform_pct", "0", *listed(tmp_path)), DistributedContext())
    assert [item.train_ids for item in loader.dataset.items] == [True, True, False]
    assert train_ids(shown) == {0, 255} and not loader.dataset.notes


def test_a_folder_of_training_and_validation_guesses_once(tmp_path: Path, make_cfg: Make, write_file: Write) -> None:
    pairs(tmp_path / "train", write_file, "a", [(7, 8), (7, 11)])
    pairs(tmp_path / "val", write_file, "b", [(26, 33)])
    words = ["--dataset", "folder", "--data_root", tmp_path, "--class_uniform_pct", "0"]
    loader, shown = datasets.build(make_cfg(*words), DistributedContext())
    assert (train_ids(loader), train_ids(shown)) == ({0, 1, 2}, {13, 18})
    (note,) = loader.dataset.notes
    assert note.startswith(f"{RAW}{tmp_path}/val/labels/b0.png has the value 26") and shown.dataset.notes == (note,)


def test_the_main_process_decides_for_all(tmp_path: Path, make_cfg: Make, write_file: Write) -> None:
    """Another one, whose disk may hold other files, does as it says."""

    class Second(DistributedContext):
        is_main = False  # type: ignore[assignment]

        def gather(self, value: Any) -> list[Any]:
            return [(labelids.Guess(False, "as the main process says"), ""), value]

    pairs(tmp_path, write_file, "train", [(0, 7)] * 2)
    words = ["--do_eval", "false", "--data_root", tmp_path, "--list_train", tmp_path / "train.lst"]
    loader = datasets.build_train(make_cfg(*words, "--class_uniform_pct", "0"), Second())
    assert train_ids(loader) == {0, 255} and loader.dataset.notes == ("as the main process says",)


@pytest.mark.parametrize(
    ("words", "values", "advice"),
    [
        (["--dataset", "list", "--num_class", "2"], (0, 128), r"classes are the values 0 to 1 .*\(ids: \[0, 128\]\)$"),
        (["--dataset", "list", "--num_class", "2"], (0, 65535), r"--classes FILE says others \(ids: \[0, 65535\]\)$"),
        (["--dataset", "list", "--num_class", "3"], (1, 2, 3), r"\(ids: \[1, 2, 3\]\)$"),
        (["--dataset", "list", "--num_class", "3"], (1, 2, 9, 255), r"\(ids: \[1, 2, 9\]\)$"),
        (["--dataset", "list", "--num_class", "4"], (1, 9), "unless --classes FILE says others$"),
        (["--label_ids", "train"], (0, 23), "it was read as train ids: --label_ids raw reads the dataset's own$"),
        (["--label_ids", "train"], (0, 77), "is no class of cityscapes$"),
        (["--dataset", "ade20k"], (0, 151), "is no class of ade20k$"),
    ],
)
def test_a_wrong_value_says_what_may_be_meant(
    tmp_path: Path, make_cfg: Make, write_file: Write, words: list, values: tuple, advice: str
) -> None:
    pairs(tmp_path, write_file, "train", [values])
    place = ["--data_root", tmp_path, "--list_train", tmp_path / "train.lst"]
    cfg = make_cfg(*words, *place, "--class_uniform_pct", "0", "--bs_trn", "1", "--do_eval", "false")
    with pytest.raises(UserError, match=advice):
        datasets.build_train(cfg, DistributedContext()).dataset.label(0)


OWN = DatasetSpec("own", ("a", "b"), ((0, 0, 0),) * 2, id_to_train={9: 0, 3: 1, 255: 255}, train_to_id=(9, 3))


@pytest.mark.parametrize(
    ("spec", "ids", "train"),
    [
        (CITYSCAPES, CITYSCAPES.train_to_id, False),
        (CITYSCAPES, tuple(range(19)), True),
        (datasets.spec("acdc"), CITYSCAPES.train_to_id, False),
        (datasets.spec("acdc"), tuple(range(19)), True),
        (CAMVID, tuple(range(11)), False),
        (OWN, (9, 3), False),
        (OWN, (0, 1), True),
    ],
)
def test_pseudo_labels_say_what_they_hold(spec: DatasetSpec, ids: tuple[int, ...], train: bool) -> None:
    assert Record(spec.classes, ids, {}).holds_train_ids(spec) is train


def test_pseudo_labels_of_other_values_are_refused() -> None:
    with pytest.raises(UserError, match="pseudo-labels hold 3 for 'a', which is another value in own now"):
        Record(OWN.classes, (3, 9), {}).holds_train_ids(OWN)


@pytest.mark.parametrize("ignored", ["0", "254", "-1", "256"])
@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--eval", "val", "--snapshot", "x.pth"],
        ["--eval", "folder", "--eval_folder", "x", "--snapshot", "x.pth"],
        ["--dataset", "list", "--num_class", "3"],
    ],
)
def test_another_ignored_train_id_is_refused_at_once(make_cfg: Make, words: list[str], ignored: str) -> None:
    """By every command: all read their options in one place."""
    with pytest.raises(UserError, match=f"DATASET.IGNORE_LABEL {ignored}: inside the program 255 is what is left out"):
        make_cfg(*words, "DATASET.IGNORE_LABEL", ignored)


def test_fewer_than_two_classes_are_refused(tmp_path: Path, make_cfg: Make, make_mapillary: Callable) -> None:
    (tmp_path / "c.yaml").write_text("names: [road]\n")
    make_mapillary(tmp_path / "vistas", classes=1)
    told = "1 class: where there is nothing to tell apart nothing is learned; a binary task has two classes"
    for words in (
        ["--num_class", "1"],
        ["--classes", tmp_path / "c.yaml"],
        ["--num_class", "1", "--eval", "val", "--snapshot", "x"],
    ):
        with pytest.raises(UserError, match=told):
            make_cfg("--dataset", "list", *words)
    with pytest.raises(UserError, match="names 1 classes, without what is ignored; 2 to 255 can be read"):
        make_cfg("--dataset", "mapillary", "--data_root", tmp_path / "vistas")
