"""A dataset's file through the doors that every dataset has: its classes, its splits, its labels as train ids."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets_own import CLASSES, config_of, dataset_of, label_of, split_of, written
from pictures import write_image

from datasets import splits
from utils.distributed import DistributedContext
from utils.errors import UserError

GRAY = f"images: images\nlabels: {{kind: gray, path: gray}}\n{CLASSES}splits: {{percent: {{train: 100}}}}\n"


def numbers(split) -> list[int]:
    return sorted(int(item.name.split("_")[2]) for item in split.items)


@pytest.mark.parametrize(
    "labels",
    [
        "{kind: gray, path: gray}",
        "{kind: palette, path: 'gray/*.png'}",
        "{kind: gray, path: 'gray/{dir}/{stem}.png'}",
        "{kind: rgb, path: rgb}",
        "{kind: binary, path: binary}",
        "{kind: binary, path: 'binary/{class}/{stem}.png'}",
    ],
)
def test_labels_of_each_kind_are_train_ids(own: Path, labels: str) -> None:
    file = written(own, f"images: images\nlabels: {labels}\n{CLASSES}splits: {{percent: {{train: 100}}}}\n")
    data = dataset_of(file)
    assert len(data) == 4 and data.spec.classes == ("road", "car") and data.spec.palette[1] == (40, 50, 60)
    for index, item in enumerate(data.items):
        sample = data[index]
        assert np.array_equal(sample.label, label_of(int(item.name[-1])) - 1) and sample.image.shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("text", "train", "val"),
    [
        (
            "images: images\nlabels: {kind: gray, path: gray}\nsplits: {train: train.txt, val: val.txt}\n",
            [0, 1, 3],
            [2],
        ),
        ("labels: {kind: gray}\nsplits: {train: pairs.txt, val: two.lst}\n", [0, 1], [3]),
        (
            "labels: {kind: gray, path: gray}\nsplits:\n  train: {images: 'images/drive_0_*'}\n"
            "  val: {images: [images/drive_1_2.png, images/drive_1_3.png], labels: 'gray/{stem}.png'}\n",
            [0, 1],
            [2, 3],
        ),
    ],
)
def test_splits_by_lists_and_folders(own: Path, text: str, train: list[int], val: list[int]) -> None:
    (own / "train.txt").write_text("# comment\ndrive_0_0\ndrive_0_1.png\nimages/drive_1_3.png\n")
    (own / "val.txt").write_text("drive_1_2.png\n")
    (own / "pairs.txt").write_text(
        "images/drive_0_0.png gray/drive_0_0.png\nimages/drive_0_1.png\tgray/drive_0_1.png\n"
    )
    (own / "two.lst").write_text("images/drive_1_3.png gray/drive_1_3.png\n")
    file = written(own, text + CLASSES)
    assert numbers(split_of(file)) == train and numbers(split_of(file, "val")) == val
    assert any(
        note.startswith(f"set: train {len(train)} images, val {len(val)} image") for note in split_of(file).notes
    )


def test_images_of_several_folders_keep_their_folders(own: Path) -> None:
    """Two have one name each; their labels lie in folders of the same names."""
    for folder, number in (("one", 0), ("two", 5)):
        for name in ("a.png", "b.png"):
            write_image(own / "pictures" / folder / name, np.zeros((24, 32, 3), np.uint8))
            write_image(own / "labels" / folder / name, label_of(number))
    text = GRAY.replace("images: images", "images: [pictures/one, pictures/two]").replace("path: gray", "path: labels")
    data = dataset_of(written(own, text))
    assert len(data) == 4 == len({item.name for item in data.items})
    for i, item in enumerate(data.items):
        assert np.array_equal(data.label(i), label_of(5 * ("two" in item.image)) - 1)


def test_names_with_blanks_in_lists(own: Path) -> None:
    for folder in ("images", "gray"):
        (own / folder / "drive_0_0.png").rename(own / folder / "drive 0 0.png")
    (own / "train.txt").write_text("drive 0 0.png\n")
    assert len(split_of(written(own, GRAY.replace("{percent: {train: 100}}", "{train: train.txt}"))).items) == 1


def test_data_root_moves_the_start_of_paths(own: Path, tmp_path: Path) -> None:
    file = written(tmp_path, GRAY)
    with pytest.raises(UserError, match=f"set.yaml: images: {tmp_path}/images is not there"):
        split_of(file)
    assert len(split_of(file, "train", "--data_root", str(own)).items) == 4
    moved = shutil.move(own, tmp_path / "moved")
    by_percent = GRAY.replace("train: 100", "train: 50, val: 50")
    before = numbers(split_of(written(Path(moved), by_percent)))
    again = shutil.move(moved, tmp_path / "again")
    assert numbers(split_of(Path(again) / "set.yaml")) == before


def test_merged_and_ignored_values(own: Path) -> None:
    write_image(own / "gray" / "drive_0_0.png", np.full((24, 32), 7, np.uint8))
    text = GRAY.replace("{name: car, id: 2,", "{name: van, id: 9}, {name: car, id: [2, 3],")
    data = dataset_of(written(own, text + "ignore: [7]\nmerge: {vehicle: [van, car], }\n"))
    assert data.spec.classes == ("road", "vehicle") and data.spec.train_to_id == (1, 9)
    by_name = {item.name: data.label(i) for i, item in enumerate(data.items)}
    assert (by_name["drive_0_0"] == 255).all() and np.array_equal(by_name["drive_1_3"], label_of(3) - 1)


@pytest.mark.parametrize("kind", ["gray", "rgb"])
def test_unknown_values_are_refused_or_ignored(own: Path, kind: str) -> None:
    label = np.full((24, 32, 3) if kind == "rgb" else (24, 32), 200, np.uint8)
    write_image(own / kind / "drive_0_0.png", label)
    text = GRAY.replace("kind: gray, path: gray", f"kind: {kind}, path: {kind}")
    data = dataset_of(written(own, text))
    place = [item.name for item in data.items].index("drive_0_0")
    with pytest.raises(
        UserError, match=r"drive_0_0.png: (label value 200|color \(200, 200, 200\)) \(768 pixels\) is no class"
    ):
        data.label(place)
    file = written(own, text + "unknown: ignore\n")
    assert "(unknown: ignore)" in str(split_of(file).notes)
    lenient = dataset_of(file)
    assert (lenient.label(place) == 255).all() and (lenient.label(1 - place) < 2).all()


def test_images_without_label(own: Path) -> None:
    (own / "gray" / "drive_0_1.png").unlink()
    with pytest.raises(
        UserError, match="set.yaml: labels: image without label: 1 of 4 images of train has none, .*drive_0_1.png"
    ):
        split_of(written(own, GRAY))
    split = split_of(written(own, GRAY + "missing: skip\n"))
    assert numbers(split) == [0, 2, 3] and "1 image of train without label left out" in split.notes[-1]


def test_test_images_need_no_label(own: Path) -> None:
    text = "labels: {kind: gray}\nsplits: {test: {images: images}, train: {images: images, labels: gray}}\n" + CLASSES
    split = split_of(written(own, text), "test")
    assert len(split.items) == 4 and all(item.label is None and item.exif_turned for item in split.items)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GRAY.replace("images: images", "images: imags"), "images: .*/imags is not there; did you mean 'images'?"),
        (GRAY.replace("images: images", "images: 'images/*.gif'"), "images: no images .* in .*/images/\\*.gif"),
        (
            GRAY.replace("images: images", "images: gray"),
            "images: .*/gray is also the folder of the labels: give images as",
        ),
        (GRAY.replace("path: gray", "path: gary"), "labels: .*/gary is not there; did you mean 'gray'?"),
        (GRAY.replace("path: gray", "path: 'gray/{stm}.png'"), "labels: .*there is no {stm}; did you mean 'stem'?"),
        (
            GRAY.replace("path: gray", "path: 'gray/{dir}/a.png'"),
            "labels: .* has no {stem}: all images would have one label",
        ),
        (GRAY.replace("path: gray", "path: binary"), "labels: image without label: 4 of 4 images of train have none"),
        (
            GRAY.replace("{percent: {train: 100}}", "{train: bad.txt}"),
            "bad.txt, line 2: drive_0_9.png is no image of images; did",
        ),
        (GRAY.replace("{percent: {train: 100}}", "{train: non.txt}"), "splits.train: .*/non.txt is not there"),
        (
            GRAY.replace("{percent: {train: 100}}", "{train: images}"),
            "splits.train: .* is a folder, not a list; a folder is given",
        ),
        (
            GRAY.replace("gray, path: gray", "binary, path: gray"),
            "labels: no file in .*/gray is a mask of one of the classes",
        ),
    ],
)
def test_what_is_not_there_is_one_line(own: Path, text: str, line: str) -> None:
    (own / "bad.txt").write_text("drive_0_0\ndrive_0_9.png\n")
    with pytest.raises(UserError, match=line):
        split_of(written(own, text))


def test_a_split_that_is_not_there(own: Path) -> None:
    with pytest.raises(UserError, match="set.yaml: splits: there is no val, only train; train with --do_eval false"):
        split_of(written(own, GRAY), "val")


def test_flags_and_names_around_it(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(own, GRAY)
    with pytest.raises(UserError, match="--list_train: .*set.yaml says its splits itself"):
        config_of(file, "--list_train", "x.lst")
    with pytest.raises(UserError, match="--dataset: .*/sat.yaml is not there; did you mean 'set.yaml'"):
        config_of(own / "sat.yaml")
    with pytest.raises(UserError, match="--classes is of --dataset list or folder"):
        config_of(file, "--classes", "x.yaml")
    monkeypatch.chdir(own)
    cfg = config_of(Path("set.yaml"))
    assert cfg.DATASET.NAME == str(file) and cfg.DATASET.NUM_CLASSES == 2
    assert splits.spec("set.yaml").classes == ("road", "car")


def test_a_file_is_read_anew_when_it_changes(own: Path) -> None:
    assert config_of(written(own, GRAY)).DATASET.NUM_CLASSES == 2
    file = written(own, GRAY.replace("classes: [", "classes: [{name: sky, id: 5}, "))
    assert config_of(file).DATASET.NUM_CLASSES == 3


def test_what_one_process_finds_wrong_is_said_on_all(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process of a machine looks for files, and draws labels, while the others wait."""
    waits = DistributedContext(rank=1, world=2, local_rank=1)
    monkeypatch.setattr(DistributedContext, "gather", lambda self, value: ["set.yaml: images: gone", value])
    with pytest.raises(UserError, match="^set.yaml: images: gone$"):
        splits.load(config_of(written(own, GRAY)), "train", waits)
