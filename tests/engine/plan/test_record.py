"""A plan is an options file that reads back to its choices, and figures that the report sets beside the run's."""

from __future__ import annotations

from pathlib import Path

import pytest

import config
from engine.plan import record
from engine.plan.rules import Choice
from utils.errors import UserError

CHOICES = [
    Choice("MODEL.ARCH", "timm:tf_efficientnet_lite0+ocr+hierarchical", "a trunk:\nsmall"),
    Choice("MODEL.OCR.MID_CHANNELS", 128, "small"),
    Choice("MODEL.N_SCALES", (0.5, 1.0), "large"),
    Choice("DATASET.CROP_SIZE", (256, 256), "crop"),
    Choice("OPTIM.LR", 1e-3, "rate"),
    Choice("TRAIN.FP16", True, "half"),
]
FIGURES = record.Figures(3725.0, 1.5)
SAID = {"DATASET.NAME": "camvid"}


def test_the_file_reads_back_and_flags_win(tmp_path: Path) -> None:
    path = record.write(tmp_path, CHOICES, FIGURES, SAID, "--dataset camvid\n--auto")
    cfg = config.load(["--cfg", str(path), "--dataset", "camvid", "--lr", "0.5"], dry=True)
    assert (cfg.MODEL.ARCH, cfg.MODEL.OCR.MID_CHANNELS, cfg.MODEL.N_SCALES) == (CHOICES[0].value, 128, (0.5, 1.0))
    assert (cfg.DATASET.CROP_SIZE, cfg.OPTIM.LR, cfg.TRAIN.FP16) == ((256, 256), 0.5, True)
    lines = path.read_text().splitlines()
    assert "for: --dataset camvid --auto" in lines[0] and "1:02:05" in lines[1] and "  # a trunk: small" in lines


def test_the_plan_of_the_same_options_is_found_again(tmp_path: Path) -> None:
    assert record.earlier(tmp_path, SAID, False) is None
    path = record.write(tmp_path, CHOICES, FIGURES, SAID, "")
    other = {"DATASET.NAME": "kitti"}
    assert record.earlier(tmp_path, SAID, False) == record.earlier(tmp_path, other, True) == path
    with pytest.raises(UserError, match=r"plan\.yaml is there, of other options: delete it"):
        record.earlier(tmp_path, other, False)


def test_a_file_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / record.OPTIONS_FILE).write_text("SEED: 1\n")
    with pytest.raises(UserError, match="delete it to plan anew"):
        record.earlier(tmp_path, SAID, True)


def test_the_report_sets_planned_beside_measured(tmp_path: Path) -> None:
    costs = [{"seconds": 1000.0, "peak_gib": 1.25, "epoch": 0}, {"seconds": 2000.0, "peak_gib": 1.75, "epoch": 1}]
    assert record.beside_measured(tmp_path, costs) == []
    record.write(tmp_path, CHOICES, FIGURES, SAID, "")
    assert record.beside_measured(tmp_path, []) == []
    assert [text for _, text in record.beside_measured(tmp_path, costs)] == ["1:02:05 / 0:50:00", "1.5 / 1.8 GiB"]


@pytest.mark.parametrize("text", ["no json", "[1]", '{"seconds": 1}', '{"seconds": "x", "peak_gib": 1}'])
def test_another_file_of_that_name_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / record.FIGURES_FILE).write_text(text)
    (tmp_path / record.OPTIONS_FILE).write_text("SEED: 1\n")
    with pytest.raises(UserError, match=r"plan\.json is no plan of --auto"):
        record.earlier(tmp_path, SAID, False)
