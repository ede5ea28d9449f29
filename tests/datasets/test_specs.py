"""Classes, colors and ids of the datasets against the recorded tables."""

import json

import pytest
from shared import GOLDEN
from yacs.config import CfgNode

import datasets
from utils.errors import UserError

FACTS = json.loads((GOLDEN / "sdcnet/datasets.json").read_text())


@pytest.mark.parametrize("name", ["cityscapes", "kitti", "toy", "folder"])
def test_cityscapes_classes(name: str) -> None:
    labels = FACTS["cityscapes_and_kitti"]["labels"]
    trained = sorted((entry for entry in labels if 0 <= entry["train_id"] < 19), key=lambda entry: entry["train_id"])
    spec = datasets.spec(name)
    assert spec.name == name and spec.num_classes == 19 and spec.ignore_label == 255
    assert spec.classes == tuple(entry["name"] for entry in trained)
    assert spec.palette == tuple(tuple(entry["rgb"]) for entry in trained)
    assert spec.train_to_id == tuple(entry["id"] for entry in trained)
    assert spec.id_to_train is not None
    for entry in labels:
        expected = entry["train_id"] if entry["train_id"] >= 0 else 255
        assert spec.id_to_train[entry["id"]] == expected
    assert len(spec.categories) == 19 and len(set(spec.categories)) == 7


def test_camvid_classes() -> None:
    facts = FACTS["camvid"]
    spec = datasets.spec("camvid")
    assert spec.num_classes == facts["num_classes"]
    assert spec.palette == tuple(tuple(entry["rgb"]) for entry in facts["classes"])
    names = tuple(entry["name"].replace("Pedestrain", "Pedestrian") for entry in facts["classes"])
    assert spec.classes == names
    assert spec.id_to_train is not None and spec.id_to_train[facts["ignore"]] == spec.ignore_label == 255


def test_spec_of_a_config() -> None:
    cfg = CfgNode({"DATASET": {"NAME": "kitti"}})
    assert datasets.spec(cfg) is datasets.spec("kitti")


def test_unknown_dataset_names_the_nearest() -> None:
    with pytest.raises(UserError, match="cityscape'.*did you mean 'cityscapes'"):
        datasets.spec("cityscape")
