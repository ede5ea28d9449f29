"""Evaluation as eval.py of the sdcnet branch does it, through train.py, on small scenes with a narrow network."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import config
import datasets
import network
import train
from network.head.aspp import ASPP, FixedPool, fix_pooling
from utils.errors import UserError

SHAPE = ["--arch", "deepv3.DeepV3PlusR50", "--width_mult", "0.1", "--segattn_bot_ch", "8", "--aspp_bot_ch", "8"]
KINDS = {"rgb": "_color.png", "pred": ".png", "compose": "_compose.png", "diff": "_diff.png"}


@pytest.fixture(scope="module")
def words(tiny_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What every evaluation here has: small scenes, and a file of the published kind."""
    file = tmp_path_factory.mktemp("weights") / "cityscapes_best.pth"
    torch.manual_seed(0)
    state = network.build(config.load(SHAPE)).state_dict()
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, file)
    folder = ["--dataset", "toy", "--dataset_dir", str(tiny_scenes), "--num_workers", "0"]
    return [*SHAPE, *folder, "--cv_split", "0", "--snapshot", str(file)]


def images_of(folder: Path) -> list[str]:
    with open(folder / "per_image.csv", newline="") as stream:
        return [row[0] for row in csv.reader(stream)][1:]


def test_sliding_writes_scores_and_folders(words: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    more = ["--inference_mode", "sliding", "--scales", "1.0", "--crop_size", "48", "--dump_images"]
    assert train.main(["--eval", "val", *more, *words, "--result_dir", str(run)]) == 0
    log = (run / "train.log").read_text()
    assert "evaluated by the rule sdcnet" in log and "mean IoU" in log and "4 images in rgb, pred, compose" in log
    assert {"IoU", "precision", "recall", "TP", "FP", "FN"} <= set(log.split())
    names = images_of(run)
    assert len(names) == 4 and all(name.endswith("_leftImg8bit") for name in names)
    for folder, end in KINDS.items():
        assert {path.name for path in (run / folder).iterdir()} == {name + end for name in names}
        with Image.open(next((run / folder).iterdir())) as picture:
            assert picture.size == (128, 64)
    (one, *_) = names
    ids = np.array(Image.open(run / "pred" / f"{one}.png"))
    table = np.array(datasets.spec("toy").train_to_id)
    assert np.array_equal(ids, table[np.array(Image.open(run / "rgb" / f"{one}_color.png"))])


@pytest.mark.parametrize(
    ("mode", "rule"), [("sliding", "sdcnet"), ("pooling", "sdcnet_pooling"), ("whole", "sdcnet_whole")]
)
def test_every_mode_on_a_folder_of_images(words: list[str], tmp_path: Path, mode: str, rule: str) -> None:
    """Of any size, without labels: no score, no diff."""
    pictures, run = tmp_path / "pictures", tmp_path / "run"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for name, size in {"wide": (40, 150), "high": (90, 50), "small": (20, 24)}.items():
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(pictures / f"{name}.png")
    more = ["-im", mode, "--eval_folder", str(pictures), "--dump_images", "--fixed_aspp_pool"]
    more += ["EVAL.WINDOW", "64"] if mode == "sliding" else []
    assert train.main(["--eval", "folder", *more, *words, "--result_dir", str(run)]) == 0
    log = (run / "train.log").read_text()
    assert f"evaluated by the rule {rule}" in log and "mean IoU" not in log
    assert not (run / "diff").exists()
    with Image.open(run / "pred" / "high.png") as picture:
        assert picture.size == (50, 90) and picture.mode == "L"


def test_parts_of_a_list_make_the_whole(words: list[str], tmp_path: Path) -> None:
    """Every n-th image; together each once, with the same result as in one go."""
    found: dict[str, list[str]] = {}
    for name, part in {"all": [], "0": ["--split_index", "0"], "1": ["--split_index", "1"]}.items():
        count = ["--split_count", "2"] if part else []
        more = ["-im", "whole", "--single_scale", "--no_flip", *part, *count]
        assert train.main(["--eval", "val", *more, *words, "--result_dir", str(tmp_path / name)]) == 0
        found[name] = (tmp_path / name / "per_image.csv").read_text().splitlines()[1:]
    assert len(found["0"]) == len(found["1"]) == 2
    assert sorted(found["0"] + found["1"]) == sorted(found["all"])


def test_the_test_split(words: list[str], tiny_scenes: Path, tmp_path: Path) -> None:
    """Images without labels: ids for the server, no score."""
    city, run = tmp_path / "data" / "leftImg8bit" / "test" / "berlin", tmp_path / "run"
    city.mkdir(parents=True)
    pictures = sorted((tiny_scenes / "leftImg8bit" / "val").rglob("*.png"))[:2]
    for number, picture in enumerate(pictures):
        (city / f"berlin_00000{number}_000019_leftImg8bit.png").symlink_to(picture)
    more = ["--dataset", "cityscapes", "--dataset_dir", str(tmp_path / "data"), "-im", "whole", "--single_scale"]
    assert train.main(["--eval", "test", *words, *more, "--dump_images", "--result_dir", str(run)]) == 0
    assert len(list((run / "pred").iterdir())) == 2 and not (run / "diff").exists()
    log = (run / "train.log").read_text()
    assert "mean IoU" not in log and "2 images in rgb, pred and compose of" in log


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            ["--split_count", "9", "--split_index", "8"],
            "--split_index 8 of --split_count 9: 4 images leave none for it",
        ),
        (["--scales", "1.0"], "--scales is of --inference_mode, which is not used here: leave it out"),
        (["-im", "slide"], "takes one of"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], tmp_path: Path, more: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--eval", "val", *words, "--result_dir", str(tmp_path / "run"), *more]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ") and expected in line


def test_fixed_pooling_replaces_the_image_mean() -> None:
    net = ASPP(4, 8)
    fix_pooling(net)
    pool = net.img_pooling
    assert isinstance(pool, FixedPool) and pool.side == 105
    x = torch.randn(1, 4, 128, 256)
    torch.testing.assert_close(
        pool(x), torch.stack([x[..., :105, i : i + 105].mean((2, 3)) for i in (0, 105)], -1)[..., None, :]
    )
    torch.testing.assert_close(pool(x[..., :64, :64]), x[..., :64, :64].mean((2, 3), keepdim=True))
    assert net.eval()(x).shape == (1, 40, 128, 256)
    with pytest.raises(UserError, match="--fixed_aspp_pool"):
        fix_pooling(torch.nn.Conv2d(3, 3, 1))
