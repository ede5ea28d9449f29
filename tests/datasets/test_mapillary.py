"""Mapillary Vistas: classes from its own config file, both releases, sizes of validation, the make-up of an epoch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from shared import GOLDEN
from yacs.config import CfgNode

import config
import datasets
from datasets import mapillary
from utils.distributed import DistributedContext
from utils.errors import UserError

Make = Callable[..., Path]
Cfg = Callable[..., CfgNode]


def test_the_65_published_classes_without_the_folder() -> None:
    cfg = config.load(["--dataset", "mapillary", "--data_root", "/nowhere"])
    spec = datasets.spec(cfg)
    assert cfg.DATASET.NUM_CLASSES == spec.num_classes == 65 and spec is datasets.spec("mapillary")
    assert len(set(spec.classes)) == len(spec.palette) == 65 and spec.classes[13] == "Road"
    assert spec.id_to_train is not None and spec.id_to_train[65] == spec.ignore_label == 255


@pytest.mark.parametrize(
    ("release", "words", "classes", "folder"),
    [
        ("v1.2", [], 65, "training/labels"),
        ("both", [], 65, "training/v1.2/labels"),
        ("both", ["--mapillary_release", "v2.0"], 123, "training/v2.0/labels"),
        ("v2.0", [], 123, "training/v2.0/labels"),
    ],
)
def test_releases(
    tmp_path: Path, make_mapillary: Make, make_cfg: Cfg, release: str, words: list[str], classes: int, folder: str
) -> None:
    root = make_mapillary(tmp_path / "maps", release, classes=classes)
    cfg = make_cfg("--dataset", "mapillary", "--data_root", root, *words)
    spec = datasets.spec(cfg)
    assert cfg.DATASET.NUM_CLASSES == spec.num_classes == classes
    assert spec.classes[:2] == ("Class 0", "Class 1") and spec.palette[3] == (3, 252, 7)
    dataset = datasets.build_train(cfg, DistributedContext()).dataset
    assert len(dataset) == 6 and {Path(str(item.label)).parent for item in dataset.items} == {root / folder}
    stored = (2 + np.arange(7 * 13).reshape(7, 13)) % (classes + 1)  # the third image: 51 x 101 in blocks of 8
    label = dataset.label(2)
    assert label is not None and label.shape == (51, 101)
    np.testing.assert_array_equal(label[::8, ::8], np.where(stored == classes, 255, stored))
    assert len(datasets.build_val(cfg, DistributedContext(), "test")) == 1
    everything = make_cfg("--dataset", "mapillary", "--data_root", root, "--cv", 3, *words)
    assert len(datasets.build_train(everything, DistributedContext()).dataset) == 9


def test_unlabeled_need_not_be_the_last(tmp_path: Path) -> None:
    names = ["Sky", "Unlabeled", "Road"]
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"labels": [{"readable": n, "color": [1, 2, 3]} for n in names]}))
    spec = mapillary.read_config(path)
    assert spec.classes == ("Sky", "Road") and spec.id_to_train == {0: 0, 1: 255, 2: 1} and spec.train_to_id == (0, 2)
    path.write_text(json.dumps({"labels": [{"readable": n, "color": [1, 2, 3]} for n in ("Sky", "Road", "Void")]}))
    assert mapillary.read_config(path).classes == ("Sky", "Road")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["config.json"]),
        ("[]", ["config.json", "labels"]),
        ('{"labels": [{"readable": "a"}]}', ["color"]),
        ('{"labels": [{"readable": "a", "color": [1, 2, 333]}]}', ["333"]),
        ('{"labels": []}', ["0 classes"]),
    ],
)
def test_config_of_another_kind(tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError) as caught:
        config.load(["--dataset", "mapillary", "--data_root", str(tmp_path)])
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words)


def test_trees_that_lack_something(tmp_path: Path, make_mapillary: Make, make_cfg: Cfg) -> None:
    root = make_mapillary(tmp_path / "maps")
    next((root / "training/labels").iterdir()).unlink()
    with pytest.raises(UserError, match=r"image without label: .*training_.*jpg needs .*labels/training_.*png"):
        datasets.build_train(make_cfg("--dataset", "mapillary", "--data_root", root), DistributedContext())
    (root / "config.json").unlink()
    with pytest.raises(UserError, match="config_v1.2.json or config.json or config_v2.0.json.*found there: testing/"):
        datasets.build_train(make_cfg("--dataset", "mapillary", "--data_root", root), DistributedContext())
    with pytest.raises(UserError, match="config_v2.0.json, which .*found there"):
        make_cfg("--dataset", "mapillary", "--data_root", root, "--mapillary_release", "v2.0")


def test_index_outside_the_config(tmp_path: Path, make_mapillary: Make, make_cfg: Cfg) -> None:
    root = make_mapillary(tmp_path / "maps")
    label = np.zeros((64, 96), np.uint8)
    label[:2, :3] = 66
    cv2.imwrite(str(root / "training/labels/training_000.png"), label)
    with pytest.raises(UserError, match=r"training_000.png: label value 66 \(6 pixels\) is no class of mapillary"):
        datasets.build_train(make_cfg("--dataset", "mapillary", "--data_root", root), DistributedContext())


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        (["--pre_size", "32"], [(21, 32), (32, 21), (16, 32)]),
        (["--pre_size", "40", "--map_crop_val"], [(40, 40)] * 3),
        ([], [(1451, 2177), (2177, 1451), (1099, 2177)]),
    ],
)
def test_validation_is_scored_at_the_long_edge(
    tmp_path: Path, make_mapillary: Make, make_cfg: Cfg, words: list[str], sizes: list[tuple[int, int]]
) -> None:
    root = make_mapillary(tmp_path / "maps")
    cfg = make_cfg("--dataset", "mapillary", "--data_root", root, "--bs_val", 3, *words)
    (batch,) = datasets.build_val(cfg, DistributedContext())
    assert [image.shape[:2] for image in batch["image"]] == sizes
    assert [label is not None and label.shape for label in batch["label"]] == sizes
    assert batch["size"] == [(64, 96), (75, 50), (51, 101)]
    if "--map_crop_val" in words:
        narrow = batch["label"][1]
        assert narrow is not None and (narrow[:, :6] == 255).all() and (narrow[:, 8:32] != 255).any()


def test_other_images_are_evaluated_as_they_are(tmp_path: Path, make_mapillary: Make, make_cfg: Cfg) -> None:
    root = make_mapillary(tmp_path / "maps")
    words = ["--dataset", "mapillary", "--data_root", root, "--pre_size", 32, "--eval", "folder", "--snapshot", "x"]
    cfg = make_cfg(*words, "--eval_folder", root / "testing/images")
    assert [batch["image"][0].shape for batch in datasets.build_val(cfg, DistributedContext(), "folder")] == [
        (64, 96, 3)
    ]


def test_crops_of_images_of_many_sizes(tmp_path: Path, make_mapillary: Make, make_cfg: Cfg) -> None:
    root = make_mapillary(tmp_path / "maps")
    cfg = make_cfg("--dataset", "mapillary", "--data_root", root, "--pre_size", 48, "--bs_trn", 3, "--crop_size", 24)
    loader = datasets.build_train(cfg, DistributedContext())
    batches = list(loader)
    assert len(batches) == 2 and all(batch["image"].shape == (3, 3, 24, 24) for batch in batches)
    labels = {int(v) for batch in batches for v in batch["label"].unique()}
    assert labels <= {*range(65), 255} and len(labels) > 20


def test_make_up_of_an_epoch(tmp_path: Path, make_mapillary: Make, make_cfg: Cfg) -> None:
    """The published counts for 65 classes, at a hundredth of the size: floor(N * share / 65) crops a class."""
    cases = json.loads((GOLDEN / "nvidia/epoch_composition.json").read_text())
    (case,) = (case for case in cases if case.get("num_classes") == 65)
    share = case["class_uniform_pct"]
    assert case["class_uniform_items"] == int(case["images"] * share / 65) * 65
    root = make_mapillary(tmp_path / "maps", counts={"training": 140, "validation": 1}, sizes=((48, 48), (40, 64)))
    cfg = make_cfg("--dataset", "mapillary", "--data_root", root, "--bs_trn", 1, "--class_uniform_pct", share)
    draws = datasets.build_train(cfg, DistributedContext()).sampler.draws()
    assert len(draws) == 140
    plain = [draw.index for draw in draws if draw.crop_center is None]
    assert len(plain) == len(set(plain)) == 140 - 65
    assert len([draw for draw in draws if draw.crop_center]) == 65
