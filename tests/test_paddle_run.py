"""PaddleSeg's files through train.py: images in the Cityscapes layout evaluated, a run continued, a bomb refused."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden.fill import fill
from PIL import Image
from runs import folder, last
from shared import GOLDEN

import config
import network
import train
from scripts import export

ARCH = "ocrnet.HRNet_Mscale"
NAMES = json.loads((GOLDEN / "paddle" / "key_map.json").read_text())
NARROW = ("--width_mult", "--segattn_bot_ch")


def shape_words(words: list[str]) -> list[str]:
    """The words of a command line that fix the network's shape, and its data."""
    kept = ["--dataset", "toy", "--data_root", words[words.index("--data_root") + 1], "--num_workers", "0"]
    for i, word in enumerate(words):
        if word in NARROW:
            kept += words[i : i + 2]
    pairs = [words[i : i + 2] for i, word in enumerate(words) if word.startswith("MODEL.OCR")]
    return kept + [word for pair in pairs for word in pair]


@pytest.fixture
def net_words(tiny_run: list[str]) -> list[str]:
    return shape_words(tiny_run)


@pytest.fixture
def content(net_words: list[str]) -> dict[str, Any]:
    """What Paddle would save of that narrow network: names of the manifest, values of fill.py."""
    state = network.build(config.load(["--arch", ARCH, *net_words])).state_dict()
    arrays = {key: fill(key, state[name].shape) for key, name in NAMES.items() if name in state}
    table = {key: f"parameter_{i}.w_0" for i, key in enumerate(arrays)}
    return {**arrays, "StructuredToParameterName@@": table}


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_paddle_file_evaluates_a_folder(
    net_words: list[str], content: dict[str, Any], tmp_path: Path, protocol: int
) -> None:
    """--arch is read off the names. The pictures of predict.py are written, too."""
    file = tmp_path / "model.pdparams"
    file.write_bytes(pickle.dumps(content, protocol=protocol))
    words = ["--eval", "val", "--snapshot", str(file), *net_words, "--n_scales", "0.5,1,1.5", "--result_dir"]
    assert train.main([*words, str(tmp_path / "run"), "--aug_eval", "--flip_horizontal", "--dump_pseudo_color"]) == 0
    log = (tmp_path / "run" / "train.log").read_text()
    entries = len(content) - 1
    assert f"(paddle, {ARCH}, 19 classes): {entries} of {entries} entries of the network" in log
    assert "evaluated by the rule paddle" in log and "mean IoU" in log
    assert (tmp_path / "run" / "metrics.csv").exists() and (tmp_path / "run" / "report.html").exists()
    pictures = sorted((tmp_path / "run" / "pseudo_color_prediction").iterdir())
    assert len(pictures) == 4
    assert [p.name for p in pictures] == sorted(p.name for p in (tmp_path / "run" / "added_prediction").iterdir())
    with Image.open(pictures[0]) as picture:
        assert picture.mode == "P" and picture.size == (128, 64) and np.array(picture).max() < 19


def test_a_paddle_run_goes_on(net_words: list[str], tiny_run: list[str], content: dict[str, Any]) -> None:
    """`.pdparams` and `.pdopt` of 3 iterations, in epochs of 2: the second half of the second epoch is trained."""
    words = [word if word != "adamw" else "sgd" for word in tiny_run]
    file = folder(words).parent / "iter_3" / "model.pdparams"
    file.parent.mkdir()
    file.write_bytes(pickle.dumps(content, protocol=4))
    table = content["StructuredToParameterName@@"]
    moving = {f"{table[key]}_velocity_0": 0 * x for key, x in content.items() if isinstance(x, np.ndarray)}
    schedule = {"LR_Scheduler": {"last_epoch": 3, "last_lr": 0.004}}
    file.with_suffix(".pdopt").write_bytes(pickle.dumps(moving | schedule, protocol=4))
    assert train.main([*words, "--resume", str(file)]) == 0
    log = (folder(words) / "train.log").read_text()
    assert "3 iterations done there, in epochs of 2 batches epoch 0 and 1 batches of the next" in log
    assert "momentum of " in log and "starts anew" not in log
    done = last(words)
    assert (done["epoch"], done["iteration"], done["step"]) == (1, 0, 4)


@pytest.mark.parametrize(
    ("done", "words", "told"),
    [(3, ("--max_iters", "3"), "3 iterations done, of 3"), (9, ("--max_epoch", "2"), "9 iterations done, of 4")],
)
def test_a_paddle_run_that_is_through_is_told(
    net_words: list[str],
    tiny_run: list[str],
    content: dict[str, Any],
    done: int,
    words: tuple[str, ...],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = [word if word != "adamw" else "sgd" for word in tiny_run]
    file = folder(line).parent / "model.pdparams"
    file.write_bytes(pickle.dumps(content, protocol=4))
    table = content["StructuredToParameterName@@"]
    moving = {f"{table[key]}_velocity_0": 0 * x for key, x in content.items() if isinstance(x, np.ndarray)}
    file.with_suffix(".pdopt").write_bytes(pickle.dumps(moving | {"LR_Scheduler": {"last_epoch": done}}, protocol=4))
    assert train.main([*line, "--resume", str(file), *words, "--save_interval", "2"]) == 2
    assert f"{told} here: raise {words[0]}" in capsys.readouterr().err
    assert not list(folder(line).glob("*.pth"))


def test_nvidias_epochs_are_no_rounds(tiny_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "nvidia.pth"
    torch.save({"state_dict": {"module.x": torch.ones(1)}, "epoch": 3, "arch": ARCH}, file)
    assert train.main([*tiny_run, "--resume", str(file), "--max_iters", "4"]) == 2
    assert "counts in epochs: go on with --max_epoch, without --max_iters" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--snapshot", "--resume"])
@pytest.mark.parametrize("mode", [["--eval", "val"], []])
def test_a_poisoned_pickle_is_refused_in_one_line(
    net_words: list[str],
    content: dict[str, Any],
    tmp_path: Path,
    flag: str,
    mode: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "executed"),)

    file = tmp_path / "model.pdparams"
    file.write_bytes(pickle.dumps(content | {"scale_attn.extra": Bomb()}, protocol=4))
    words = [*mode, flag, str(file), "--arch", ARCH, *net_words, "--result_dir", str(tmp_path / "run")]
    assert train.main(words) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert line.startswith(f"error: checkpoint {file}: refused, since it asks for 'posix.mkdir'")
    assert not (tmp_path / "executed").exists()
    pickle.loads(file.read_bytes())  # the bomb is live: an unrestricted reader sets it off
    assert (tmp_path / "executed").exists()


def test_a_torn_file_is_one_line(
    net_words: list[str], content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "model.pdparams"
    data = pickle.dumps(content, protocol=4)
    file.write_bytes(data[: len(data) // 2])
    assert train.main(["--eval", "val", "--snapshot", str(file), *net_words, "--result_dir", str(tmp_path / "r")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert line.startswith(f"error: checkpoint {file}: not a readable checkpoint") and "truncated" in line


@pytest.mark.slow
def test_a_paddle_file_is_exported(net_words: list[str], content: dict[str, Any], tmp_path: Path) -> None:
    """Its network is read off the names, and its way to scale is in the file."""
    (tmp_path / "model.pdparams").write_bytes(pickle.dumps(content, protocol=4))
    line = ["--snapshot", str(tmp_path / "model.pdparams"), "--out", str(tmp_path / "out/model.pt2"), "--fixed"]
    assert export.main([*line, "--size", "67,97", "--output", "logits", "--n_scales", "0.5,1.0", *net_words]) == 0
    told = json.loads((tmp_path / "out/model.pt2.json").read_text())
    assert told["arch"] == ARCH and told["n_scales"] == "0.5,1.0" and told["size"] == [67, 97]
