"""What labels hold, counted by hand, and what class-uniform sampling makes of it beside what it really draws."""

from __future__ import annotations

import random

import numpy as np
import pytest

from datasets import centroids
from datasets.checking.tally import Tally, draws, holds, light_of
from datasets.samplers import draw_epoch


def test_a_label_by_hand() -> None:
    label = np.array([[0, 0, 1, 1], [0, 0, 255, 1], [2, 255, 255, 1], [255, 2, 255, 0]], np.uint8)
    found = holds(label, 4, 2)
    assert found.pixels.tolist() == [5, 4, 2, 0, 5]
    # Class 0: 4 pixels and 1; class 1: 4, one object; class 2: 2 that touch at a corner.
    assert found.objects[:, :3].tolist() == [[1, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert found.tiles.tolist() == [0.5, 0.5, 0.25, 0]
    assert found.together.tolist() == [[2, 1, 0, 0], [1, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_tiles_cover_a_label_of_any_size() -> None:
    label = np.zeros((5, 7), np.uint8)
    label[4, 6] = 1
    assert holds(label, 2, 4).tiles.tolist() == [1, 0.25]  # of 2 x 2 that overlap
    assert holds(label, 2, 100).tiles.tolist() == [1, 0.5]  # two squares of the short side


def test_sums_of_a_split() -> None:
    rng, tally = np.random.default_rng(0), Tally(2)
    images = [rng.integers(0, 256, (8, 6, 3), np.uint8), rng.integers(0, 90, (4, 10, 3), np.uint8)]
    for image in images:
        tally.add_image((image.shape[0], image.shape[1]), light_of(image))
        tally.add_label(holds(np.zeros(image.shape[:2], np.uint8), 2, 8))
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]) / 255
    mean, deviation = tally.mean_and_deviation()
    assert np.allclose(mean, pixels.mean(0)) and np.allclose(deviation, pixels.std(0))
    assert tally.absent == [1] and tally.ignored == 0 and tally.sizes == {(8, 6): 1, (4, 10): 1}
    assert np.isnan(tally.object_sides()[1]).all()
    assert tally.object_sides()[0].tolist() == pytest.approx([6.7, 6.7, 6.7], abs=0.1)  # 40 and 48 pixels: 4 to 8


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_sampling_is_foretold(share: float) -> None:
    """An epoch of the real sampler shows each class as often as is said, where a crop is a tile."""
    rng, tile, classes = np.random.default_rng(0), 16, 5
    labels = []
    for _ in range(200):
        label = rng.choice(3, (2, 2), p=[0.6, 0.3, 0.1])
        label[0, 0] = 3 if rng.random() < 0.05 else label[0, 0]  # class 3 is rare, class 4 nowhere
        labels.append(label.astype(np.uint8).repeat(tile, 0).repeat(tile, 1))
    tally = Tally(classes)
    for label in labels:
        tally.add_label(holds(label, classes, tile))
    table = centroids.build(lambda i: labels[i], range(200), classes, tile, workers=1)
    shown, total, drawn_for = np.zeros(classes), 0, draws(tally, 200, share)
    for epoch in range(60):
        for index, center, *_ in draw_epoch(range(200), table, classes, share, random.Random(epoch)):
            x, y = center or (int(rng.integers(0, 2 * tile)), int(rng.integers(0, 2 * tile)))
            shown[labels[index][y, x]] += 1
            total += 1
    assert np.allclose(shown / total, [one.drawn for one in drawn_for], atol=0.02)
    assert [one.crops for one in drawn_for] == [int(200 * share / classes)] * 4 + [0]
    assert drawn_for[3].drawn > 3 * drawn_for[3].without > 0
