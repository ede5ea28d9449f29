"""Outlines become pixels by the centers of these."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.own.raster import area, paint
from datasets.own.shapes import Mask, Shape, ellipse, rectangle, turned


def painted(*rings: object, size: tuple[int, int] = (8, 10), holes: tuple = (), closed: bool = False) -> np.ndarray:
    label = np.zeros(size, np.uint8)
    arrays = [tuple(np.array(ring, float) for ring in some) for some in (rings, holes)]
    paint(label, Shape("x", rings=arrays[0], holes=arrays[1], closed=closed), 1)
    return label


def by_centers(ring: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The even-odd rule said once more, pixel by pixel."""
    found = np.zeros(size, np.uint8)
    for row, column in np.ndindex(*size):
        x, y, odd = column + 0.5, row + 0.5, False
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, 0), strict=True):
            if (y0 <= y) != (y1 <= y) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
                odd = not odd
        found[row, column] = odd
    return found


def test_a_pixel_belongs_where_its_center_does() -> None:
    assert (painted(rectangle(1, 2, 4, 5)) == np.pad(np.ones((3, 3)), ((2, 3), (1, 6)))).all()
    assert (painted(rectangle(1.4, 2.4, 4.4, 5.4)) == painted(rectangle(1, 2, 4, 5))).all()
    assert (painted(rectangle(1.6, 2.6, 4.6, 5.6)) == painted(rectangle(2, 3, 5, 6))).all()
    # A center on the left and upper side is inside, on the right and lower one it is not.
    assert (painted(rectangle(1.5, 2.5, 4.5, 5.5)) == painted(rectangle(1, 2, 4, 5))).all()


@pytest.mark.parametrize("seed", range(6))
def test_any_outline_follows_the_rule(seed: int) -> None:
    ring = np.random.default_rng(seed).uniform(-5, 30, (7, 2))  # crosses itself, and the border of the image
    assert (painted(ring, size=(20, 25)) == by_centers(ring, (20, 25))).all()


def test_neighbors_share_no_pixel_and_leave_none() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 40, (12, 2))
    points[:4] = [[0, 0], [40, 0], [40, 40], [0, 40]]
    middle = np.array([17.3, 21.9])
    sides = [(points[i], points[(i + 1) % 4]) for i in range(4)]
    covered = sum(painted([a, b, middle], size=(40, 40)).astype(int) for a, b in sides)
    assert (covered == 1).all()


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_pycocotools_but_at_the_border(seed: int) -> None:
    """pycocotools rounds corners to a fifth of a pixel: pixels differ only where the center is that near to an edge."""
    coco = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 24))
    ring = np.stack([80 + np.cos(angles) * rng.uniform(20, 70, 24), 60 + np.sin(angles) * rng.uniform(15, 50, 24)], 1)
    theirs = coco.decode(coco.merge(coco.frPyObjects([ring.ravel().tolist()], 120, 160)))
    ours = painted(ring, size=(120, 160))
    differ = np.argwhere(ours != theirs)[:, ::-1] + 0.5
    one, other = ring, np.roll(ring, -1, 0)
    along = np.clip(((differ[:, None] - one) * (other - one)).sum(2) / ((other - one) ** 2).sum(1), 0, 1)
    gap = np.linalg.norm(one + along[..., None] * (other - one) - differ[:, None], axis=2).min(1)
    assert ours.sum() > 2000 and len(differ) < 0.01 * ours.sum()
    assert not len(gap) or gap.max() < 0.4


def test_closed_outlines_hold_the_pixels_that_they_name() -> None:
    """As image libraries draw them, but for pixels that an edge only touches."""
    from PIL import Image, ImageDraw

    ring = np.array([[2, 1], [9, 1], [9, 6], [5, 6], [2, 3]], float)
    image = Image.new("L", (12, 9))
    ImageDraw.Draw(image).polygon([tuple(point) for point in ring.tolist()], fill=1)
    ours = painted(ring + 0.5, size=(9, 12), closed=True)
    assert (ours == np.array(image)).all()
    assert painted(ring + 0.5, size=(9, 12)).sum() < ours.sum()


def test_holes_are_left_out_and_rings_are_united() -> None:
    ring, hole = rectangle(0, 0, 8, 8), rectangle(2, 2, 4, 4)
    assert painted(ring, holes=(hole,)).sum() == 64 - 4
    assert painted(rectangle(0, 0, 4, 4), rectangle(2, 2, 6, 6)).sum() == 16 + 16 - 4
    both = Shape("x", rings=(np.array(ring, float),), holes=(np.array(hole, float),))
    assert area(both) == 60


def test_holes_show_what_lies_below() -> None:
    label = np.full((8, 8), 7, np.uint8)
    paint(label, Shape("x", rings=(np.array(rectangle(0, 0, 8, 8.0)),), holes=(np.array(rectangle(2, 2, 4, 4.0)),)), 1)
    assert (label == 7).sum() == 4


def test_what_is_outside_is_cut() -> None:
    assert painted(rectangle(-100, -100, 3, 2)).sum() == 6
    assert painted(rectangle(8, 6, 1e6, 1e6)).sum() == 4
    assert painted(rectangle(20, 20, 30, 30)).sum() == painted(rectangle(-9, -9, -1, -1)).sum() == 0
    wide = painted([[-1e6, 4], [1e6, 4], [1e6, 5], [-1e6, 5]])
    assert wide[4].all() and wide.sum() == 10


def test_tall_boxes_are_worked_on_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = np.random.default_rng(3).uniform(0, 60, (9, 2))
    whole = painted(ring, size=(60, 60))
    monkeypatch.setattr("datasets.own.raster._AT_ONCE", 200)
    assert (painted(ring, size=(60, 60)) == whole).all()
    monkeypatch.setattr("datasets.own.raster._AT_ONCE", 7)
    assert (painted(ring, size=(60, 60)) == whole).all()


@pytest.mark.parametrize(("left", "top", "count"), [(1, 1, 6), (-1, 0, 4), (9, 7, 1), (20, 0, 0), (-5, -5, 0)])
def test_masks_are_cut_at_the_border(left: int, top: int, count: int) -> None:
    label = np.zeros((8, 10), np.uint8)
    paint(label, Shape("x", mask=Mask(left, top, (2, 3), lambda: np.ones((2, 3), bool))), 1)
    assert label.sum() == count


def test_ellipses_are_as_large_as_they_say() -> None:
    ring = ellipse(50, 40, 30, 20)
    assert abs(painted(ring, size=(80, 100)).sum() - np.pi * 600) < 12
    rows, columns = np.mgrid[:80, :100] + 0.5
    exact = ((columns - 50) / 30) ** 2 + ((rows - 40) / 20) ** 2 < 1
    assert (painted(ring, size=(80, 100)) != exact).sum() < 4


def test_turned_goes_clockwise() -> None:
    assert np.allclose(turned([[1, 0]], 90, (0, 0)), [[0, 1]])  # y points down
    assert np.allclose(turned(rectangle(0, 0, 4, 2), 90), [[3, -1], [3, 3], [1, 3], [1, -1]])
