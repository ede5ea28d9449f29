"""What coarse images add to an epoch: the published composition, and their end at --max_cu_epoch."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from shared import GOLDEN
from yacs.config import CfgNode

import datasets
import train
from datasets import labelrecord
from datasets.cityscapes import SPEC
from utils.contracts import CropRequest, DatasetSpec
from utils.distributed import DistributedContext
from utils.errors import UserError

CASES = json.loads((GOLDEN / "nvidia/epoch_composition.json").read_text())
SMALL = [case for case in CASES if case["images"] <= 100 and case["class_uniform_pct"]]
Cfg = Callable[..., CfgNode]
Write = Callable[[Path, np.ndarray], None]


def add_coarse(root: Path, write_file: Write, coarse: int, pseudo: int) -> None:
    """Two images of train_extra, all of raw id `coarse` as people drew them, and of `pseudo` as a network saw them."""
    for frame in range(2):
        stem = f"bonn_000000_{frame:06d}"
        write_file(root / f"leftImg8bit/train_extra/bonn/{stem}_leftImg8bit.png", np.zeros((32, 64, 3), np.uint8))
        label = np.full((32, 64), coarse, np.uint8)
        write_file(root / f"gtCoarse/train_extra/bonn/{stem}_gtCoarse_labelIds.png", label)
        seen = np.full((32, 64), pseudo, np.uint8)
        seen[:, 60:] = 23  # a little sky, which tells raw ids from train ids
        write_file(root / f"auto/train_extra/bonn/{stem}_leftImg8bit.png", seen)
        write_file(root / f"auto/train_extra/bonn/{stem}_leftImg8bit_prob.png", np.full((32, 64), 200, np.uint8))


@pytest.fixture
def make_root(tmp_path: Path, make_tree: Callable[..., Path], write_file: Write) -> Callable[..., Path]:
    """`make_root(images, without)`: that many fine images without some train ids, and two coarse ones, all wall."""

    def make(images: int, without: list[int]) -> Path:
        root = make_tree(tmp_path / "tree", train=("aachen",), frames=images, zips=False)
        for path in root.glob("gtFine/train/*/*_labelIds.png") if without else ():
            label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert label is not None
            label[np.isin(label, [SPEC.train_to_id[c] for c in without])] = 0
            write_file(path, label)
        add_coarse(root, write_file, coarse=12, pseudo=12)
        return root

    return make


def draws(make_cfg: Cfg, root: Path, epoch: int, *flags: Any) -> list[CropRequest]:
    """The items of an epoch."""
    keys = ("DATASET.CITYSCAPES_CUSTOMCOARSE", root / "auto")
    sampler = datasets.build_train(
        make_cfg("--data_root", root, "--bs_trn", 1, *flags, *keys), DistributedContext()
    ).sampler
    sampler.set_epoch(epoch)
    return sampler.draws()


def composition(made: list[CropRequest]) -> dict[str, int]:
    """The counts that are recorded."""
    plain = [draw.index for draw in made if draw.crop_center is None]
    return {
        "epoch_length": len(made),
        "random_items": len(plain),
        "random_items_distinct": len(set(plain)),
        "class_uniform_items": len(made) - len(plain),
    }


@pytest.mark.parametrize("case", SMALL, ids=lambda case: f"{case['images']}-{case['class_uniform_pct']}")
@pytest.mark.parametrize("kind", ["fine", "gtCoarse", "automatic"])
def test_golden_composition(make_root: Callable[..., Path], make_cfg: Cfg, case: dict[str, Any], kind: str) -> None:
    """Coarse images are no random items, and where every boosted class has fine centroids they change no count."""
    root = make_root(case["images"], case["classes_without_centroids"])
    boosted = ("--coarse_boost_classes", "1,2,15")
    flags = {"fine": (), "gtCoarse": boosted, "automatic": (*boosted, "--custom_coarse_prob", 0.5)}[kind]
    found = composition(draws(make_cfg, root, 0, "--class_uniform_pct", case["class_uniform_pct"], *flags))
    assert found == {name: case[name] for name in found}


@pytest.mark.parametrize("flags", [(), ("--custom_coarse_prob", 0.5)], ids=["gtCoarse", "automatic"])
def test_coarse_images_fill_a_rare_class_until_max_cu_epoch(
    make_root: Callable[..., Path], make_cfg: Cfg, flags: tuple[Any, ...]
) -> None:
    (case,) = (case for case in CASES if case["images"] == 100)
    per_class = case["per_class"][0]
    root = make_root(100, case["classes_without_centroids"])
    flags = ("--class_uniform_pct", 0.5, "--coarse_boost_classes", "3", "--max_cu_epoch", 2, *flags)
    for epoch, coarse in ((0, per_class), (1, per_class), (2, 0), (5, 0)):
        made = draws(make_cfg, root, epoch, *flags)
        assert len(made) == case["epoch_length"] + coarse
        assert Counter(draw.index >= 100 for draw in made)[True] == coarse
        assert all(draw.crop_center for draw in made if draw.index >= 100)


@pytest.mark.parametrize("flags", [(), ("--custom_coarse_prob", 0)], ids=["gtCoarse", "automatic"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_whole_coarse_images_in_each_epoch(
    make_root: Callable[..., Path], make_cfg: Cfg, flags: tuple[Any, ...], share: float
) -> None:
    """As many as fine ones, in every epoch; there are but two here. The class-uniform part stays fine."""
    root = make_root(4, [])
    flags = ("--coarse_multiple", 1, "--class_uniform_pct", share, "--max_cu_epoch", 1, *flags)
    for epoch in (0, 3):
        made = draws(make_cfg, root, epoch, *flags)
        assert Counter(draw.index for draw in made if draw.index >= 4) == {4: 2, 5: 2}
        assert len(made) == 8 and not any(draw.crop_center for draw in made if draw.index >= 4)


def test_tree_of_converted_labels(make_root: Callable[..., Path], make_cfg: Cfg, write_file: Write) -> None:
    """PaddleSeg's has the cities at once, train ids in it, and no confidence."""
    root = make_root(4, [])
    for path in (root / "auto/train_extra").rglob("*_leftImg8bit.png"):
        write_file(root / "convert_autolabelled" / path.parent.name / path.name, np.full((32, 64), 11, np.uint8))
    flags = ("--coarse_multiple", 1, "--custom_coarse_prob", 0, "--class_uniform_pct", 0)
    keys = ("DATASET.CITYSCAPES_CUSTOMCOARSE", root / "convert_autolabelled")
    dataset = datasets.build_train(
        make_cfg("--data_root", root, "--bs_trn", 1, *flags, *keys), DistributedContext()
    ).dataset
    label = dataset.label(4)
    assert len(dataset) == 6 and label is not None and (label == 11).all()


def test_unsure_pseudo_labels_have_no_centroids(make_root: Callable[..., Path], make_cfg: Cfg) -> None:
    """200 / 255 is the confidence of all their pixels."""
    root = make_root(100, [3])
    for prob, there in ((0.0, True), (0.78, True), (0.79, False)):
        flags = ("--class_uniform_pct", 0.5, "--coarse_boost_classes", "3", "--custom_coarse_prob", prob)
        assert any(draw.index >= 100 for draw in draws(make_cfg, root, 0, *flags)) == there


def complain(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The error line of a training that has to fail."""
    capsys.readouterr()
    assert train.main(words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_mistakes_at_the_command_line(
    make_root: Callable[..., Path], tmp_path: Path, tiny_run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_root(4, [])
    words = [*tiny_run, "--dataset", "cityscapes", "--data_root", str(root), "--coarse_boost_classes", "3"]
    autos = ["--custom_coarse_prob", "0.5", "DATASET.CITYSCAPES_CUSTOMCOARSE", str(tmp_path / "no")]
    line = complain([*words, *autos], capsys)
    assert str(tmp_path / "no") in line and "DATASET.CITYSCAPES_CUSTOMCOARSE" in line
    line = complain([*words, "--custom_coarse_dropout_classes", "14"], capsys)
    assert "--custom_coarse_dropout_classes" in line and "--custom_coarse_prob" in line
    assert "--coarse_multiple brings whole" in complain([*words, "--coarse_multiple", "1"], capsys)
    line = complain([*tiny_run, "--dataset", "camvid", "--coarse_multiple", "1"], capsys)
    assert "--coarse_multiple" in line and "cityscapes" in line
    next(root.glob("gtCoarse/*/*/*")).unlink()
    assert "gtCoarse_labelIds.png" in complain(words, capsys)
    shutil.rmtree(root / "gtFine")
    line = complain(words, capsys)
    assert "gtFine" in line and "gtCoarse/" in line and "only add to" in line
    shutil.rmtree(root / "leftImg8bit/train_extra")
    shutil.copytree(root / "gtCoarse", root / "gtFine")
    assert str(root) in complain(words, capsys)


def test_record_of_pseudo_labels(make_root: Callable[..., Path], make_cfg: Cfg, write_file: Write) -> None:
    root = make_root(4, [])
    for path in (root / "auto").rglob("*_leftImg8bit.png"):
        write_file(path, np.full((32, 64), 12, np.uint8))
    flags = ("--coarse_boost_classes", "3", "--custom_coarse_prob", "0.5")
    draws(make_cfg, root, 0, *flags)  # labels of other origin have none
    # Values alone would not tell what 12 is: a wall as raw id, a rider as train id.
    keys = ("DATASET.CITYSCAPES_CUSTOMCOARSE", root / "auto")
    for spec, expected in ((SPEC, 3), (DatasetSpec("own", SPEC.classes, SPEC.palette), 12)):
        labelrecord.write(root / "auto", spec, {})
        dataset = datasets.build_train(
            make_cfg("--data_root", root, "--bs_trn", 1, *flags, *keys), DistributedContext()
        ).dataset
        label = dataset.label(4)
        assert label is not None and (label == expected).all()
    labelrecord.write(root / "auto", DatasetSpec("own", SPEC.classes[::-1], SPEC.palette), {})
    with pytest.raises(UserError, match="19 other classes in another order"):
        draws(make_cfg, root, 0, *flags)
