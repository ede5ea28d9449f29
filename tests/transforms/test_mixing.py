"""Mixtures of crops: where each pixel comes from, with its label; the same by the same generator."""

from __future__ import annotations

import random

import numpy as np
import pytest

from transforms.mixing import CopyPaste, CutMix, Mixture, Mosaic
from utils.contracts import Sample

IGNORE = 255
SIZE = (12, 16)


def sample(number: int, size: tuple[int, int] = SIZE, kind: type = np.uint8) -> Sample:
    """A crop whose pixels say where they are and whose they are, in image and label alike; its corner is ignored."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    image = np.stack([rows, columns, np.full(size, number)], axis=2).astype(kind)
    label = np.full(size, number, np.uint8)
    label[:2, :2] = IGNORE
    return Sample(image, label, f"n{number}", size)


def assert_labels_follow(mixed: Sample) -> None:
    """Each pixel has the label of the crop that it is of, at the place where it was there."""
    assert mixed.label is not None
    rows, columns, number = (mixed.image[..., i] for i in range(3))
    expected = np.where((rows < 2) & (columns < 2), IGNORE, number)
    np.testing.assert_array_equal(mixed.label, expected)


MIXTURES = [Mosaic(), CutMix(), CopyPaste((1, 2))]


@pytest.mark.parametrize("mix", MIXTURES, ids=lambda mix: type(mix).__name__)
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_image_and_label_move_together_and_crops_stay(mix: Mixture, kind: type) -> None:
    seen = set()
    for seed in range(40):
        first, others = sample(0, kind=kind), [sample(i + 1, kind=kind) for i in range(mix.others)]
        mixed = mix(first, others, random.Random(seed))
        assert (mixed.image.shape, mixed.image.dtype, mixed.name) == ((*SIZE, 3), kind, "n0")
        assert_labels_follow(mixed)
        again = mix(first, others, random.Random(seed))
        np.testing.assert_array_equal(mixed.image, again.image)
        for number, one in enumerate([first, *others]):
            np.testing.assert_array_equal(one.image, sample(number, kind=kind).image)
            np.testing.assert_array_equal(one.label, sample(number).label)
        seen |= {*np.unique(mixed.image[..., 2]).astype(int).tolist()}
    assert seen == {*range(mix.others + 1)}


def test_a_mosaic_has_four_quarters_that_meet_in_the_middle_half() -> None:
    for seed in range(40):
        mixed = Mosaic()(sample(0), [sample(i) for i in (1, 2, 3)], random.Random(seed))
        whose = mixed.image[..., 2]
        corners = [whose[0, 0], whose[0, -1], whose[-1, 0], whose[-1, -1]]
        assert sorted(corners) == [0, 1, 2, 3]
        rows, columns = (int((whose == whose[0, 0]).any(axis).sum()) for axis in (1, 0))
        assert 3 <= rows <= 9 and 4 <= columns <= 12
        for corner in corners:  # a window: neighbors there are neighbors here
            ys, xs = np.nonzero(whose == corner)
            part = mixed.image[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
            assert (np.diff(part[..., 0].astype(int), axis=0) == 1).all()
            assert (np.diff(part[..., 1].astype(int), axis=1) == 1).all()


def test_cutmix_replaces_one_rectangle_in_its_place() -> None:
    shares = []
    for seed in range(200):
        mixed = CutMix()(sample(0), [sample(1)], random.Random(seed))
        whose = mixed.image[..., 2]
        rows, columns = whose.any(1), whose.any(0)
        np.testing.assert_array_equal(whose.astype(bool), rows[:, None] & columns[None])
        np.testing.assert_array_equal(mixed.image[..., :2], sample(0).image[..., :2])  # nothing has moved
        shares.append(whose.mean())
    assert min(shares) < 0.02 and max(shares) > 0.6 and 0.2 < np.mean(shares) < 0.5


def test_one_pixel_wide_crops_can_be_mixed() -> None:
    for mix in MIXTURES:
        for seed in range(5):
            small = [sample(i, (1, 1)) for i in range(mix.others + 1)]
            assert mix(small[0], small[1:], random.Random(seed)).image.shape == (1, 1, 3)


def objects() -> Sample:
    """Two objects of class 3, one of class 2 that is too small, one of class 1 that nobody asks for."""
    found = sample(0, (20, 20))
    assert found.label is not None
    found.label[:] = 0
    for rows, columns, c in (
        ((0, 5), (0, 5), 3),
        ((10, 15), (10, 15), 3),
        ((0, 2), (10, 12), 2),
        ((10, 16), (0, 6), 1),
    ):
        found.label[slice(*rows), slice(*columns)] = c
    found.label[2, 2] = IGNORE  # within the first object
    found.image[..., 2] = 9
    return found


def test_objects_of_the_classes_are_pasted_whole_or_not() -> None:
    base, pasted = sample(7, (20, 20)), set()
    for seed in range(30):
        mixed = CopyPaste((2, 3))(base, [objects()], random.Random(seed))
        assert mixed.label is not None
        new = mixed.image[..., 2] == 9
        np.testing.assert_array_equal(new, mixed.label == 3)
        one, other = new[:5, :5].sum(), new[10:15, 10:15].sum()
        assert one in (0, 24) and other in (0, 25) and new.sum() == one + other > 0
        assert mixed.label[2, 2] == 7  # what is ignored there is no part of the object
        pasted.add((bool(one), bool(other)))
    assert pasted == {(True, False), (False, True), (True, True)}


def test_a_crop_without_such_objects_changes_nothing() -> None:
    base = sample(7, (20, 20))
    assert CopyPaste((2, 5))(base, [objects()], random.Random(0)) is base
