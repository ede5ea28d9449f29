"""Names that are no UTF-8, and names with anything that a file system allows, wherever names are written."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from engine.log import RunLog
from evaluation.report import ReportData, write_page
from evaluation.sinks import EvalItem, Images, PerImage, Submission, Worst
from evaluation.sinks.base import Row
from evaluation.sinks.coverage import Coverage
from media.video import VideoSink, VideoSource
from slurm import script
from utils.contracts import DatasetSpec, Prediction
from utils.distributed import DistributedContext
from utils.names import fitting, shown, utf8_path, valid

SPEC = DatasetSpec("two", ("a", "b"), ((0, 0, 0), (9, 9, 9)))
LATIN1 = os.fsdecode(b"caf\xe9")
NAMES = [
    LATIN1,
    'a "quoted", one',
    "two\nlines\tand a tab",
    "<b>&amp;#?%20",
    os.fsdecode(b"\x83\x65\x83"),
    "\r",
    "日本",
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [(LATIN1, "caf\ufffd"), ("a\nb\t", "a\\nb\\t"), ("日本 é", "日本 é"), ("\ud800x", "?x"), ("", "")],
)
def test_shown(name: str, expected: str) -> None:
    assert shown(name) == expected
    valid(name).encode()


def item(name: str) -> EvalItem:
    label = np.array([[0, 1], [1, 1]], np.uint8)
    prediction = Prediction(torch.zeros(2, 2, dtype=torch.uint8), torch.ones(2, 2))
    return EvalItem(name, np.zeros((2, 2, 3), np.uint8), label, prediction, np.array([[1, 0], [3, 0]]))


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_names_a_picture(tmp_path: Path, name: str) -> None:
    sinks = [
        PerImage(tmp_path / "per_image.csv", SPEC), Worst(tmp_path / "topn", SPEC, 1), Submission(tmp_path, SPEC, 1),
        Images(tmp_path / "images", SPEC, 1),
    ]  # fmt: skip
    for sink in sinks:
        sink.add(item(name))
        sink.results(DistributedContext())
    for file in (tmp_path / "per_image.csv", tmp_path / "topn/index.csv"):
        rows = list(csv.reader(io.StringIO(file.read_bytes().decode(), newline="")))
        assert len(rows) >= 2 and shown(name) in rows[1], rows
    with zipfile.ZipFile(tmp_path / "submit.zip") as archive:
        assert archive.namelist() == [f"{valid(name)}.png"]
    assert (tmp_path / "submit" / f"{name}.png").is_file() and (tmp_path / "images" / f"{name}_input.png").is_file()
    write_page(tmp_path, ReportData(name, name, "", SPEC.classes, SPEC.palette, rows=[Row(name, None, None, {})]))
    assert (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["x" * 246, "é" * 125, os.fsdecode(b"\xe9" * 250)], ids=["x", "e", "bytes"])
def test_a_name_that_is_too_long_with_what_is_put_behind_it(tmp_path: Path, name: str) -> None:
    """Another one that differs in its middle alone has files of its own; the log says how many are called otherwise."""
    names = [name, f"{name[:90]}y{name[91:]}", "short"]
    sinks = [Images(tmp_path / "images", SPEC, 3, True), Worst(tmp_path / "topn", SPEC, 3)]
    for sink in sinks:
        for one in names:
            sink.add(item(one))
    for folder, count in (("images", 18), ("topn", 12)):
        files = {file.name for file in (tmp_path / folder).glob("*.*g")}
        assert len(files) == count and sum(file.endswith("_prediction.png") for file in files) == 3
    lines = [sink.results(DistributedContext()).lines for sink in sinks]
    assert lines[0] == [f"3 images, 2 of them under a shortened name, in {tmp_path / 'images'}"]
    assert fitting("y" * 250) == "y" * 250


@pytest.mark.parametrize("name", NAMES)
def test_the_record_of_coverage_keeps_every_name(tmp_path: Path, name: str) -> None:
    Coverage(tmp_path, SPEC.classes, DistributedContext()).add(name, np.array([1, 2]), np.array([0, 1]))
    again = Coverage(tmp_path, SPEC.classes, DistributedContext())
    assert list(again.rows) == [name]
    assert again.close([name])[1].predicted == 2


def test_log_tensorboard_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = RunLog(tmp_path / LATIN1)
    log.line(f"left out: {LATIN1}")
    log.note(LATIN1)
    log.start({"eval_folder": LATIN1})
    log.picture(f"{LATIN1}/image", cv2.imencode(".png", np.zeros((2, 2, 3), np.uint8))[1].tobytes(), 0)
    log.close()
    assert "left out: caf\ufffd" in capsys.readouterr().out
    assert (tmp_path / LATIN1 / "train.log").read_text(encoding="utf-8").count("caf\ufffd") == 2
    assert json.loads((tmp_path / LATIN1 / "hparams.json").read_text())["eval_folder"] == LATIN1


def test_a_batch_script_has_the_name_itself(tmp_path: Path) -> None:
    job = script.Job("x", tmp_path / LATIN1, f"python train.py --eval_folder {LATIN1}")
    assert b"caf\xe9" in script.write(job, script.Cluster()).read_bytes()


def test_videos_whose_names_are_no_utf8(tmp_path: Path) -> None:
    (tmp_path / LATIN1).mkdir()
    sink = VideoSink(tmp_path / LATIN1 / "overlap", 5)
    for _ in range(3):
        sink.add(np.full((16, 16, 3), 90, np.uint8))
    sink.close()
    assert sink.path is not None and sink.path.is_file()
    named = sink.path.rename(tmp_path / f"{LATIN1}{sink.path.suffix}")
    source = VideoSource(str(named))
    assert len(list(source)) == 3
    source.close()


def test_a_link_lasts_as_long_as_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / f"{LATIN1}.txt"
    path.write_text("x")
    with utf8_path(path) as named:
        assert named.read_text() == "x" and named.suffix == ".txt" and str(named).isascii()
    assert not named.exists()
    with utf8_path(tmp_path) as named:
        assert named == tmp_path
