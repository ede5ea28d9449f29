"""What a checkpoint tells of its network, bugs of the published code among it; what an evaluation does otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import config
import inference
import network
from engine import checkpoint, eval_mismatch
from inference import from_file
from network.weights import metadata
from utils.errors import UserError

NARROW = ["--arch", "offset.HRNet", "--hrnet_width", "4", "--width_mult", "0.1"]
for stage, branches in {"STAGE1": 1, "STAGE2": 2, "STAGE3": 3, "STAGE4": 4, "STAGE4_2": 4}.items():
    NARROW += [f"MODEL.OCR_EXTRA.{stage}.NUM_MODULES", "1", f"MODEL.OCR_EXTRA.{stage}.NUM_BLOCKS", str([1] * branches)]


def save(path: Path, *words: str, **changes: Any) -> Path:
    """A checkpoint of ours as a training with these words saves it, but for the weights; `changes` of its options."""
    cfg = config.load([*NARROW, *words])
    facts = {
        "arch": cfg.MODEL.ARCH,
        "config": config.flat(cfg) | changes,
        "class_names": [],
        "command": "",
        "ema": None,
    }
    checkpoint.save({"net": {"last_layer.3.bias": torch.ones(19)}, "epoch": 0, **facts}, path)
    return path


def evaluated(path: Path, *words: str) -> Any:
    """The options of an evaluation of the file, as train.py has them."""
    line = ["--eval", "val", "--snapshot", str(path), *words]
    return config.load(line, metadata.of_start(path, config.load(line).MODEL.ARCH))


def aligned(net: network.Net) -> bool:
    """Whether the network reads its offsets with corners aligned."""
    return net.sampling.align_corners


@pytest.mark.parametrize(
    ("trained_with", "line", "bugs"),
    [
        ("", (), ()),
        ("grid_false", (), ("grid_false",)),
        ("img_wt,grid_false", (), ("grid_false",)),  # of losses: not the network's
        ("grid_false", ("--published", "softmax_sum"), ("grid_false", "softmax_sum")),
        ("grid_false", ("--published", "grid_false"), ("grid_false",)),
        ("img_wt,confidence_ignored", (), ()),
    ],
)
def test_bugs_of_the_network_are_restored(tmp_path: Path, trained_with: str, line: tuple, bugs: tuple) -> None:
    path = save(tmp_path / "x.pth", *(["--published", trained_with] if trained_with else []))
    cfg = evaluated(path, *line)
    assert cfg.PUBLISHED == bugs and config.flat(cfg)["PUBLISHED"] == ",".join(bugs)
    assert aligned(network.build(cfg)) == ("grid_false" not in bugs)
    net = from_file.build(["--eval", "folder", "--eval_folder", ".", "--snapshot", str(path), *line]).net
    assert aligned(net) == ("grid_false" not in bugs)


def test_a_record_of_any_form(tmp_path: Path) -> None:
    """Text with commas, or a tuple."""
    for names in ("grid_false, img_wt", ("img_wt", "grid_false"), ["grid_false"]):
        assert metadata.of_file(save(tmp_path / "x.pth", PUBLISHED=names))["PUBLISHED"] == "grid_false"
    assert "PUBLISHED" not in metadata.of_file(save(tmp_path / "x.pth", PUBLISHED=""))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"MODEL.HRNET_WIDTH": "wide"}, "x.pth: MODEL.HRNET_WIDTH takes int, not 'wide'"),
        ({"DATASET.NAME": "gone"}, "checkpoint .*x.pth: unknown --dataset 'gone'"),
    ],
)
def test_what_a_file_says_wrongly_is_said_of_it(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = save(tmp_path / "x.pth", **changes)
    with pytest.raises(UserError, match=message):
        evaluated(path)
    with pytest.raises(UserError, match="^unknown --dataset 'away'"):
        evaluated(save(tmp_path / "y.pth"), "--dataset", "away")


def test_a_wrong_flag_is_not_said_of_the_file(tmp_path: Path) -> None:
    """The file tells the dataset, and the command line has a flag of another one."""
    path = save(tmp_path / "x.pth")
    with pytest.raises(UserError, match="^--conditions is of --dataset acdc"):
        config.load(["--eval", "val", "--snapshot", str(path), "--conditions", "fog"], metadata.of_file(path))


@pytest.mark.parametrize("odd", [["a"], "text", ("MODEL.ARCH", "x")])
def test_options_that_are_none_are_refused(tmp_path: Path, odd: object) -> None:
    content = {"net": {"last_layer.3.bias": torch.ones(19)}, "config": odd, "class_names": [], "epoch": 0, "ema": None}
    checkpoint.save(content, tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"checkpoint .*x\.pth: its config is no keys and values, but (list|str|tuple)"):
        evaluated(tmp_path / "x.pth")


DIFFERENT = [  # words of the training, of the evaluation, what is said
    (("--published", "grid_false"), NARROW, "PUBLISHED 'grid_false', evaluated with ''"),
    ((), [*NARROW, "--published", "grid_false"], "PUBLISHED '', evaluated with 'grid_false'"),
    (("--align_corners",), NARROW, "MODEL.ALIGN_CORNERS True, evaluated with False"),
    (("MODEL.OFFSET_THRESHOLD", "0.2"), NARROW, "MODEL.OFFSET_THRESHOLD 0.2, evaluated with -1.0"),
    (("MODEL.LOGITS", "false"), NARROW, "MODEL.LOGITS False, evaluated with True"),
    (("DATASET.MEAN", "[0.5, 0.5, 0.5]"), NARROW, "DATASET.MEAN [0.5, 0.5, 0.5], evaluated with [0.485"),
    (("--eval_rule", "hrnet"), [], "validated by the rule hrnet, not nvidia: --eval_rule hrnet"),
    (("--snapshot", "start.pdparams"), [], "validated by the rule paddle, not nvidia: --eval_rule paddle"),
    (("--imgSize", "300", "400"), ["--imgSize", ""], "trained with --imgSize 300,400, evaluated without"),
]


@pytest.mark.parametrize(("before", "now", "said"), DIFFERENT)
def test_what_an_evaluation_does_otherwise_is_said(tmp_path: Path, before: tuple, now: list[str], said: str) -> None:
    path = save(tmp_path / "x.pth", *before)
    cfg = evaluated(path, *now)
    (line,) = eval_mismatch.of(path, config.flat(cfg), inference.rule_name(cfg))
    assert said in line


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ((), []),
        ((), NARROW),
        (("--published", "grid_false", "--align_corners"), []),
        (("--eval_rule", "hrnet"), ["--eval_rule", "hrnet"]),
        (("--eval_rule", "hrnet"), ["--eval_rule", "nvidia"]),  # as the line says
        (("--eval_rule", "hrnet"), ["--inference_mode", "sliding"]),
        (("--published", "img_wt"), NARROW),
        ((), ["--published", "softmax_sum", "--do_flip"]),
    ],
)
def test_what_agrees_is_not(tmp_path: Path, before: tuple, now: list[str]) -> None:
    path = save(tmp_path / "x.pth", *before)
    cfg = evaluated(path, *now)
    assert eval_mismatch.of(path, config.flat(cfg), inference.rule_name(cfg)) == []


def test_files_of_others_that_tell_are_compared(tmp_path: Path) -> None:
    """HRNet with OCR aligns corners there; a line that names the network does not say so by itself."""
    words = ["--arch", "ocrnet.HRNet", "--hrnet_width", "4", "--width_mult", "0.1"]
    names = ("conv3x3_ocr.0.weight", "stage4.0.branches.0.0.conv1.weight", "cls_head.bias")
    torch.save({f"model.{name}": torch.ones(19) for name in names}, tmp_path / "best.pth")
    cfg = evaluated(tmp_path / "best.pth", *words)
    (line,) = eval_mismatch.of(tmp_path / "best.pth", config.flat(cfg), inference.rule_name(cfg))
    assert line.startswith("trained with MODEL.ALIGN_CORNERS True, evaluated with False")
    cfg = evaluated(tmp_path / "best.pth", *words, "--align_corners")
    assert eval_mismatch.of(tmp_path / "best.pth", config.flat(cfg), inference.rule_name(cfg)) == []
