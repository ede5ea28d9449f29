"""Cityscapes: both trees, the published splits, coarse and pseudo-labels."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from shared import GOLDEN, shared_path
from yacs.config import CfgNode

import datasets
from datasets import cityscapes, labelids
from datasets.base import PseudoLabelFilter, SegmentationDataset
from datasets.cityscapes import SPEC, TRAIN_CITIES, VAL_CITIES, Coarse, split, split_cities
from evaluation.sinks import EvalItem, PseudoLabels
from transforms import Pipeline
from utils.contracts import Prediction
from utils.distributed import DistributedContext
from utils.errors import UserError

CV_FACTS = json.loads((GOLDEN / "sdcnet/cityscapes_cv_splits.json").read_text())
SPLITS = CV_FACTS["splits"]


@pytest.mark.parametrize("cv", ["0", "1", "2"])
@pytest.mark.parametrize("mode", ["train", "val"])
def test_golden_splits(cv: str, mode: str) -> None:
    assert split_cities(int(cv), TRAIN_CITIES, VAL_CITIES, mode) == SPLITS[cv][mode]


def test_golden_image_counts(tmp_path: Path) -> None:
    """A tree of empty files with the published number of images in each city."""
    for place, count in CV_FACTS["images_per_city"].items():
        city = place.split("/")[1]
        for folder, ending in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds")):
            (tmp_path / folder / place).mkdir(parents=True)
            for frame in range(count):
                (tmp_path / folder / place / f"{city}_000000_{frame:06d}_{ending}.png").touch()
    for cv, facts in SPLITS.items():
        for mode in ("train", "val"):
            items = split(str(tmp_path), mode, int(cv)).items
            assert len(items) == facts[f"n_{mode}_images"]
            assert {"/".join(Path(item.image).parts[-3:-1]) for item in items} == set(facts[mode])


def test_cv_3_trains_on_all_and_validates_on_val() -> None:
    everything = sorted(SPLITS["0"]["train"] + SPLITS["0"]["val"])
    assert sorted(split_cities(3, TRAIN_CITIES, VAL_CITIES, "train")) == everything
    assert sorted(split_cities(1, TRAIN_CITIES, VAL_CITIES, "trainval")) == everything
    assert split_cities(3, TRAIN_CITIES, VAL_CITIES, "val") == SPLITS["0"]["val"]


def test_half_a_download_keeps_the_published_split() -> None:
    assert split_cities(1, ("ulm", "erfurt"), ("lindau",), "val") == ["train/erfurt"]
    assert split_cities(1, ("a", "b", "c", "d", "e"), ("x",), "val") == ["train/b"]  # unknown cities: by the rule


@pytest.mark.parametrize("zips", [True, False])
def test_both_trees(tmp_path: Path, zips: bool, make_tree: Callable[..., Path]) -> None:
    root = str(make_tree(tmp_path / "tree", zips=zips))
    counts = {mode: len(split(root, mode).items) for mode in ("train", "val", "trainval", "test")}
    assert counts == {"train": 6, "val": 3, "trainval": 9, "test": 3}
    first = split(root, "train").items[0]
    assert first.name == "aachen_000000_000000_leftImg8bit" and str(first.label).endswith("000000_gtFine_labelIds.png")
    assert all(item.label is None for item in split(root, "test").items)
    sample = SegmentationDataset(split(root, "train").items, SPEC, Pipeline())[0]
    assert sample.label is not None and set(np.unique(sample.label)) <= {*range(19), 255}


def test_bad_trees(cityscapes_root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="looked for leftImg8bit_trainvaltest/leftImg8bit or leftImg8bit .* nothing"):
        split(str(tmp_path / "empty"), "train")
    label = next(cityscapes_root.glob("gtFine_trainvaltest/gtFine/train/ulm/*"))
    label.unlink()
    with pytest.raises(UserError, match=f"image without label: .*ulm.* needs .*{label.name}"):
        split(str(cityscapes_root), "train")
    shutil.rmtree(cityscapes_root / "gtFine_trainvaltest")
    with pytest.raises(
        UserError, match="fine labels: looked for gtFine_trainvaltest/gtFine or gtFine.*found there: left"
    ):
        split(str(cityscapes_root), "train")
    for image in cityscapes_root.glob("leftImg8bit_trainvaltest/leftImg8bit/test/*/*"):
        image.unlink()
    with pytest.raises(UserError, match="no images"):
        split(str(cityscapes_root), "test")


def test_real_frame() -> None:
    folder = shared_path("data/cityscapes_sample")
    stem = "frankfurt_000000_000294"
    label = str(folder / f"gtFine/{stem}_gtFine_labelIds.png")
    ours = datasets.base.Item(str(folder / f"leftImg8bit/{stem}_leftImg8bit.png"), label, stem)
    sample = SegmentationDataset([ours], SPEC, Pipeline())[0]
    published = datasets.reading.read_label(label.replace("labelIds", "labelTrainIds"))
    assert sample.label is not None
    assert (sample.label == published).mean() > 0.997  # the two files were shrunk one by one


# ---- coarse and pseudo-labels


@pytest.fixture
def coarse_root(cityscapes_root: Path, write_file: Callable[[Path, np.ndarray], None]) -> Path:
    """Two extra images: pseudo-labels all bus (15) and truck (14); people drew a bus in the left half only."""
    auto = cityscapes_root / "autolabelled/train_extra/bonn"
    for frame, auto_class in enumerate((28, 27)):
        stem = f"bonn_000000_{frame:06d}"
        image = np.zeros((32, 64, 3), np.uint8)
        folder = cityscapes_root / "leftImg8bit_trainextra/leftImg8bit/train_extra/bonn"
        write_file(folder / f"{stem}_leftImg8bit.png", image)
        drawn = np.zeros((32, 64), np.uint8)
        drawn[:, :32] = 28
        write_file(cityscapes_root / f"gtCoarse/gtCoarse/train_extra/bonn/{stem}_gtCoarse_labelIds.png", drawn)
        label = np.full((32, 64), auto_class, np.uint8)
        label[:, 60:] = 23  # sky
        write_file(auto / f"{stem}_leftImg8bit.png", label)
        confidence = np.full((32, 64), 200, np.uint8)
        confidence[:8] = 100
        write_file(auto / f"{stem}_leftImg8bit_prob.png", confidence)
    return cityscapes_root


def coarse_labels(root: Path, **options: object) -> list[np.ndarray]:
    coarse = Coarse(pseudo_root=str(root / "autolabelled"), **options)  # type: ignore[arg-type]
    found = split(str(root), "train", coarse=coarse)
    found = labelids.resolve(found, labelids.look({"pseudo-labels": labelids.undecided(found.items)}, SPEC))
    dataset = SegmentationDataset(found.items, SPEC, Pipeline(), found.filter_pseudo_labels)
    labels = [dataset.label(i) for i in range(found.fine, len(found.items))]
    return [label for label in labels if label is not None]


def test_coarse_labels(coarse_root: Path) -> None:
    first, second = coarse_labels(coarse_root)
    for label in (first, second):
        assert (label[:, :32] == 15).all() and (label[:, 32:] == 255).all()


def test_pseudo_labels_below_the_probability_are_ignored(coarse_root: Path) -> None:
    first, second = coarse_labels(coarse_root, min_confidence=0.5)
    assert (first[:8] == 255).all() and (first[8:, :60] == 15).all() and (first[8:, 60:] == 10).all()
    assert (second[8:, :60] == 14).all()
    assert (coarse_labels(coarse_root, min_confidence=0.0)[0][:8, :60] == 15).all()


def test_dropped_classes_take_the_coarse_label(coarse_root: Path) -> None:
    first, second = coarse_labels(coarse_root, min_confidence=0.0, coarse_label_classes=(15,))
    assert (first[:, :32] == 15).all() and (first[:, 32:60] == 255).all() and (first[:, 60:] == 10).all()
    assert (second[:, :60] == 14).all()  # no automatic bus in it


def test_mask_keeps_the_published_rows_and_columns() -> None:
    rules = PseudoLabelFilter(rows=cityscapes._MASK_ROWS, columns=cityscapes._MASK_COLUMNS)
    label = np.zeros((1024, 2048), np.uint8)
    rules(label, None, None, 255)
    rows, columns = np.nonzero(label == 0)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (15, 839, 14, 2029)
    assert (label[15:840, 14:2030] == 0).all()


@pytest.mark.parametrize("min_prob", [0.0, 0.5])
def test_mask_of_pseudo_labels_alone(coarse_root: Path, min_prob: float) -> None:
    """At any probability; labels that people drew keep their border."""
    for label in coarse_labels(coarse_root, min_confidence=min_prob, mask_border=True):
        assert (label[:15] == 255).all() and (label[:, :14] == 255).all() and (label[15:, 14:] != 255).all()
    for label in coarse_labels(coarse_root, mask_border=True):
        assert (label[:, :32] == 15).all()


def test_dumped_predictions_serve_as_pseudo_labels(coarse_root: Path, tmp_path: Path) -> None:
    """Two buses, one of them sure in its right half only."""
    sink = PseudoLabels(tmp_path / "run" / "autolabelled", SPEC)
    image, bus, sure = np.zeros((32, 64, 3), np.uint8), torch.full((32, 64), 15, dtype=torch.uint8), torch.ones(32, 64)
    for frame, confidence in enumerate((sure, sure * torch.cat([torch.full((32,), 0.3), torch.ones(32)]))):
        prediction = Prediction(bus, confidence, None, {}, "")
        sink.add(EvalItem(f"bonn_000000_{frame:06d}_leftImg8bit", image, None, prediction))
    sink.results()
    shutil.rmtree(coarse_root / "autolabelled")
    shutil.move(tmp_path / "run" / "autolabelled", coarse_root)
    first, second = coarse_labels(coarse_root, min_confidence=0.5)
    assert (first == 15).all()
    assert (second[:, :32] == 255).all() and (second[:, 32:] == 15).all()


def test_train_id_files_are_told_apart(coarse_root: Path, write_file: Callable[[Path, np.ndarray], None]) -> None:
    for frame in range(2):
        path = coarse_root / f"autolabelled/train_extra/bonn/bonn_000000_{frame:06d}_leftImg8bit.png"
        write_file(path, np.full((32, 64), 13, np.uint8))
    assert (coarse_labels(coarse_root, min_confidence=0.0)[0] == 13).all()


def test_missing_probability_is_named(coarse_root: Path) -> None:
    next(coarse_root.glob("autolabelled/*/*/*_prob.png")).unlink()
    with pytest.raises(UserError, match="pseudo-label .* needs .*_prob.png"):
        coarse_labels(coarse_root, min_confidence=0.5)


def coarse_centers(make_cfg: Callable[..., CfgNode], root: Path, epoch: int, *flags: str) -> set[int]:
    """Items that the class-uniform part of an epoch crops."""
    keys = ("DATASET.CITYSCAPES_CUSTOMCOARSE", str(root / "autolabelled"))
    cfg = make_cfg("--set_cityscapes_root", root, "--bs_trn", 1, "--class_uniform_pct", 1, *flags, *keys)
    sampler = datasets.build_train(cfg, DistributedContext()).sampler
    # Six fine images leave no class a crop of its own; forty times as many do.
    sampler = dataclasses.replace(sampler, images=list(sampler.images) * 40)
    sampler.set_epoch(epoch)
    return {draw.index for draw in sampler.draws() if draw.crop_center}


def test_coarse_boost_until_max_cu_epoch(coarse_root: Path, make_cfg: Callable[..., CfgNode]) -> None:
    flags = ("--coarse_boost_classes", "15", "--max_cu_epoch", "2")
    assert {6, 7} & coarse_centers(make_cfg, coarse_root, 0, *flags)
    assert not {6, 7} & coarse_centers(make_cfg, coarse_root, 0, "--coarse_boost_classes", "3", "--max_cu_epoch", "2")
    assert {6, 7} & coarse_centers(make_cfg, coarse_root, 1, *flags)
    assert not {6, 7} & coarse_centers(make_cfg, coarse_root, 2, *flags)
    assert coarse_centers(make_cfg, coarse_root, 0, "--only_coarse", *flags) == {6, 7}


def test_class_lists_are_checked(coarse_root: Path, make_cfg: Callable[..., CfgNode]) -> None:
    with pytest.raises(UserError, match="coarse_boost_classes takes train ids 0 to 18"):
        coarse_centers(make_cfg, coarse_root, 0, "--coarse_boost_classes", "3,19")
