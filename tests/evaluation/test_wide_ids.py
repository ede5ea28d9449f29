"""Label ids of 0 to 65535 in what is written: eight bits where they are enough, sixteen where not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from compat.sdcnet.sinks import Folders
from datasets.reading import label_lut, read_label, remap_labels
from evaluation.sinks import EvalItem, LabelMaps, PseudoLabels, Submission
from evaluation.sinks.pseudolabels import ignored_id
from utils.contracts import DatasetSpec, Prediction, id_table
from utils.errors import UserError

CLASSES = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
COLORS = ((128, 64, 128), (0, 0, 142), (0, 80, 100))


def spec_of(ids: tuple[int, ...], ignored: tuple[int, ...] = ()) -> DatasetSpec:
    """Three classes of these ids."""
    values = {**dict.fromkeys(ignored, 255), **{value: train for train, value in enumerate(ids)}}
    return DatasetSpec("own", ("a", "b", "c"), COLORS, id_to_train=values, train_to_id=ids)


def item(confidence: float = 1.0) -> EvalItem:
    prediction = Prediction(torch.from_numpy(CLASSES), torch.full(CLASSES.shape, confidence))
    return EvalItem("x", np.zeros((2, 3, 3), np.uint8), None, prediction)


@pytest.mark.parametrize(
    ("ids", "kind"), [((0, 255, 7), np.uint8), ((7, 300, 65535), np.uint16), ((256, 0, 1), np.uint16)]
)
def test_every_writer_writes_the_ids(tmp_path: Path, ids: tuple[int, ...], kind: type) -> None:
    spec = spec_of(ids, (9,))
    sinks = (Submission(tmp_path, spec, 1), Folders(tmp_path, spec), LabelMaps(tmp_path / "maps", spec),
             PseudoLabels(tmp_path / "auto", spec))  # fmt: skip
    for sink in sinks:
        sink.add(item())
    lines = [sink.results() for sink in sinks]
    assert ("of 16 bits, without colors" in str(lines[2])) == (kind is np.uint16)
    with zipfile.ZipFile(tmp_path / "submit.zip") as archive:
        packed = cv2.imdecode(np.frombuffer(archive.read("x.png"), np.uint8), cv2.IMREAD_UNCHANGED)
    files = ("submit/x.png", "pred/x.png", "maps/x.png", "auto/train_extra/x.png")
    for label in (packed, *(read_label(str(tmp_path / file)) for file in files)):
        assert label is not None and label.dtype == kind and (label == np.array(ids)[CLASSES]).all()
        assert (remap_labels(label, label_lut(spec), "x.png", spec) == CLASSES).all()
    assert id_table(spec).dtype == kind


@pytest.mark.parametrize(
    ("ids", "ignored", "value"),
    [
        ((1, 2, 3), (0, 255), 255),
        ((0, 255, 7), (9, 4), 9),
        ((0, 255, 7), (1000,), 1000),
        ((300, 7, 1), (255, 1000), 255),
    ],
)
def test_what_pseudo_labels_leave_out_is_read_as_ignored(
    tmp_path: Path, ids: tuple[int, ...], ignored: tuple[int, ...], value: int
) -> None:
    spec = spec_of(ids, ignored)
    sink = PseudoLabels(tmp_path, spec, [0.9] * 3)
    sink.add(item(confidence=0.5))
    label = read_label(str(tmp_path / "train_extra/x.png"))
    assert ignored_id(spec) == value and (label == value).all()
    assert (remap_labels(label, label_lut(spec), "x.png", spec) == 255).all()


@pytest.mark.parametrize(("ids", "free"), [((0, 255, 7), 254), ((254, 255, 253), 252), ((255, 300, 254), 253)])
def test_pseudo_labels_without_a_value_to_ignore_are_refused(tmp_path: Path, ids: tuple[int, ...], free: int) -> None:
    with pytest.raises(UserError, match=rf"each of own is a class: .* file of --classes \(ignore: \[{free}\]\)"):
        PseudoLabels(tmp_path, spec_of(ids))
