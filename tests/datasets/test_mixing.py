"""Which crops are mixed, and with which: by the request's seed alone, classes that are rare by inverse share."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import config
import datasets
from datasets import mixing
from datasets.mixing import MixedDataset, RareCrop
from utils.contracts import CropRequest
from utils.distributed import DistributedContext
from utils.errors import UserError

SHARES = {"mosaic": "0.5", "cutmix": "0.5", "copy_paste": "0.7"}


def words(scenes: Path, tmp_path: Path, *more: str) -> list[str]:
    line = ["--dataset", "toy", "--data_root", str(scenes), "--arch", "basic.HRNet", "--crop_size", "48,64"]
    line += ["--bs_trn", "2", "--num_workers", "0", "--class_uniform_tile", "32", "--do_eval", "false"]
    return [*line, "DATASET.CENTROID_ROOT", str(tmp_path), *more]


def loader(scenes: Path, tmp_path: Path, *more: str, **shares: str) -> datasets.TrainLoader:
    flags = [word for name, share in shares.items() for word in (f"--{name}", share)]
    given = words(scenes, tmp_path, *more)
    return datasets.build_train(config.load([*given[:-2], *flags, *given[-2:]]), DistributedContext())


def assert_equal(one: Any, other: Any) -> None:
    assert one["name"] == other["name"]
    assert torch.equal(one["image"], other["image"]) and torch.equal(one["label"], other["label"])


def test_mixed_batches_are_the_same_again_and_from_the_middle(tiny_scenes: Path, tmp_path: Path) -> None:
    made = loader(tiny_scenes, tmp_path, **SHARES)
    assert isinstance(made.dataset, MixedDataset) and len(made.dataset.mixings) == 3
    first = list(made)
    assert len(first) > 1
    again = loader(tiny_scenes, tmp_path, **SHARES)
    again.set_epoch(0, start=1)
    for one, other in zip(first[1:], again, strict=True):
        assert_equal(one, other)
    plain = list(loader(tiny_scenes, tmp_path))
    changed = [not torch.equal(a["image"], b["image"]) for a, b in zip(first, plain, strict=True)]
    assert any(changed) and [b["name"] for b in first] == [b["name"] for b in plain]


@pytest.mark.slow
def test_mixed_batches_are_the_same_with_loader_processes(tiny_scenes: Path, tmp_path: Path) -> None:
    alone = loader(tiny_scenes, tmp_path, **SHARES)
    beside = datasets.TrainLoader(alone.dataset, alone.sampler, workers=2)
    for one, other in zip(list(alone), beside, strict=True):
        assert_equal(one, other)
    beside.close()


def test_what_is_not_mixed_stays_to_the_bit(tiny_scenes: Path, tmp_path: Path) -> None:
    """Nothing asked for: the plain dataset; a share of none of the crops: the plain crops."""
    plain, rarely = loader(tiny_scenes, tmp_path), loader(tiny_scenes, tmp_path, cutmix="1e-9")
    assert not isinstance(plain.dataset, MixedDataset) and isinstance(rarely.dataset, MixedDataset)
    for one, other in zip(plain, rarely, strict=True):
        assert_equal(one, other)


def test_labels_at_a_stride_are_those_of_the_mixed_crop(tiny_scenes: Path, tmp_path: Path) -> None:
    whole, small = (
        next(iter(loader(tiny_scenes, tmp_path, "DATASET.LABEL_STRIDE", str(stride), **SHARES))) for stride in (1, 4)
    )
    assert torch.equal(whole["image"], small["image"])
    assert torch.equal(small["label"], whole["label"][:, 2::4, 2::4]) and small["label"].shape == (2, 12, 16)


def test_copy_paste_says_what_it_looks_for_without_class_uniform_crops(tiny_scenes: Path, tmp_path: Path) -> None:
    """The centroids are found for its sake."""
    made = loader(tiny_scenes, tmp_path, "DATASET.CLASS_UNIFORM_PCT", "0", copy_paste="1")
    assert isinstance(made.dataset, MixedDataset)
    (found,) = made.dataset.mixings
    assert isinstance(found.draw, RareCrop) and found.mix.classes == tuple(found.draw.weights)  # type: ignore[attr-defined]
    (note,) = [note for note in made.labels.notes if note.startswith("--copy_paste: rare classes by inverse share: ")]
    names = [made.dataset.spec.classes[c] for c in found.draw.weights]
    assert all(part.rsplit(" ", 1)[0] in names for part in note.split("share: ")[1].split(" and ")[0].split(", "))
    assert "road" not in names


@pytest.mark.parametrize(
    ("pixels", "weights"),
    [
        ({0: 800, 1: 150, 2: 40, 3: 10}, {2: 0.2, 3: 0.8}),
        ({0: 800, 1: 0, 2: 200}, {2: 1.0}),
        ({0: 50, 1: 49}, {1: 1.0}),  # none is rare: the rarest
        ({0: 0}, {}),
    ],
)
def test_rare_classes(pixels: dict[int, int], weights: dict[int, float]) -> None:
    assert mixing.rare(pixels) == pytest.approx(weights)


def test_rare_crops_lie_round_the_centroids_of_their_class() -> None:
    centroids = {2: np.array([[0, 1, 2], [1, 3, 4]]), 3: np.array([[5, 6, 7]])}
    draw, rng = RareCrop(centroids, {2: 0.2, 3: 0.8}), random.Random(0)
    found = [draw(rng) for _ in range(500)]
    assert {(r.index, r.crop_center) for r in found} == {(0, (1, 2)), (1, (3, 4)), (5, (6, 7))}
    assert 350 < sum(r.index == 5 for r in found) < 450 and len({r.seed for r in found}) == 500


def test_another_crop_without_a_label_is_named(tiny_scenes: Path, tmp_path: Path) -> None:
    made = loader(tiny_scenes, tmp_path, mosaic="1").dataset
    assert isinstance(made, MixedDataset)
    made.items = [made.items[0], *(item._replace(label=None) for item in made.items[1:])]
    with pytest.raises(UserError, match="has no label; training needs one for each image"):
        made[CropRequest(0, None, 1)]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("--mosaic 1 --imgSize 300", "--mosaic is of training on crops, without --imgSize"),
        ("--copy_paste 0.5 --full_crop_training", "--copy_paste mixes crops of one size"),
        ("--cutmix 1.5", "--cutmix lies between 0 and 1, not 1.5"),
    ],
)
def test_what_cannot_be_mixed_is_one_line(given: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        config.load(["--arch", "basic.HRNet", "--dataset", "cityscapes", *given.split()])
