"""The pictures that a file is compared on and calibrated with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from datasets import DATASETS, toy
from engine.export import data
from utils.errors import UserError

SPEC = DATASETS["cityscapes"].spec
ARGV = ["--arch", "basic.HRNet"]


def trained(name: str = "cityscapes") -> Any:
    """What is read of a trained network here: its options and its classes."""
    return SimpleNamespace(cfg=SimpleNamespace(SNAPSHOT="net.pth"), metadata={}, spec=DATASETS[name].spec)


def test_labeled_pictures_of_a_data_set_are_spread_over_its_split(tiny_scenes: Path) -> None:
    found = data.of_dataset("toy", "val", trained(), [*ARGV, "--data_root", str(tiny_scenes)], 2)
    assert found.name == "toy" and len(found.pairs) == 2
    assert {image.shape for image in found.images} == {(64, 128, 3)} == {(*x.shape, 3) for x in found.labels}
    assert {*np.unique(found.labels)} <= {*range(19), 255}
    more = data.of_dataset("toy", "trn", trained(), [*ARGV, "--data_root", str(tiny_scenes)], 3)
    assert len(more.images) == 3


def test_labels_of_other_classes_are_refused(tiny_scenes: Path) -> None:
    """The checkpoint says its count of classes; to calibrate, labels do not matter."""
    two = trained("camvid")
    two.metadata = {"DATASET.NUM_CLASSES": 2}
    with pytest.raises(UserError, match="toy has other classes than the network: 19 of toy"):
        data.of_dataset("toy", "val", two, [*ARGV, "--data_root", str(tiny_scenes)], 2)
    assert len(data.of_dataset("toy", "trn", two, [*ARGV, "--data_root", str(tiny_scenes)], 2).images) == 2


def test_a_folder_of_pictures_has_no_labels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 96, 3), (0, 0, 200), np.uint8))
    found = data.of_dataset(str(tmp_path), "val", trained(), ARGV, 2)
    assert found.pairs == [] and found.images[0][0, 0].tolist() == [200, 0, 0]


def test_scenes_have_labels_for_networks_of_their_classes_alone() -> None:
    found = data.scenes(SPEC, 1, "val")
    assert found.images[0].shape == (256, 512, 3) and found.labels[0].shape == (256, 512)
    assert {*np.unique(found.labels[0])} <= {*range(19), 255} and len(found.pairs) == 1
    assert np.array_equal(toy.drawn(1, "val")[0][0], found.images[0])
    assert data.scenes(DATASETS["camvid"].spec, 1, "val").pairs == []


def test_labels_are_resized_without_new_values() -> None:
    label = np.array([[0, 255], [18, 3]], np.uint8).repeat(30, 0).repeat(45, 1)
    image = np.zeros((60, 90, 3), np.uint8)
    small = data.Pictures("x", [image], [label]).of_size((64, 96))
    assert small.images[0].shape == (64, 96, 3) and {*np.unique(small.labels[0])} == {0, 3, 18, 255}
