"""Labels that do not lie over their images are told from those that do."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from data_faults import scene

from datasets.checking import fit


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [(72, 96), (240, 320)])
def test_what_was_drawn_over_the_image_fits(seed: int, size: tuple[int, int]) -> None:
    found = fit.fit(*scene(seed, *size), 255)
    assert found.what == "" and found.move is None and found.here > 0.15


@pytest.mark.parametrize(
    ("shift", "said", "move"),
    [
        ((0, 24), "24 pixels to the right", (-24, 0)),
        ((0, -30), "30 pixels to the left", (30, 0)),
        ((15, 0), "15 pixels down", (0, -15)),
        ((-20, 10), "10 pixels to the right and 20 pixels up", (-10, 20)),
    ],
)
def test_shifts_are_measured(shift: tuple[int, int], said: str, move: tuple[int, int]) -> None:
    """To a pixel of the small maps, which is 2.5 of the label here."""
    image, label = scene(3, 240, 320)
    found = fit.fit(image, np.roll(label, shift, (0, 1)), 255)
    assert found.what.startswith("lies about ") and found.move is not None
    assert np.abs(np.subtract(found.move, move)).max() <= 3
    assert [word for word in found.what.split() if not word.isdigit()] == [
        word for word in f"lies about {said} beside the image".split() if not word.isdigit()
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x[:, ::-1], "fits if it is mirrored"),
        (lambda x: x[::-1, ::-1], "fits if it is turned upside down"),
        (lambda x: x[::-1], "fits if it is mirrored at a horizontal line"),
        (lambda x: cv2.resize(x[24:216, 32:288], (320, 240), interpolation=0), "scaled by 0.8"),
    ],
)  # fmt: skip
def test_mirrored_turned_and_scaled_labels_are_told(change, said: str) -> None:
    image, label = scene(4, 240, 320)
    assert said in fit.fit(image, np.ascontiguousarray(change(label)), 255).what


@pytest.mark.parametrize("seed", range(5))
def test_where_nothing_can_be_told_nothing_is(seed: int) -> None:
    """Noise has edges everywhere, a flat image none; labels of one class have no borders, and tiny ones too few."""
    image, label = scene(seed)
    noise = np.random.default_rng(seed).integers(0, 256, image.shape, np.uint8)
    assert fit.fit(noise, label, 255).what == "" and fit.fit(np.zeros_like(image), label, 255).what == ""
    for one in (np.zeros_like(label), np.full_like(label, 255)):
        assert np.isnan(fit.fit(image, one, 255).here)
    assert np.isnan(fit.fit(image[:30, :30], label[:30, :30], 255).here)


def test_a_shift_of_all_is_told_though_no_single_one_would_be() -> None:
    """Faint images: each surface is mostly noise, their mean is not."""
    rng, surfaces, quiet = np.random.default_rng(0), [], 0
    for seed in range(24):
        image, label = scene(seed, 240, 320)
        grain = rng.normal(100, 20, (60, 80, 3)).repeat(4, 0).repeat(4, 1)
        found = fit.fit(np.clip(image * 0.2 + grain, 0, 255).astype(np.uint8), np.roll(label, 12, 1), 255)
        surfaces.append(found.surface)
        quiet += not found.what
    assert quiet > 6
    assert "to the right" in fit.of_all(np.mean(surfaces, 0), 2.5)
    assert fit.of_all(np.roll(np.mean(surfaces, 0), 5, 1), 2.5) == ""
