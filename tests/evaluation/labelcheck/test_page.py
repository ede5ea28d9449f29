"""The page of the worst areas: what stands on it, that it needs nothing else, and that names are escaped."""

from __future__ import annotations

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from label_areas import area

from evaluation.labelcheck.areas import CLASS
from evaluation.labelcheck.page import (
    LEAST_SIDE,
    LONG_EDGE,
    PageData,
    Shown,
    cut_around,
    difference_map,
    framed,
    pictures,
    render,
)
from utils.contracts import DatasetSpec

SPEC = DatasetSpec("drawn", ("road", "car <b>"), ((128, 64, 128), (0, 0, 142)))
SIZE = (200, 300)


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, label and prediction: the label lacks a car, and ignores the rows at the bottom."""
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    label, classes = np.zeros((2, *SIZE), np.uint8)
    classes[50:80, 100:140], classes[10:14, 10:14] = 1, 1
    label[190:] = 255
    return image, label, classes


AREA = area(image="a <script>", kind=CLASS, box=(100, 50, 40, 30), pixels=1200)


def page(**changes: object) -> str:
    panels = pictures(AREA, *scene(), SPEC)
    data = PageData(
        "Labels", "python x.py --out 'a <b>'", "2026-01-01 00:00", SPEC, [Shown(AREA, 9.5, panels)],
        [("a <script>", 3, 20.25)], [("images", "7")], ["<i>a note</i>"], {"torch": "2"},
    )  # fmt: skip
    return render(replace(data, **changes))  # type: ignore[arg-type]


def test_what_the_page_says() -> None:
    text = page()
    for want in ("1. labeled road, looks like car &lt;b&gt;", "an object with another class", "score 9.50",
                 "1200 pixels, 40x30 at 100, 50", "20.2", "&lt;i&gt;a note", "prefers-color-scheme: dark"):  # fmt: skip
        assert want in text, want
    assert text.count("<figure>") == 5 and "where they differ" in text


def test_names_are_escaped_and_nothing_is_loaded() -> None:
    text = page()
    assert "<script" not in text and "car <b>" not in text and "a &lt;script&gt;" in text
    assert set(re.findall(r'(?:src|href)="([^":,]*)', text)) == {"data"}
    assert not re.search(r"https?://", text)


def test_a_page_without_areas() -> None:
    text = page(rows=(), images=())
    assert "No area is suspicious" in text and "<figure>" not in text


def test_pictures_show_the_surroundings() -> None:
    found = pictures(AREA, *scene(), SPEC)
    assert list(found) == ["whole image", "image", "label", "prediction", "where they differ"]
    decoded = {name: np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), 1)) for name, data in found.items()}
    assert max(decoded["whole image"].shape) == SIZE[1] and max(decoded["label"].shape) == LONG_EDGE
    assert len({decoded[name].shape for name in list(found)[1:]}) == 1
    blue = (decoded["prediction"] == (142, 0, 0)).all(2)
    assert 0.1 < blue.mean() < 0.5 and not (decoded["label"] == (142, 0, 0)).all(2).any()
    red = (decoded["where they differ"] == (64, 64, 255)).all(2)
    assert (red == blue).mean() > 0.99


def test_other_differences_are_told_apart() -> None:
    image, label, classes = scene()
    mask = np.zeros(SIZE, bool)
    mask[50:80, 100:140] = True
    drawn = difference_map(image, label, classes, mask, SPEC)
    assert drawn[60, 120].tolist() == [255, 64, 64] and drawn[11, 11].tolist() == [255, 165, 64]
    assert drawn[195, 5].tolist() == [0, 0, 0] and len(set(drawn[100, 100].tolist())) == 1


@pytest.mark.parametrize("box", [(0, 0, 4, 4), (296, 196, 4, 4), (0, 0, 300, 200), (150, 100, 60, 20)])
def test_cuts_lie_inside_and_cover_the_area(box: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = cut_around(box, SIZE)
    assert 0 <= top <= box[1] and box[1] + box[3] <= bottom <= SIZE[0]
    assert 0 <= left <= box[0] and box[0] + box[2] <= right <= SIZE[1]
    assert bottom - top >= LEAST_SIDE and right - left >= LEAST_SIDE
    assert framed(scene()[0], box).shape == (*SIZE, 3)
