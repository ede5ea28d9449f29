"""Where a label and a prediction disagree, as areas of one image, and what the probabilities say of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from evaluation.objects import connected

# An object counts as contradicted as a whole, or as missing in the label, from this share of its pixels on.
WHOLE = 0.6
# Pixels not farther than this from where label and prediction agree are no evidence: edges are always unsure.
EDGE = 2.0
LEAST_PROBABILITY = 1e-4  # below that a network's probabilities are no longer comparable
CLASS, MISSING, PART = KINDS = ("class", "missing", "part")
Box = tuple[int, int, int, int]


@dataclass(slots=True)
class Compared:
    """One image: `label` and `classes` (H, W) uint8, and of each pixel the probability of its labeled class and of the
    predicted one, (H, W) float32. What the label ignores is not `valid`.
    """

    label: np.ndarray
    classes: np.ndarray
    p_labeled: np.ndarray
    p_predicted: np.ndarray
    valid: np.ndarray


@dataclass(slots=True)
class Area:
    """A part of an image where label and prediction disagree.

    `box`: left, top, width, height, in pixels of the label as it was compared; `factor`: pixels of the file for each of
    these. `kind`: CLASS, a labeled object is of another class as a whole; MISSING, the network sees an object that the
    label lacks; PART, anything else, such as a border that lies elsewhere. `pixels` of the area, `inner` those away
    from its edge. Over these the means of the logarithms of the probabilities of the labeled and of the predicted
    class. `cover`: the area's share of the predicted objects that it lies in.
    """

    image: str
    box: Box
    factor: float
    kind: str
    labeled: int
    predicted: int
    pixels: int
    inner: int
    log_labeled: float
    log_predicted: float
    cover: float

    @property
    def file_box(self) -> Box:
        """The box in pixels of the image's file."""
        left, top, width, height = (round(side * self.factor) for side in self.box)
        return left, top, width, height

    @property
    def probabilities(self) -> tuple[float, float]:
        """Geometric means of the probabilities of the labeled and of the predicted class."""
        return float(np.exp(self.log_labeled)), float(np.exp(self.log_predicted))


class Division(NamedTuple):
    """Differing pixels divided among areas: `wrong` (H, W) bool, those that belong to one; of each of them, in their
    order, the number of its area, its distance from where label and prediction agree, and the size of the predicted
    object that it lies in; of each area its place in KINDS.
    """

    wrong: np.ndarray
    area: np.ndarray
    depth: np.ndarray
    predicted_size: np.ndarray
    kinds: np.ndarray


def divide(label: np.ndarray, classes: np.ndarray, valid: np.ndarray) -> Division:
    """Divide where label and prediction, (H, W) each, differ.

    First labeled objects, then predicted ones, of which WHOLE or more differs; the rest by connected pairs of classes.
    What is nothing but edge is left out: most of the differing pixels of a good network.
    """
    wrong = valid & (classes != label)
    depth = cv2.distanceTransform(wrong.view(np.uint8), cv2.DIST_C, 3)
    inner = depth > EDGE
    owner, kinds, size_of = np.full(wrong.shape, -1, np.int32), [], np.zeros(wrong.shape)
    for kind, values in enumerate((label, classes)):
        objects, sizes = connected(np.where(valid, values, np.int16(-1)), np.unique(values[inner]))
        size_of = np.append(sizes, np.inf)[objects]  # the last is of what has no number, -1
        free = wrong & (owner < 0) & (objects >= 0)
        share = np.bincount(objects[free], minlength=len(sizes)) / sizes
        taken = free & (share >= WHOLE)[objects] if len(sizes) else free
        names, new = np.unique(objects[taken], return_inverse=True)
        owner[taken] = new + len(kinds)
        kinds += [kind] * len(names)
    free = wrong & (owner < 0)
    pairs = np.where(free, label.astype(np.int32) << 8 | classes, np.int32(-1))
    parts, sizes = connected(pairs, np.unique(pairs[free & inner]))
    owner[parts >= 0] = parts[parts >= 0] + len(kinds)
    kept = owner >= 0
    every = np.array(kinds + [KINDS.index(PART)] * len(sizes), np.int64)
    return Division(kept, owner[kept], depth[kept], size_of[kept], every)


def measure(one: Compared, image: str, factor: float = 1.0) -> list[Area]:
    """Find the areas of an image that have pixels away from their edge."""
    division = divide(one.label, one.classes, one.valid)
    wrong, at, count = division.wrong, division.area, len(division.kinds)
    if not count:
        return []
    within = division.depth > EDGE
    inner = np.bincount(at[within], minlength=count)
    logs = [np.log(np.maximum(p[wrong], LEAST_PROBABILITY))[within] for p in (one.p_labeled, one.p_predicted)]
    labeled, predicted = (np.bincount(at[within], log, count) / np.maximum(inner, 1) for log in logs)
    cover = np.minimum(np.bincount(at, 1 / division.predicted_size, count), 1.0)
    pixels = np.bincount(at, minlength=count)
    boxes, pairs = boxes_of(wrong, at), commonest(at, one.label[wrong], one.classes[wrong])
    return [
        Area(image, boxes[n], factor, KINDS[division.kinds[n]], *pairs[n], int(pixels[n]), int(inner[n]),
             float(labeled[n]), float(predicted[n]), float(cover[n]))
        for n in np.flatnonzero(inner)
    ]  # fmt: skip


def boxes_of(wrong: np.ndarray, at: np.ndarray) -> list[Box]:
    """Give left, top, width, height of each area; `at`: the number of the area of each pixel of `wrong` (H, W)."""
    order = np.argsort(at, kind="stable")
    starts = np.flatnonzero(np.diff(at[order], prepend=-1))
    rows, columns = (axis[order] for axis in np.nonzero(wrong))
    top, left = np.minimum.reduceat(rows, starts), np.minimum.reduceat(columns, starts)
    bottom, right = np.maximum.reduceat(rows, starts), np.maximum.reduceat(columns, starts)
    return list(zip(*(side.tolist() for side in (left, top, right - left + 1, bottom - top + 1)), strict=True))


def commonest(at: np.ndarray, label: np.ndarray, classes: np.ndarray) -> list[tuple[int, int]]:
    """Give the labeled and the predicted class that most pixels of each area have together."""
    codes, counts = np.unique(at.astype(np.int64) << 16 | label.astype(np.int64) << 8 | classes, return_counts=True)
    best = codes[np.lexsort((-counts, codes >> 16))]
    best = best[np.diff(best >> 16, prepend=-1) > 0]
    return [(int(code) >> 8 & 255, int(code) & 255) for code in best]


def mask_of(area: Area, label: np.ndarray, classes: np.ndarray, ignore_label: int) -> np.ndarray:
    """Find the pixels (H, W) of an area in its image again.

    Of the areas in its box the one that has the most pixels of its classes there: another pass of a network may differ
    by a few.
    """
    division = divide(label, classes, label != ignore_label)
    owner = np.full(label.shape, -1, np.int64)
    owner[division.wrong] = division.area
    left, top, width, height = area.box
    cut = np.s_[top : top + height, left : left + width]
    inside = owner[cut][(label[cut] == area.labeled) & (classes[cut] == area.predicted)]
    counts = np.bincount(inside[inside >= 0], minlength=1)
    return (owner == counts.argmax()) & (owner >= 0)
