"""A network that was trained on a dataset's file is labeled with, exported and given to other programs, without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets_own import CLASSES, make, written

import inference
import train
from datasets.reading import read_label
from inference import export
from scripts import auto_label
from scripts import export as export_script

ROOT = Path(__file__).parents[1]
NETWORK = ("--arch", "resnet18dilated+c1", "--width_mult", "0.05")
SHORT = ("--crop_size", "32", "--bs_trn", "4", "--max_epoch", "1", "--class_uniform_pct", "0", "--num_workers", "0")


@pytest.fixture(scope="module")
def own(once: Callable[..., Path]) -> Path:
    """A folder with `pictures` and `run`, a training on a file that is no longer there, nor are its labels."""

    def trained(folder: Path) -> None:
        root = make(folder / "own", 8)
        file = written(root, f"images: images\nlabels: {{kind: gray, path: gray}}\n{CLASSES}cut: 64\n")
        words = ["--dataset", str(file), "--result_dir", str(folder / "run"), *NETWORK, *SHORT]
        assert train.main(words) == 0
        (root / "images").rename(folder / "pictures")
        root.rename(folder / "away")

    return once("own-used", trained)


def snapshot(own: Path) -> str:
    return str(next((own / "run").glob("best_checkpoint_ep*.pth")))


def test_torch_hub_gives_its_predictor(own: Path) -> None:
    predictor = torch.hub.load(str(ROOT), "predictor", snapshot(own), source="local")
    assert isinstance(predictor, inference.Predictor) and predictor.spec is not None
    assert predictor.spec.classes == ("road", "car") and [*map(tuple, predictor.spec.palette)] == [
        (10, 20, 30),
        (40, 50, 60),
    ]
    (found,) = predictor([np.zeros((24, 32, 3), np.uint8)])
    assert found.classes.shape == (24, 32) and int(found.classes.max()) < 2


def test_it_labels_pictures_with_the_values_of_its_file(own: Path, tmp_path: Path) -> None:
    words = ["--images", str(own / "pictures"), "--out", str(tmp_path / "out"), "--threshold", "0,car=0.1"]
    assert auto_label.main(["--snapshot", str(own / "run"), *words, "--num_workers", "0"]) == 0
    record = json.loads((tmp_path / "out/autolabels.json").read_text())
    assert (record["classes"], record["ids"]) == (["road", "car"], [1, 2])
    files = [path for path in (tmp_path / "out/train_extra").glob("*.png") if "_prob" not in path.name]
    values = {value for path in files for value in np.unique(read_label(str(path))).tolist()}
    assert len(files) == 8 and values and values <= {1, 2}


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("onnx"), reason="needs onnx")
def test_it_is_exported_with_its_classes(own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.pt2"
    words = ["--out", str(file), "--size", "64,96", "--images", "1", "--uint8"]
    assert export_script.main(["--snapshot", snapshot(own), *words]) == 0
    assert "2 classes" in capsys.readouterr().out
    told = json.loads(Path(f"{file}.json").read_text())
    assert told["classes"] == ["road", "car"] and told["palette"] == [[10, 20, 30], [40, 50, 60]]
    found = export.runner(file)(np.zeros((1, 64, 96, 3), np.uint8))[0]
    assert {*np.unique(found).tolist()} <= {0, 1}
