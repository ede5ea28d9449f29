"""Plants faults in labels: objects dropped into what surrounds them, classes swapped, borders shifted."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from evaluation.objects import connected

DROPPED, SWAPPED, SHIFTED = KINDS = ("dropped", "swapped", "shifted")
# Objects that faults are planted in: their share of the image. Nobody would see smaller ones; larger ones are ground.
LEAST, MOST = 0.001, 0.1
RING = 5  # side of the square that grows an object by what surrounds it
SHIFT, LEAST_SHIFT = 0.3, 4.0  # of the root of an object's pixels; pixels


class Place(NamedTuple):
    """An object that can get a fault: its image, and the indices of its pixels in the flat label."""

    image: int
    pixels: np.ndarray


class Planted(NamedTuple):
    """Labels with faults: {image: (H, W)}, the kind of each fault, and {image: (H, W) int32}, which changed a pixel.

    -1 there is a pixel that none has changed. Images without a fault are left out.
    """

    labels: Mapping[int, np.ndarray]
    faults: Mapping[int, np.ndarray]
    kinds: Sequence[str]


def places(labels: Iterable[np.ndarray], ignore: int) -> list[Place]:
    """Find the objects of labels (H, W) that are neither too small nor too large for a fault."""
    found = []
    for image, label in enumerate(labels):
        numbers, sizes = connected(label, np.unique(label[label != ignore]))
        share = sizes / label.size
        chosen = np.flatnonzero((share >= LEAST) & (share <= MOST))
        found += [Place(image, np.flatnonzero(numbers == n)) for n in chosen]
    return found


def plant_all(labels: Sequence[np.ndarray], where: Sequence[Place], share: float, ignore: int, seed: int) -> Planted:
    """Plant a fault in a `share` of the objects, each kind in a third of them; images without one are left out.

    An object that an earlier fault has altered keeps that one, and one that cannot have the kind of its turn gets none.
    """
    rng = random.Random(seed)
    chosen = rng.sample(where, round(share * len(where)))
    changed: dict[int, np.ndarray] = {}
    faults: dict[int, np.ndarray] = {}
    kinds: list[str] = []
    for turn, place in enumerate(chosen):
        label = changed.get(place.image, labels[place.image])
        mask = np.zeros(label.size, bool)
        mask[place.pixels] = True
        mask = mask.reshape(label.shape)
        number = faults.get(place.image, np.full(label.shape, -1, np.int32))
        kind = KINDS[turn % len(KINDS)]
        new = None if (number[mask] >= 0).any() else plant(label, mask, kind, ignore, rng)
        if new is None or (new == label).all():
            continue
        faults[place.image] = np.where(new != label, np.int32(len(kinds)), number)
        changed[place.image] = new
        kinds.append(kind)
    return Planted(changed, faults, kinds)


def surrounding(label: np.ndarray, mask: np.ndarray, ignore: int) -> int | None:
    """Name the class that most pixels around an object have; None where there is none."""
    ring = cv2.dilate(mask.view(np.uint8), np.ones((RING, RING), np.uint8)).astype(bool) & ~mask & (label != ignore)
    return int(np.bincount(label[ring]).argmax()) if ring.any() else None


def plant(label: np.ndarray, mask: np.ndarray, kind: str, ignore: int, rng: random.Random) -> np.ndarray | None:
    """Give the label (H, W) with one fault in the object `mask`; None where it cannot have this one.

    Dropped: it gets the class that surrounds it. Swapped: another class of its image, that around it excepted. Shifted:
    it lies elsewhere, by SHIFT of its side into any direction, and where it was is what surrounds it.
    """
    around, own, out = surrounding(label, mask, ignore), int(label[mask][0]), label.copy()
    if around is None:
        return None
    if kind == DROPPED:
        out[mask] = around
    elif kind == SWAPPED:
        others = sorted({int(k) for k in np.unique(label)} - {own, around, ignore})
        if not others:
            return None
        out[mask] = rng.choice(others)
    else:
        far, angle = max(LEAST_SHIFT, SHIFT * mask.sum() ** 0.5), rng.uniform(0, 2 * np.pi)
        out[mask] = around
        out[moved(mask, round(far * np.cos(angle)), round(far * np.sin(angle))) & (label != ignore)] = own
    return out


def moved(mask: np.ndarray, right: int, down: int) -> np.ndarray:
    """Move a mask (H, W); what leaves the image is gone."""
    move = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return cv2.warpAffine(mask.view(np.uint8), move, mask.shape[::-1], flags=cv2.INTER_NEAREST).astype(bool)
