"""ACDC: its folders, names unlike each other, scores of each condition beside those of all."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import write_image
from runs import folder, rows
from shared import dataset_options

import config
import datasets
import toyworld
import train
from datasets import acdc
from utils.contracts import id_table
from utils.distributed import DistributedContext
from utils.errors import UserError

pytestmark = pytest.mark.run

CONDITIONS = ["fog", "night", "rain", "snow"]


@pytest.fixture(scope="module")
def scenes(once: Callable[..., Path]) -> Path:
    """Embedded scenes in the four conditions, which lie as ACDC does."""
    counts = {"adverse_train": 2, "adverse_val": 1}

    def draw(root: Path) -> None:
        toyworld.write(root / "scenes", CONDITIONS, counts=counts, size=(64, 128), workers=1)

    return once("acdc", draw) / "scenes"


@pytest.fixture(scope="session")
def flat(once: Callable[..., Path]) -> Path:
    """As many images that lie alike, of one color each, with road below and sky above."""
    label = np.repeat(np.uint8([[23], [7]]), 32, axis=0).repeat(128, axis=1)

    def write(root: Path) -> None:
        for condition in CONDITIONS:
            for split, count in (("train", 2), ("val", 1)):
                for number in range(count):
                    stem = f"{condition}/{split}/GOPR/GOPR_{number}"
                    write_image(root / "rgb_anon" / f"{stem}_rgb_anon.png", np.full((64, 128, 3), number, np.uint8))
                    write_image(root / "gt" / f"{stem}_gt_labelIds.png", label)

    return once("acdc-flat", write)


@pytest.mark.slow
def test_items_of_each_condition(scenes: Path) -> None:
    train_items, val_items = (
        acdc.items(str(scenes), "train", dataset_options()),
        acdc.items(str(scenes), "val", dataset_options()),
    )
    assert [item.condition for item in train_items] == [name for name in CONDITIONS for _ in range(2)]
    assert [item.condition for item in val_items] == CONDITIONS
    for item in train_items:
        assert item.label is not None and f"/gt/{item.condition}/train/" in item.label
        assert item.label.endswith("_gt_labelIds.png") and Path(item.label).is_file()
    # The same street is drawn in all conditions, so that stems alone would meet.
    assert len({item.name for item in train_items}) == 8 and train_items[0].name.startswith("fog__")
    assert len(acdc.items(str(scenes), "val", dataset_options(CONDITIONS=("night",)))) == 1


def test_stems_that_are_unlike_stay(tmp_path: Path, write_file: Callable[[Path, np.ndarray], None]) -> None:
    for condition, stem in (("fog", "GOPR0475_frame_000247"), ("snow", "GOPR0122_frame_000161")):
        place = tmp_path / "rgb_anon" / condition / "test" / stem[:8]
        write_file(place / f"{stem}_rgb_anon.png", np.zeros((32, 64, 3), np.uint8))
    items = acdc.items(str(tmp_path), "test", dataset_options(CONDITIONS=("fog", "snow")))
    assert [(item.name, item.label) for item in items] == [
        ("GOPR0475_frame_000247_rgb_anon", None),
        ("GOPR0122_frame_000161_rgb_anon", None),
    ]


def test_submissions_are_train_ids() -> None:
    assert (id_table(acdc.SPEC)[:19] == np.arange(19)).all() and id_table(datasets.spec("cityscapes"))[0] == 7


def test_what_can_be_wrong(flat: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown condition 'fig' of ACDC; did you mean 'fog'\?; known: fog, night"):
        acdc.items(str(flat), "train", dataset_options(CONDITIONS=("fig",)))
    with pytest.raises(UserError, match="looked for rgb_anon in"):
        acdc.items(str(tmp_path), "train", dataset_options())
    (tmp_path / "rgb_anon" / "fog" / "train" / "GOPR").mkdir(parents=True)
    with pytest.raises(UserError, match=r"ACDC: no images \*_rgb_anon\.png in .*fog/train"):
        acdc.items(str(tmp_path), "train", dataset_options(CONDITIONS=("fog",)))
    with pytest.raises(UserError, match=r"rgb_anon/night/train does not exist \(found there: fog/\); .*--conditions"):
        acdc.items(str(tmp_path), "train", dataset_options(CONDITIONS=("night",)))


def test_labels_have_classes(flat: Path) -> None:
    words = ["--dataset", "acdc", "--data_root", str(flat), "--arch", "basic.HRNet", "--num_workers", "0"]
    for batch in datasets.build_val(config.load([*words, "--conditions", "rain"]), DistributedContext()):
        (label,) = batch["label"]
        assert label is not None and set(np.unique(label)) <= {*range(19), 255} and (label < 19).mean() > 0.5
    with pytest.raises(UserError, match="--conditions is of --dataset acdc"):
        config.load(["--dataset", "cityscapes", "--conditions", "fog", "--arch", "basic.HRNet"])


@pytest.mark.slow
def test_a_run_tells_conditions_apart(
    scenes: Path, tmp_path: Path, tiny_words: Callable[[Path, Path], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*tiny_words(scenes, tmp_path), "--dataset", "acdc", "--max_epoch", "1", "--class_uniform_pct", "0"]
    assert train.main(words) == 0
    with (folder(words) / "conditions.csv").open() as file:
        table = list(csv.reader(file))
    assert table[0] == ["class", *CONDITIONS, "all"] and len(table) == 21 and table[-1][0] == "mean IoU"
    (row,) = rows(words, "val")
    assert float(table[-1][-1]) == pytest.approx(row["mean_iu"], abs=1e-6)
    assert [float(cell) for cell in table[-1][1:-1]] == pytest.approx(
        [row[f"mean_iu_{c}"] for c in CONDITIONS], abs=1e-6
    )
    with (folder(words) / "per_image.csv").open() as file:
        alone = {image["image"].split("__")[0]: float(image["mean_iou"]) for image in csv.DictReader(file)}
    assert alone == pytest.approx({name: row[f"mean_iu_{name}"] for name in CONDITIONS}, abs=1e-6)  # one image each
    printed = capsys.readouterr().out
    assert "IoU" in printed and "fog    night     rain     snow      all" in printed
    assert "IoU by condition" in (folder(words) / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--num_val", "4"], CONDITIONS),
        (["--num_val", "2"], ["fog", "night"]),
        (["--num_val", "3", "--conditions", "night,snow"], ["night", "snow"]),
        (["--num_val", "100"], CONDITIONS),
        (["--test_mode"], CONDITIONS),
    ],
)
def test_some_images_are_of_all_conditions(flat: Path, words: list[str], shown: list[str]) -> None:
    """Two images of each condition in training, one in validation."""
    cfg = config.load(["--dataset", "acdc", "--data_root", str(flat), "--arch", "basic.HRNet", *words])
    loaders = [datasets.build_val(cfg, DistributedContext(), mode) for mode in ("trn", "val")]
    found = [list(loader.dataset.conditions.values()) for loader in loaders]
    assert list(dict.fromkeys(found[0])) == list(dict.fromkeys(found[1])) == shown
    assert len(found[0]) == min(
        cfg.EVAL.NUM_IMAGES or 7, 2 * len(cfg.DATASET.CONDITIONS) if cfg.DATASET.CONDITIONS else 8
    )
