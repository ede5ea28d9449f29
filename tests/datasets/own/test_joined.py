"""Several sets as one: classes are joined by name, whatever value a set's labels have for them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets_own import CLASSES, config_of, dataset_of, label_of, split_of, written
from pictures import write_image

from datasets import splits
from datasets.cityscapes import SPEC
from utils.errors import UserError

SPLITS = "splits: {percent: {train: 50, val: 50}}\n"
GRAY = f"images: images\nlabels: {{kind: gray, path: gray}}\n{CLASSES}{SPLITS}"
# Its classes stand in another order, one is called otherwise.
OTHER = (
    "images: images\nlabels: {kind: KIND, path: KIND}\n"
    "classes: [{name: auto, color: [40, 50, 60]}, {name: road, color: [10, 20, 30]}]\n"
)


@pytest.fixture
def sets(own: Path) -> Path:
    """A file of gray ids, and one of colors."""
    written(own, GRAY, "gray.yaml")
    written(own, OTHER.replace("KIND", "rgb") + SPLITS, "rgb.yaml")
    return own


def test_classes_are_joined_by_name(sets: Path) -> None:
    file = written(sets, "sets: [gray.yaml, rgb.yaml]\nmerge: {car: [car, auto]}\n", "all.yaml")
    data = dataset_of(file)
    assert data.spec.classes == ("road", "car") and data.spec.palette == ((10, 20, 30), (40, 50, 60))
    assert {item.condition for item in data.items} == {"gray", "rgb"} and len(
        {item.name for item in data.items}
    ) == len(data)
    for i, item in enumerate(data.items):
        assert np.array_equal(data.label(i), label_of(int(item.name.split("_")[-1])) - 1), item.label
    notes = split_of(file).notes
    assert any(note.startswith("all: train ") and " of gray, " in note for note in notes)


def test_what_is_not_merged_stays_apart(sets: Path) -> None:
    file = written(sets, "sets: [gray.yaml, rgb.yaml]\nignore: [road]\n", "all.yaml")
    data = dataset_of(file, "val")
    assert data.spec.classes == ("car", "auto")
    found = {item.condition: {*np.unique(data.label(i))} for i, item in enumerate(data.items)}
    assert found == {"gray": {0, 255}, "rgb": {1, 255}}
    assert "all: gray does not have 1 of 2 classes: auto" in split_of(file).notes


def test_an_order_of_classes(sets: Path) -> None:
    text = "sets: [gray.yaml, rgb.yaml]\nclasses: [auto, car, road]\n"
    data = dataset_of(written(sets, text, "all.yaml"))
    assert data.spec.classes == ("auto", "car", "road") and data.spec.palette[2] == (10, 20, 30)
    i = next(i for i, item in enumerate(data.items) if item.condition == "gray")
    assert {*np.unique(data.label(i))} == {1, 2}


def test_a_set_for_training_alone_and_a_folder_of_its_own(sets: Path, tmp_path: Path) -> None:
    text = f"sets: [gray.yaml, {{file: {sets}/rgb.yaml, root: {sets}, use: train}}]\n"
    file = written(sets, text, "all.yaml")
    assert {item.condition for item in split_of(file).items} == {"gray", "rgb"}
    assert {item.condition for item in split_of(file, "val").items} == {""}
    with pytest.raises(UserError, match="all.yaml: sets: none of them has test"):
        split_of(file, "test")


def test_a_published_dataset_beside_ones_own(sets: Path) -> None:
    """Its labels hold raw ids; nobody says so."""
    for mode in ("train", "val"):
        name = f"ulm_000000_00000{len(mode)}"
        write_image(sets / "cs/leftImg8bit" / mode / "ulm" / f"{name}_leftImg8bit.png", np.zeros((24, 32, 3), np.uint8))
        label = np.full((24, 32), 7, np.uint8)
        label[0], label[1], label[2] = 26, 23, 255
        write_image(sets / "cs/gtFine" / mode / "ulm" / f"{name}_gtFine_labelIds.png", label)
    file = written(sets, "sets: [gray.yaml, {dataset: cityscapes, root: cs}]\nmerge: {car: [car, truck]}\n", "all.yaml")
    data = dataset_of(file, "val")
    assert data.spec.num_classes == SPEC.num_classes - 1 and data.spec.classes[:2] == ("road", "car")
    i = next(i for i, item in enumerate(data.items) if item.condition == "cityscapes")
    label = data.label(i)
    assert [data.spec.classes[k] for k in label[[0, 1, 3], 0]] == ["car", "sky", "road"] and label[2, 0] == 255


def test_drawn_sets_and_pieces(sets: Path) -> None:
    binary = "images: images\nlabels: {kind: binary, path: binary}\nclasses: [car, road]\ncut: 1000\n" + SPLITS
    written(sets, binary, "binary.yaml")
    data = dataset_of(written(sets, "sets: [gray.yaml, binary.yaml]\ncut: 64\n", "all.yaml"))
    for i, item in enumerate(data.items):
        assert np.array_equal(data.label(i), label_of(int(item.name.split("_")[-1])) - 1)
    assert (sets / "binary.cache" / "labels").is_dir() and (sets / "all.cache").is_dir()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sets: [grey.yaml]", "all.yaml: sets\\[0\\]: .*/grey.yaml is not there; did you mean 'gray.yaml'"),
        ("sets: [all.yaml]", "all.yaml: sets\\[0\\]: all.yaml is this file itself"),
        ("sets: [gray.yaml, rgb.yaml]\nmerge: {car: [car, aut]}", "merge.car: 'aut' is no class; did you mean 'auto'"),
        ("sets: [gray.yaml]\nignore: [raod]", "ignore: no set has a class 'raod'; did you mean 'road'"),
        ("sets: [gray.yaml]\nclasses: [road, cars]", "classes: no set has a class 'cars'; did you mean 'car'"),
        (
            "sets: [gray.yaml, rgb.yaml]\nclasses: [road, car]",
            "classes: the class 'auto' of the sets is missing; add it, merge",
        ),
    ],
)
def test_mistakes_are_one_line(sets: Path, text: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        config_of(written(sets, text, "all.yaml"))


def test_a_spec_without_a_folder(sets: Path) -> None:
    written(sets, "sets: [gray.yaml, {dataset: cityscapes}]\n", "all.yaml")
    assert splits.spec(str(sets / "all.yaml")).num_classes == SPEC.num_classes


def test_one_set_twice_is_refused(sets: Path) -> None:
    file = written(sets, "sets: [gray.yaml, ./gray.yaml]\n", "all.yaml")
    with pytest.raises(UserError, match=r"all.yaml: sets\[1\]: .*gray.yaml in .* is given twice for train: leave it"):
        split_of(file)
    text = "sets: [{file: gray.yaml, use: train}, {file: gray.yaml, use: val}]\n"
    assert len(split_of(written(sets, text, "apart.yaml"), "val").items)


def test_two_sets_of_one_name_are_told_apart(sets: Path, tmp_path: Path) -> None:
    shutil.copytree(sets, tmp_path / "more")
    file = written(sets, f"sets: [gray.yaml, {{file: gray.yaml, root: {tmp_path}/more}}]\n", "all.yaml")
    split = split_of(file)
    counts = [sum(item.condition == name for item in split.items) for name in ("gray", "gray_2")]
    assert counts[0] == counts[1] > 0 and sum(counts) == len(split.items)
    assert f"all: train {counts[0]} of gray, {counts[1]} of gray_2" in split.notes
    assert f"all: gray_2 is that in {tmp_path}/more" in split.notes


def test_cv_is_refused_where_no_set_reads_it(sets: Path) -> None:
    with pytest.raises(UserError, match="--cv 1: .*gray.yaml says its splits itself: leave it out"):
        split_of(sets / "gray.yaml", "train", "--cv", "1")
    file = written(sets, "sets: [gray.yaml]\n", "all.yaml")
    with pytest.raises(UserError, match="--cv 1: .*all.yaml says its splits itself"):
        split_of(file, "train", "--cv", "1")


def test_sets_in_a_circle_are_one_line(sets: Path) -> None:
    written(sets, "sets: [gray.yaml, second.yaml]\n", "first.yaml")
    written(sets, "sets: [third.yaml]\n", "second.yaml")
    file = written(sets, "sets: [{file: first.yaml}]\n", "third.yaml")
    way = "third.yaml -> first.yaml -> second.yaml -> third.yaml"
    with pytest.raises(UserError, match=f"third.yaml has this file among its own sets: {way}; take one of them out"):
        split_of(file)
