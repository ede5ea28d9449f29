"""Mapillary Vistas through the driver: training, validation, users' mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import train
from engine.checkpoint import load
from engine.log import RunLog


@pytest.fixture
def words(tiny_run: list[str]) -> Callable[..., list[str]]:
    """`words(root, ...)`: a training of one epoch on Mapillary images."""

    def make(root: Path, *more: str) -> list[str]:
        here = [*tiny_run, "--dataset", "mapillary", "--data_root", str(root), "--max_epoch", "1", "--bs_trn", "3"]
        return [*here, "--pre_size", "64", "--crop_size", "32", *more]

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    ("release", "more", "classes"),
    [("v1.2", (), 65), ("v2.0", ("--map_crop_val",), 123), ("both", ("--bs_val", "2"), 65)],
)
def test_training_and_evaluation(
    words: Callable[..., list[str]],
    make_mapillary: Callable[..., Path],
    tmp_path: Path,
    release: str,
    more: tuple[str, ...],
    classes: int,
) -> None:
    root = make_mapillary(tmp_path / "maps", release, classes=classes)
    assert train.main(words(root, *more)) == 0
    best = next((tmp_path / "run").glob("best_checkpoint_ep*.pth"))
    state = load(best)
    assert state["num_classes"] == classes and state["class_names"][1] == "Class 1"
    again = ["--eval", "val", "--snapshot", str(best), "--data_root", str(root), "--result_dir", str(tmp_path / "eval")]
    assert train.main([*again, "--pre_size", "64", "--num_workers", "0", *more]) == 0
    scores = [
        RunLog(folder, main=False).history("val")[-1]["mean_iu"] for folder in (tmp_path / "run", tmp_path / "eval")
    ]
    assert scores[0] == scores[1]


def complain(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The error line of a command line that has to fail."""
    capsys.readouterr()
    assert train.main(argv) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    return line


def test_without_the_config_file(
    words: Callable[..., list[str]],
    make_mapillary: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = make_mapillary(tmp_path / "maps")
    (root / "config.json").unlink()
    line = complain(words(root), capsys)
    assert "config.json" in line and str(root) in line and "--data_root" in line
    assert "/nowhere" in complain(words(Path("/nowhere")), capsys)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_class_index_outside_the_config(
    words: Callable[..., list[str]],
    make_mapillary: Callable[..., Path],
    tmp_path: Path,
    workers: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = make_mapillary(tmp_path / "maps") / "training/labels/training_001.png"
    label = np.zeros((75, 50), np.uint8)
    label[:2, :3] = 70
    cv2.imwrite(str(path), label)
    line = complain(words(tmp_path / "maps", "--num_workers", workers), capsys)
    assert str(path) in line and "70 (6 pixels)" in line


@pytest.mark.parametrize(
    "flags",
    [
        ["--coarse_boost_classes", "1"],
        ["--only_coarse"],
        ["--custom_coarse_prob", "0.5"],
        ["--mask_out_cityscapes"],
    ],
    ids=lambda flags: flags[0],
)
def test_it_has_no_coarse_images(
    words: Callable[..., list[str]],
    make_mapillary: Callable[..., Path],
    tmp_path: Path,
    flags: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = complain(words(make_mapillary(tmp_path / "maps"), *flags), capsys)
    assert flags[0] in line and "mapillary" in line and "cityscapes and toy" in line
