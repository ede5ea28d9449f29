"""The search for wrong labels around its finder: what is set against what, notes, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import write_image

from datasets.base import Item, SegmentationDataset
from datasets.loaders import EvalLoader
from datasets.rawpixels import Piece
from engine.label_errors import check_out, compared, on_the_page, place_of, results, seen, unlabeled, usual_confidence
from evaluation.labelcheck.finder import Found
from evaluation.labelcheck.score import Usual
from inference import Predictor
from utils.contracts import DatasetSpec, Prediction
from utils.errors import UserError

SPEC = DatasetSpec("drawn", ("road", "car"), ((128, 64, 128), (0, 0, 142)))


def test_a_label_against_a_prediction() -> None:
    label = np.array([[0, 1, 255, 7]], np.uint8)
    scores = torch.tensor([[[2.0, 2.0, 0.0, 0.0]], [[0.0, 0.0, 1.0, 1.0]]])
    prob, classes = scores.softmax(0).max(0)
    one = compared(label, Prediction(classes.to(torch.uint8), prob, scores), "logits", SPEC)
    assert one.classes.tolist() == [[0, 0, 1, 1]] and one.valid.tolist() == [[True, True, False, False]]
    np.testing.assert_allclose(one.p_labeled[0, :2], scores.softmax(0)[[0, 1], 0, [0, 1]], rtol=1e-5)


class Red(torch.nn.Module):
    """A car wherever the image is red."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(x[:, :1]), x[:, :1] * 3], 1)


def test_images_without_a_label_are_left_out(tmp_path: Path) -> None:
    for name in "ab":
        write_image(tmp_path / f"{name}.png", np.zeros((12, 16, 3), np.uint8))
    write_image(tmp_path / "label.png", np.zeros((12, 16), np.uint8))
    items = [
        Item(str(tmp_path / "a.png"), str(tmp_path / "label.png"), "a", True),
        Item(str(tmp_path / "b.png"), None, "b"),
    ]
    loader = EvalLoader(SegmentationDataset(items, SPEC))
    (one,) = seen(loader, Predictor(Red(), memory_bytes=1 << 30), shown=False)
    assert one.name == "a" and one.factor == 1.0 and one.prediction.scores is not None
    assert unlabeled(items) == "1 image without a label is left out" and unlabeled(items[:1]) == ""
    with pytest.raises(UserError, match=r"no image of the split has a label, the first: .*b\.png"):
        unlabeled(items[1:])


def test_earlier_results_stay(tmp_path: Path) -> None:
    check_out(tmp_path, overwrite=False)
    (tmp_path / results()[1]).touch()
    check_out(tmp_path, overwrite=True)
    with pytest.raises(UserError, match=r"label_errors\.csv is there already: give another --out, or --overwrite"):
        check_out(tmp_path, overwrite=False)


def test_a_class_without_labels_has_no_confidence() -> None:
    usual = Usual(np.array([4.0, 0.0]), np.array([[4, 1], [0, 0]]))
    assert usual_confidence(Found([], [], usual, 1, 0), SPEC) == {"road": 0.8, "car": None}


def test_pieces_of_huge_images_lie_in_their_file() -> None:
    item = Item("a.png", "b.png", "a")
    assert place_of(item) == ("a.png", 0, 0)
    piece = Piece("a.npy", "b.npy", (200, 300), (400, 600), (1000, 2000))
    assert place_of(item._replace(piece=piece)) == ("a.png", 400, 200)


def test_a_page_without_areas_says_why() -> None:
    assert on_the_page(7, 0.5) == "the worst 7 in pictures"
    assert on_the_page(0, 1.0) == "no area has 1 of its image, as --least asks"
    assert on_the_page(0, 0.0) == "labels and predictions agree"
