"""What a checkpoint says of its classes holds in every command: names, and the label values of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pictures import write_image

import config
import demo
import inference
import network
import train
from datasets import classfile, labelrecord
from engine import checkpoint, labeling
from inference import from_file
from utils.errors import UserError

pytestmark = pytest.mark.run

IDS = [[1, 2, 3], [0, 255, 7], [300, 65535, 2]]
NAMES = ["sky", "road", "car"]
Make = Callable[..., Path]


@pytest.fixture
def made(tiny_words: Callable[[Path, Path], list[str]], tmp_path: Path) -> Make:
    """A checkpoint of a list's three classes, weights random."""

    def make(ids: Sequence[int], names: Sequence[str] = NAMES, **more: Any) -> Path:
        words = ["--dataset", "list", "--num_class", "3", *tiny_words(tmp_path, tmp_path)[4:]]
        cfg = config.load(words)
        facts = {"class_names": list(names), "class_ids": list(ids), "config": config.flat(cfg), "arch": cfg.MODEL.ARCH}
        net = network.build(cfg)
        checkpoint.save({"net": net.state_dict(), "ema": None, "epoch": 0, **facts, **more}, tmp_path / "own.pth")
        return tmp_path / "own.pth"

    write_image(tmp_path / "images/a.png", np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    return make


def classes(folder: Path, ids: Sequence[int], names: Sequence[str] = NAMES) -> Path:
    """A class file."""
    (folder / "classes.yaml").write_text(json.dumps({"names": list(names), "ids": list(ids)}))
    return folder / "classes.yaml"


@pytest.mark.in_make_test("ids0-*", "ids1-names0")
@pytest.mark.parametrize("names", [NAMES, ["class 0", "class 1", "class 2"]])
@pytest.mark.parametrize("ids", [*IDS, []])
def test_label_values_are_those_of_the_file(made: Make, ids: list[int], names: list[str]) -> None:
    """Also where classes that are merely numbered have such names; files from before they were recorded have none."""
    words = ["--eval", "folder", "--eval_folder", ".", "--snapshot", str(made(ids, names))]
    spec = from_file.build(words).spec
    assert spec.classes == tuple(names) and spec.train_to_id == tuple(ids)
    right = dict(zip(ids or range(3), range(3), strict=True))
    assert spec.values() == {255: 255} | right


@pytest.mark.parametrize("colors", [[[1, 2, 3], [4, 5, 6], [7, 8, 9]], []])
def test_colors_are_those_of_the_file_though_the_dataset_is_gone(made: Make, tmp_path: Path, colors: list) -> None:
    """A dataset's file that a training was started with need not be where masks of new pictures are made."""
    path = made([1, 2, 3], class_colors=colors)
    content = checkpoint.load(path)
    content["config"]["DATASET.NAME"] = str(tmp_path / "streets.yaml")
    checkpoint.save(content, path)
    spec = from_file.build(["--eval", "folder", "--eval_folder", ".", "--snapshot", str(path)]).spec
    assert spec.name == "streets (as in own.pth)" and spec.classes == tuple(NAMES) and spec.train_to_id == (1, 2, 3)
    assert spec.palette == tuple(map(tuple, colors)) or (not colors and len({*spec.palette}) == 3)
    with pytest.raises(UserError, match="own.pth: --dataset: .*/streets.yaml is not there"):
        config.load(["--eval", "val", "--snapshot", str(path)], {"DATASET.NAME": str(tmp_path / "streets.yaml")})


@pytest.mark.parametrize("colors", [[[1, 2]], [[1, 2, 300]], "red"])
def test_colors_that_are_none(made: Make, colors: object) -> None:
    words = ["--eval", "folder", "--eval_folder", ".", "--snapshot", str(made([1, 2, 3], class_colors=colors))]
    with pytest.raises(UserError, match=r"its class_colors are no \[R, G, B\], one a class, but"):
        from_file.build(words)


def test_two_lines_of_another_program(made: Make, tmp_path: Path) -> None:
    predictor = inference.load(made([4, 5, 6]))
    (prediction,) = predictor([np.zeros((32, 48, 3), np.uint8)])
    assert prediction.classes.shape == (32, 48) and int(prediction.classes.max()) < 3
    assert predictor.spec is not None and predictor.spec.classes == tuple(NAMES)
    assert predictor.rule == inference.RULES["default"] and predictor.device.type == "cpu"
    assert inference.load(tmp_path / "own.pth", "cpu", "--do_flip").rule.flip
    with pytest.warns(UserWarning, match="a CPU computes --fp16 in bf16"):
        halved = inference.load(tmp_path / "own.pth", "cpu", "--eval_memory_gb", "0.5", "--fp16")
    assert halved.memory_bytes == 2**29


@pytest.mark.parametrize("ids", [["a", "b", "c"], [1, 1, 2], [-1, 0, 1], "123", 7])
def test_label_values_that_are_none_are_refused(made: Make, tmp_path: Path, ids: Any) -> None:
    made([4, 5, 6], class_ids=ids)
    with pytest.raises(UserError, match="checkpoint .*own.pth: its class_ids are no label values, one a class, but"):
        inference.load(tmp_path / "own.pth")


def test_no_checkpoint_at_all() -> None:
    with pytest.raises(UserError, match="no checkpoint is named"):
        inference.load("")


def test_the_folder_of_a_run_will_do(made: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    made(IDS[0]).rename(run / "best_checkpoint_ep3.pth")
    with pytest.warns(UserWarning, match=r"its best checkpoint is taken, best_checkpoint_ep3\.pth"):
        assert inference.load(run).spec.train_to_id == tuple(IDS[0])
    words = ["--demo-image", str(tmp_path / "images/a.png"), "--save-dir", str(tmp_path / "out")]
    assert demo.main([*words, "--snapshot", str(run)]) == 0
    assert capsys.readouterr().out.count("is the folder of a run: its best checkpoint is taken") == 1
    assert demo.main([*words, "--overwrite", "--snapshot", str(tmp_path)]) == 2
    assert f"{tmp_path}: there is a folder here" in (line := capsys.readouterr().err) and f"below it: {run}" in line


def test_a_network_that_its_file_does_not_fill_is_refused(made: Make, tmp_path: Path) -> None:
    state = checkpoint.load(made([4, 5, 6]))
    name = next(iter(state["net"]))
    del state["net"][name]
    checkpoint.save(state, tmp_path / "less.pth")
    line = "less.pth .* does not fill ocrnet.HRNet_Mscale with 3 classes: 1 entries are missing .*"
    line += f", {name} first; check --arch, --dataset and --classes"
    with pytest.raises(UserError, match=line):
        inference.load(tmp_path / "less.pth")


def test_a_class_file_wins(made: Make, tmp_path: Path) -> None:
    words = ["--eval", "folder", "--eval_folder", ".", "--snapshot", str(made([1, 2, 3]))]
    spec = from_file.build([*words, "--dataset", "list", "--classes", str(classes(tmp_path, [4, 5, 6]))]).spec
    assert spec.train_to_id == (4, 5, 6)


@pytest.mark.in_make_test("ids1")
@pytest.mark.parametrize("ids", IDS)
def test_masks_hold_them(made: Make, tmp_path: Path, ids: list[int]) -> None:
    words = ["--snapshot", str(made(ids)), "--demo-image", str(tmp_path / "images/a.png")]
    assert demo.main([*words, "--save-dir", str(tmp_path / "out")]) == 0
    mask = cv2.imread(str(tmp_path / "out/pred_mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None and {*np.unique(mask).tolist()} <= {*ids}


@pytest.mark.parametrize("odd", [{"epoch": "three"}, {"mean_iu": None}, {"mean_iu": "high"}])
def test_odd_facts_are_no_traceback(made: Make, odd: dict[str, Any]) -> None:
    words = ["--eval", "folder", "--eval_folder", ".", "--snapshot", str(made([1, 2, 3], **odd))]
    assert from_file.build(words).spec.train_to_id == (1, 2, 3)


@pytest.mark.in_make_test("names2")
@pytest.mark.parametrize("names", [["road", "sky", "car"], ["sky", "road", "truck"], ["sky ", "Road", "car"]])
def test_labels_of_a_folder_are_of_the_same_classes(
    made: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str]
) -> None:
    """Without labels names are the caller's own."""
    write_image(tmp_path / "labels/a.png", np.ones((32, 32), np.uint8))
    words = ["--eval", "folder", "--eval_folder", str(tmp_path / "images"), "--snapshot", str(made([1, 2, 3]))]
    words += ["--dataset", "list", "--classes", str(classes(tmp_path, [1, 2, 3], names)), "--num_workers", "0"]
    words += ["--result_dir", str(tmp_path / "r")]
    assert train.main([*words, "--eval_labels", str(tmp_path / "labels")]) == 2
    assert "was trained on other classes: " in (said := capsys.readouterr().err) and "--classes" in said
    assert train.main(words) == 0


@pytest.mark.parametrize("now", [[1, 2, 4], [3, 2, 1], [0, 1, 2]])
def test_pseudo_labels_of_other_values_are_not_mixed(tmp_path: Path, now: list[int]) -> None:
    labelrecord.write(tmp_path, classfile.read(str(classes(tmp_path, [1, 2, 3]))), {})
    labeling.check_out(tmp_path, classfile.read(str(classes(tmp_path, [1, 2, 3]))), {})
    with pytest.raises(UserError, match="has labels of other values .* was . in the labels, in list"):
        labeling.check_out(tmp_path, classfile.read(str(classes(tmp_path, now))), {})
