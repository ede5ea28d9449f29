"""Near-duplicates among many images: candidates by a perceptual hash, proof by the correlation of small pictures.

The hash has the signs of the lowest frequencies of a cosine transform against their median (after Zauner 2010). Two of
images that differ in size, format or brightness differ in few bits, but so may two of fog; their small pictures tell.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

SIDE, LOW = 32, 8  # of a small picture, and of the frequencies in its hash
BITS = LOW * LOW - 1
BANDS, OF_BAND = 9, 7  # parts of a hash: of two that differ in fewer bits than there are parts, one is the same
FAR = BANDS - 1
ALIKE, DETAIL = 0.95, 0.92  # correlations from which on two images are nearly one: whole, and without slow parts
CONTRAST = 1.0  # deviation of a small picture's details, of 255, below which they are noise
MOST = 4_000_000  # candidates that are looked at
_IN_MEMORY = 50_000  # small pictures; more of them lie in a file without a name
_CHUNK = 1024


class Small(NamedTuple):
    """An image made small (SIDE, SIDE) uint8, its hash and that of its mirror image; whether it has any details."""

    picture: np.ndarray
    hashes: tuple[int, int]
    detailed: bool


class Pair(NamedTuple):
    """Places of two images, the first before the second, and how much alike they are; `mirrored`: one of them is."""

    first: int
    second: int
    alike: float
    mirrored: bool = False


def small(image: np.ndarray) -> Small:
    """Make an image (H, W, 3) uint8 small."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    picture = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    low = cv2.dct(picture.astype(np.float32))[:LOW, :LOW]
    mirrored = low * np.where(np.arange(LOW) % 2, -1, 1)
    detailed = float(_details(picture[None].astype(np.float32)).std()) >= CONTRAST
    return Small(picture, (_hash(low), _hash(mirrored)), detailed)


def _hash(low: np.ndarray) -> int:
    values = low.ravel()[1:]  # the first is the brightness
    return int.from_bytes(np.packbits(values > np.median(values)).tobytes(), "big") >> 1


def pictures(count: int) -> np.ndarray:
    """Make room for small pictures, (count, SIDE, SIDE) uint8: memory stays flat where there are many."""
    shape = (count, SIDE, SIDE)
    if count <= _IN_MEMORY:
        return np.zeros(shape, np.uint8)
    return np.memmap(tempfile.TemporaryFile(), np.uint8, "w+", shape=shape)


def pairs(
    hashes: np.ndarray, small_pictures: np.ndarray, detailed: np.ndarray, split: np.ndarray
) -> tuple[list[Pair], bool]:
    """Find images that are nearly alike, and whether all candidates were looked at: of each image with such an earlier
    one in a split, the one that is most so.

    `hashes` (n, 2) uint64, `small_pictures` (n, SIDE, SIDE) uint8, `split` (n,);
    `detailed` (n,) bool: others have none.
    """
    places = np.flatnonzero(detailed)
    plain, mirrored = _signs(hashes[places, 0]), _signs(hashes[places, 1])
    best: dict[tuple[int, int], Pair] = {}
    seen = 0
    for other, turned in ((plain, False), (mirrored, True)):
        for left, right in _candidates(plain, other):
            seen += len(left)
            alike = _correlation(small_pictures, places[left], places[right], turned)
            for at in np.flatnonzero(alike):
                pair = Pair(int(places[left[at]]), int(places[right[at]]), float(alike[at]), turned)
                key = pair.second, int(split[pair.first])
                best[key] = max(best.get(key, pair), pair, key=lambda one: one.alike)
            if seen > MOST:
                return [*best.values()], False
    return [*best.values()], True


def _signs(hashes: np.ndarray) -> np.ndarray:
    """Unpack hashes (n,) to their bits as signs, (n, BITS) int8: two have as many bits in common as these say."""
    bits = np.unpackbits(hashes.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1)[:, 1:]
    return bits.astype(np.int8) * 2 - 1


def _candidates(one: np.ndarray, other: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give (places, later places) of hashes (n, BITS) that differ in at most FAR bits, each pair once."""
    weights = 1 << np.arange(OF_BAND)
    keys = [(x.reshape(len(x), BANDS, OF_BAND) > 0) @ weights for x in (one, other)]
    for band in range(BANDS):
        for key in np.unique(keys[0][:, band]):
            left, right = np.flatnonzero(keys[0][:, band] == key), np.flatnonzero(keys[1][:, band] == key)
            for start in range(0, len(left), _CHUNK):
                some = left[start : start + _CHUNK]
                for begin in range(0, len(right), _CHUNK):
                    found = _near(one, other, some, right[begin : begin + _CHUNK])
                    fresh = (keys[0][found[0], :band] != keys[1][found[1], :band]).all(1)
                    if fresh.any():
                        yield found[0][fresh], found[1][fresh]


def _near(one: np.ndarray, other: np.ndarray, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the pairs of `left` and later `right` whose hashes are near each other."""
    common = one[left].astype(np.float32) @ other[right].astype(np.float32).T  # BITS - 2 * those that differ
    rows, columns = np.nonzero((common >= BITS - 2 * FAR) & (left[:, None] < right))
    return left[rows], right[columns]


def _correlation(small_pictures: np.ndarray, left: np.ndarray, right: np.ndarray, mirrored: bool) -> np.ndarray:
    """Correlate the details of pairs of small pictures: (m,), 0 where they are not nearly alike."""
    found = np.zeros(len(left))
    for start in range(0, len(left), _CHUNK):
        part = slice(start, start + _CHUNK)
        one, two = (small_pictures[of[part]].astype(np.float32) for of in (left, right))
        two = two[..., ::-1] if mirrored else two
        whole, detail = _cosine(one, two), _cosine(_details(one), _details(two))
        found[part] = np.where((whole >= ALIKE) & (detail >= DETAIL), detail, 0)
    return found


def _cosine(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    one, two = (x - x.mean((1, 2), keepdims=True) for x in (one, two))
    return (one * two).sum((1, 2)) / np.sqrt((one**2).sum((1, 2)) * (two**2).sum((1, 2)) + 1e-6)


def _details(pictures_: np.ndarray) -> np.ndarray:
    """Take away what is slow: (m, SIDE, SIDE) minus its blur."""
    distance = np.subtract.outer(np.arange(SIDE), np.arange(SIDE))
    blur = np.exp(-(distance**2) / 8.0).astype(np.float32)  # a deviation of 2 pixels
    blur /= blur.sum(1, keepdims=True)
    return pictures_ - blur @ pictures_ @ blur.T
