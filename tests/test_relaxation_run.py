"""DeepLabV3+ of label relaxation through train.py: a published file predicts, and its flags train."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from runs import folder, last, rows
from shared import GOLDEN

import config
import network
import train

ARCH = "deepv3.DeepWV3Plus"
NARROW = ["--width_mult", "0.05", "--segattn_bot_ch", "8", "--aspp_bot_ch", "8", "--num_workers", "0"]
KEYS = list(json.loads((GOLDEN / "sdcnet" / "DeepWV3Plus.json").read_text()))


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A narrow network in the layout of cityscapes_best.pth."""
    torch.manual_seed(0)
    net = network.build(config.load(["--arch", ARCH, "--dataset", "toy", *NARROW]))
    state = {f"module.{name}": x for name, x in net.state_dict().items()}
    command = f"--dataset cityscapes --cv 2 --arch network.{ARCH} --snapshot ./pretrained_models/a.pth --apex"
    content = {"state_dict": state, "optimizer": {}, "epoch": 174, "mean_iu": np.float64(0.83), "command": command}
    torch.save(content, tmp_path / "cityscapes_best.pth")
    return tmp_path / "cityscapes_best.pth"


@pytest.fixture
def partial(published: Path) -> Path:
    """The same without one entry, and with one of 7 classes."""
    content = torch.load(published, weights_only=False)
    content["state_dict"]["module.final.6.weight"] = torch.zeros(7, 8, 1, 1)
    del content["state_dict"]["module.mod1.conv1.weight"]
    torch.save(content, published.with_name("partial.pth"))
    return published.with_name("partial.pth")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with one picture of 50x71."""
    (tmp_path / "pictures").mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (50, 71, 3), dtype=np.uint8)
    assert cv2.imwrite(str(tmp_path / "pictures" / "a.png"), picture)
    return tmp_path / "pictures"


@pytest.mark.parametrize("words", [[], ["--arch", f"network.{ARCH}"]], ids=["from the file", "given"])
def test_a_published_file_predicts_a_folder(published: Path, pictures: Path, tmp_path: Path, words: list[str]) -> None:
    run = ["--eval", "folder", "--eval_folder", str(pictures), "--snapshot", str(published), "--dump_assets"]
    assert train.main([*run, *words, "--dataset", "toy", *NARROW, "--result_dir", str(tmp_path / "run")]) == 0
    log = (tmp_path / "run" / "train.log").read_text()
    assert f"(nvidia, {ARCH}): {len(KEYS)} of {len(KEYS)} entries of the network" in log
    found = [cv2.imread(str(path)) for path in (tmp_path / "run").rglob("*a*.png")]
    assert found and all(image.shape[:2] == (50, 71) for image in found)


def test_a_partial_file_does_not_predict(
    partial: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["--eval", "folder", "--eval_folder", str(pictures), "--snapshot", str(partial), "--dataset", "toy"]
    assert train.main([*run, *NARROW, "--result_dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "2 entries are missing or of another shape, final.6.weight first" in error and error.count("\n") == 1


@pytest.mark.slow
def test_training_by_the_published_flags(tiny_scenes: Path, partial: Path, tmp_path: Path) -> None:
    """From a file of which all is taken but what differs. After epoch 1 the learning rate starts anew, and relaxation
    ends; the state has the published names.
    """
    words = ["--dataset", "toy", "--data_root", str(tiny_scenes), "--arch", f"network.{ARCH}", "--snapshot"]
    words += [str(partial), *NARROW, "--lr", "0.001", "--lr_schedule", "scl-poly", "--poly_exp", "1.0"]
    words += ["--repoly", "1.5", "--rescale", "1.0", "--syncbn", "--crop_size", "64", "--class_uniform_tile", "32"]
    words += ["--jointwtborder", "--strict_bdr_cls", "5,6,7,11,12,17,18", "--rlx_off_epoch", "1", "--wt_bound", "1.0"]
    words += ["--max_epoch", "3", "--bs_trn", "4", "--apex", "--class_uniform_pct", "0.5"]
    words += ["DATASET.CENTROID_ROOT", str(tmp_path / "centroids"), "TRAIN.LOG_EVERY", "1"]
    words += ["--result_dir", str(tmp_path / "run")]
    assert train.main(words) == 0
    words = ["--result_dir", str(tmp_path / "run")]
    log = (tmp_path / "run" / "train.log").read_text()
    assert f"(nvidia, {ARCH}): {len(KEYS) - 2} of {len(KEYS)} entries of the network" in log
    assert "final.6.weight (file 7x8x1x1, network 19x8x1x1)" in log
    assert "1 missing in the file, left as they start: mod1.conv1.weight" in log
    state = last(words)
    assert list(state["net"]) == KEYS and state["arch"] == ARCH
    assert state["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0.001 * 0.5**1.5)
    losses = [row["loss"] for row in rows(words, "train")]
    assert len(losses) == 3 and np.isfinite(losses).all()
    # The file of that run alone evaluates again, whatever was given then.
    best = next(folder(words).glob("best_checkpoint_ep*.pth"))
    again = ["--eval", "val", "--snapshot", str(best), "--data_root", str(tiny_scenes), "--num_workers", "0"]
    assert train.main([*again, "--result_dir", str(tmp_path / "again")]) == 0
    scores = rows(["--result_dir", str(tmp_path / "again")], "val")
    assert scores[-1]["mean_iu"] == max(row["mean_iu"] for row in rows(words, "val"))


def test_another_networks_file_is_not_resumed(
    published: Path, tiny_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dataset", "toy", "--data_root", str(tiny_scenes), "--arch", "deepv3.DeepR50V3PlusD_m1", *NARROW]
    words += ["--resume", str(published), "--result_dir", str(tmp_path / "run")]
    assert train.main([*words, "--crop_size", "64", "--class_uniform_pct", "0"]) == 2
    told = capsys.readouterr()
    assert f"is of {ARCH}, not of --arch deepv3.DeepR50V3PlusD_m1" in told.out + told.err
