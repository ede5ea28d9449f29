"""What is said of labels before the first step: classes that are nowhere, pixels that do not count."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pictures import write_image
from yacs.config import CfgNode

import datasets
from datasets import audit, splits
from datasets.audit import class_pixels
from datasets.centroidstore import Store
from utils import histogram
from utils.distributed import DistributedContext
from utils.errors import UserError

Make = Callable[..., CfgNode]
Values = Sequence[Sequence[int]]

ALL_THERE = [[0, 1, 2], [0, 1, 2]]


def listed(root: Path, split: str, values: Values) -> Path:
    """A list of images whose labels have these values, in as many equal columns of 16 pixels."""
    lines = []
    for i, row in enumerate(values):
        label = np.repeat(np.array([row], np.uint8), 16, axis=1).repeat(32, axis=0)
        write_image(root / f"{split}{i}.png", np.zeros((*label.shape, 3), np.uint8))
        write_image(root / f"{split}{i}_label.png", label)
        lines.append(f"{split}{i}.png {split}{i}_label.png")
    (root / f"{split}.lst").write_text("\n".join(lines))
    return root / f"{split}.lst"


def said(make_cfg: Make, root: Path, train: Values, val: Values, *flags: object, classes: int = 3) -> list[str]:
    """Lines on a training and a validation set."""
    base = ("--dataset", "list", "--num_class", classes, "--data_root", root, "--bs_trn", 1)
    lists = ("--list_train", listed(root, "train", train), "--list_val", listed(root, "val", val))
    cfg = make_cfg(*base, *lists, *flags)
    lines = datasets.audit_labels(cfg, DistributedContext(), datasets.build_train(cfg, DistributedContext()))
    quick = [line for line in lines if line.startswith("data: files are there and sizes agree, of ")]
    assert len(quick) == 1  # tests/datasets/checking/test_check.py
    return [line for line in lines if line not in quick]


@pytest.mark.parametrize("share", [0.5, 0])
@pytest.mark.parametrize(
    ("train", "val", "expected"),
    [
        (
            ALL_THERE,
            ALL_THERE,
            [
                "training: 0.0 % of the pixels of 2 labels are ignored",
                "validation: 0.0 % of the pixels of 2 labels are ignored",
            ],
        ),
        (
            [[0, 255], [0, 1]],
            [[0, 2]],
            [
                "training: 25.0 % of the pixels of 2 labels are ignored",
                "warning: no training label has class 2 (id 2): it cannot be learned",
                "validation: 0.0 % of the pixels of 1 label are ignored",
                "warning: no validation label has class 1 (id 1)",
            ],
        ),
        (
            [[0, 255]],
            [[255, 255], [255]],
            [
                "training: 50.0 % of the pixels of 1 label are ignored",
                "warning: no training label has class 1 (id 1), class 2 (id 2): it cannot be learned",
                "warning: all pixels of the 2 validation labels are ignored: no pixel counts, so there is no score "
                "and no best checkpoint",
            ],
        ),
        (
            [[0, 1, 2], [255]],
            ALL_THERE,
            [
                "training: 25.0 % of the pixels of 2 labels are ignored, 1 label whole",
                "validation: 0.0 % of the pixels of 2 labels are ignored",
            ],
        ),
    ],
)
def test_lines(make_cfg: Make, tmp_path: Path, share: float, train: Values, val: Values, expected: list[str]) -> None:
    """The same from what the centroids read and where nothing else reads labels; no global generator is drawn from."""
    random.seed(1)
    state = random.getstate()
    assert said(make_cfg, tmp_path, train, val, "--class_uniform_pct", share) == expected
    assert random.getstate() == state
    assert said(make_cfg, tmp_path, train, val, "--class_uniform_pct", share) == expected  # from the cache


@pytest.mark.parametrize(("share", "sizes"), [(0.5, ()), (0, ()), (0, (16, 32))])
def test_nothing_to_learn_from_is_an_error(
    make_cfg: Make, tmp_path: Path, share: float, sizes: tuple[int, ...]
) -> None:
    """Whole images of changing sizes, too."""

    def make(*flags: object) -> CfgNode:
        cfg = make_cfg(*flags).clone()
        cfg.defrost()
        cfg.DATASET.IMG_SIZES = sizes
        return cfg

    expected = r"all pixels of the 2 training labels are ignored \(.*train0_label.png is the first\)"
    with pytest.raises(UserError, match=expected):
        said(make, tmp_path, [[255], [255]], ALL_THERE, "--class_uniform_pct", share)


def test_classes_have_the_names_and_ids_of_their_file(make_cfg: Make, tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("names: [road, car, tree]\nids: [7, 26, 21]\nignore: [0]\n")
    lines = said(make_cfg, tmp_path, [[7, 0]], [[7, 26]], "--classes", tmp_path / "classes.yaml")
    assert "warning: no training label has car (id 26), tree (id 21): it cannot be learned" in lines
    assert "warning: no validation label has tree (id 21)" in lines


def test_validation_is_listed_once_and_a_cache_that_cannot_be_kept_is_said(
    make_cfg: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "centroids"
    place.write_text("a file in the way")
    load, modes = splits.load, list[str]()
    monkeypatch.setattr(splits, "load", lambda cfg, mode, *more: modes.append(mode) or load(cfg, mode, *more))
    lines = said(make_cfg, tmp_path, ALL_THERE, ALL_THERE)
    assert modes == ["train", "val"]
    (told,) = [line for line in lines if "centroids" in line]
    assert told == (
        f"warning: class centroids cannot be kept in {place}: File exists; the next start makes them again; "
        "DATASET.CENTROID_ROOT names another folder"
    )


def test_of_many_labels_a_sample_is_read(make_cfg: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST", 4)
    monkeypatch.setattr(audit, "_NAMED", 1)
    many = [[0, 255]] * 12
    lines = said(make_cfg, tmp_path, many, many, "--class_uniform_pct", 0, "TRAIN.DO_EVAL", "True")
    assert lines == [
        "training: 50.0 % of the pixels of a sample of 4 of 12 labels are ignored",
        "warning: no training label of a sample of 4 of 12 labels has class 1 (id 1) and 1 more: it cannot be learned",
        "validation: 50.0 % of the pixels of a sample of 4 of 12 labels are ignored",
    ]


def test_a_sample_without_a_pixel_that_counts_proves_nothing(
    make_cfg: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST", 2)
    rare = [[255]] * 8 + [[0, 1, 2]] + [[255]]
    assert said(make_cfg, tmp_path, rare, rare, "--class_uniform_pct", 0)[0].startswith("training: ")
    with pytest.raises(UserError, match="all pixels of the 10 training labels"):
        said(make_cfg, tmp_path, [[255]] * 10, rare, "--class_uniform_pct", 0)


def test_images_of_both_are_said(make_cfg: Make, tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("names: [a, b, c]")
    base = ("--dataset", "folder", "--data_root", tmp_path, "--classes", tmp_path / "classes.yaml", "--bs_trn", 1)
    for i in range(2):
        write_image(tmp_path / f"images/{i}.png", np.zeros((16, 48, 3), np.uint8))
        write_image(tmp_path / f"labels/{i}.png", np.array([[0, 1, 2]], np.uint8).repeat(16, 0).repeat(16, 1))
    loader = datasets.build_train(make_cfg(*base), DistributedContext())
    lines = datasets.audit_labels(make_cfg(*base), DistributedContext(), loader)
    assert lines[-1] == "note: 2 of 2 validation images are also trained on: their scores choose the best checkpoint"


@pytest.mark.parametrize(("count", "most"), [(5, 200), (200, 200), (1000, 200), (201, 200)])
def test_sample_is_spread_evenly(count: int, most: int) -> None:
    places = audit._sample(count, seed=3)
    assert len(places) == min(count, most) == len({*places}) and places == sorted(places)
    assert places == audit._sample(count, seed=3) and all(0 <= place < count for place in places)
    assert max(np.diff(places)) <= 2 * -(-count // most)


def test_pixels_are_counted_exactly_where_floats_would_round(monkeypatch: pytest.MonkeyPatch) -> None:
    label = np.random.default_rng(0).choice(np.array([0, 1, 2, 77, 255], np.uint8), (50, 70))
    expected = [int((label == c).sum()) for c in range(3)]
    for exact in (1 << 24, 100):
        monkeypatch.setattr(histogram, "_EXACT", exact)
        assert class_pixels(label, 3).tolist() == [*expected, label.size - sum(expected)]


def test_a_fraction_of_the_images_is_judged_by_itself(make_cfg: Make, tmp_path: Path) -> None:
    lines = said(make_cfg, tmp_path, [[0, 255], [0, 1], [0, 2], [0, 1]], ALL_THERE, "--train_fraction", 0.5)
    assert lines[0].endswith("of the pixels of 2 labels are ignored")


def test_cache_of_an_older_version_is_not_read(make_cfg: Make, tmp_path: Path) -> None:
    said(make_cfg, tmp_path, ALL_THERE, ALL_THERE)
    (path,) = (tmp_path / "centroids").iterdir()
    with np.load(path) as file:
        assert file["pixels"].tolist() == [[0, 512], [1, 512], [2, 512]] * 2
        np.savez(path, marks=file["marks"], rows=file["rows"])
    assert not [*Store(path.parent, path.name.rpartition("_")[0]).parts()]
    assert said(make_cfg, tmp_path, ALL_THERE, ALL_THERE)[0].endswith("of 2 labels are ignored")


class Other(DistributedContext):
    """The second of two processes, whose main one has this to say."""

    def gather(self, value: object) -> list[object]:
        return [(None, "labels are useless"), value]


def test_errors_of_the_main_process_are_everybodys(make_cfg: Make, tmp_path: Path) -> None:
    base = ("--dataset", "list", "--num_class", 3, "--data_root", tmp_path, "--class_uniform_pct", 0, "--bs_trn", 1)
    lists = ("--list_train", listed(tmp_path, "a", ALL_THERE), "--list_val", listed(tmp_path, "b", ALL_THERE))
    cfg = make_cfg(*base, *lists)
    with pytest.raises(UserError, match="labels are useless"):
        datasets.audit_labels(cfg, Other(1, 2, 1), datasets.build_train(cfg, DistributedContext()))


@pytest.mark.parametrize(
    ("values", "classes", "cure"),
    [
        ([[0, 255]], 2, "; if the masks hold 0 and 255, declare them: --classes FILE with ids: [0, 255]"),
        ([[0, 0]], 2, ""),
        ([[1, 255]], 2, ""),
        ([[0, 1, 255]], 3, ""),
    ],
)
def test_masks_of_0_and_255_are_told_what_they_need(
    make_cfg: Make, tmp_path: Path, values: Values, classes: int, cure: str
) -> None:
    absent = ({*range(classes)} - {*values[0]}).pop()
    warning = f"warning: no training label has class {absent} (id {absent}): it cannot be learned{cure}"
    assert warning in said(make_cfg, tmp_path, values, values, classes=classes)
