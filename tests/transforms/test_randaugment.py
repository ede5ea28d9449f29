"""RandAugment: every operation by eye, and labels that move with their pixels."""

import random

import numpy as np
import pytest

from transforms.randaugment import COLOR, GEOMETRIC, RandAugment, auto_contrast, posterize, solarize, warp
from utils.contracts import Sample


def make_sample() -> Sample:
    """The image says the label: class c has the gray 10 * c + 30."""
    label = np.random.default_rng(0).integers(0, 19, (6, 8)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    return Sample(np.repeat((label * 10 + 30)[..., None], 3, -1), label, "", (96, 128))


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", sorted(GEOMETRIC))
def test_labels_move_with_the_image(name: str, sign: int) -> None:
    before = make_sample()
    after = RandAugment(1, 15, fill=(1, 2, 3)).apply(before, name, sign)
    assert after.label is not None and before.label is not None
    known = after.label != 255
    assert 0.5 < known.mean() < 1 and (after.label != before.label).mean() > 0.15
    assert (np.abs(after.image[..., 0].astype(int) - (after.label.astype(int) * 10 + 30)) < 6)[known].mean() > 0.85
    outside = after.image[~known].astype(int)
    assert (outside == (1, 2, 3)).all(-1).mean() > 0.85  # but for the edge, which bilinear sampling blends


@pytest.mark.parametrize("name", sorted(COLOR))
def test_colors_leave_the_label(name: str) -> None:
    before = make_sample()
    after = RandAugment(1, 20).apply(before, name, 1)
    assert after.label is before.label and after.image.dtype == np.uint8 and after.image.shape == before.image.shape


def test_by_eye() -> None:
    row = np.repeat(np.array([[50, 100, 150]], np.uint8)[..., None], 3, -1)
    assert auto_contrast(row)[0, :, 0].tolist() == [0, 127, 255]
    assert posterize(row, 1.0)[0, :, 0].tolist() == [48, 96, 144]
    assert solarize(row, 0.5)[0, :, 0].tolist() == [50, 100, 105]
    assert (auto_contrast(np.full((2, 2, 3), 9, np.uint8)) == 9).all()


def test_shift_by_eye() -> None:
    label = np.arange(24, dtype=np.uint8).reshape(4, 6)
    before = Sample(np.repeat(label[..., None], 3, -1), label, "", (4, 6))
    moved = warp(before, np.array([[1, 0, 2], [0, 1, -1.0]]), (7, 7, 7), 255)
    assert moved.label is not None
    assert moved.label.tolist() == [
        [255, 255, 6, 7, 8, 9],
        [255, 255, 12, 13, 14, 15],
        [255, 255, 18, 19, 20, 21],
        [255] * 6,
    ]
    assert moved.image[0, 2, 0] == 6 and (moved.image[3] == 7).all()


def test_draws_repeat_and_reach_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (RandAugment(2, 9)(make_sample(), random.Random(3)) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    names: list[str] = []

    def note(self: RandAugment, sample: Sample, name: str, sign: int) -> Sample:
        names.append(name)
        return sample

    monkeypatch.setattr(RandAugment, "apply", note)
    for seed in range(200):
        RandAugment(2, 9)(make_sample(), random.Random(seed))
    assert len(names) == 400 and set(names) == {*COLOR, *GEOMETRIC}
