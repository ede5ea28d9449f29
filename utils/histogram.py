"""How often each value occurs in a map of small integers: labels, predictions, or pairs of both."""

from __future__ import annotations

import cv2
import numpy as np

_EXACT = 1 << 24  # OpenCV counts in float32, exact up to here
_LOOKED_AT = 32  # every so many rows tell how smooth a map is
_SMOOTH = 8  # pixels of a run from which on runs are counted
_BAND = 1 << 18  # pixels at once: what is made of them stays in the cache


def value_counts(values: np.ndarray) -> np.ndarray:
    """Count the pixels of each value of a map (H, W) uint8: (256,) int64.

    A map of large areas has far fewer runs of equal values than pixels, and the processor counts equal values one after
    another slowly; a noisy map is counted pixel by pixel.
    """
    if _is_smooth(values):
        return _by_runs(values)
    return _by_pixels(values)


def pair_counts(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Count the pixels of each pair of values of two maps (H, W) uint8: (256, 256) int64, the first one's rows."""
    if _is_smooth(first, second):
        return _by_runs(first, second).reshape(256, 256)
    pairs = cv2.merge([np.ascontiguousarray(second), np.ascontiguousarray(first)])  # (H, W, 2)
    return _by_pixels(pairs.view("<u2").reshape(first.shape)).reshape(256, 256)


def _is_smooth(*maps: np.ndarray) -> bool:
    """Tell by some of the rows whether the maps (H, W), laid over each other, have few runs of equal values."""
    some = [values[::_LOOKED_AT] for values in maps]
    return sum(np.count_nonzero(one[:, 1:] != one[:, :-1]) for one in some) * _SMOOTH <= some[0].size


def _by_runs(*maps: np.ndarray) -> np.ndarray:
    """Count the values of n maps (H, W) uint8 laid over each other: (256^n,) int64.

    By their runs, band by band; sums of lengths are exact in doubles.
    """
    height, width = maps[0].shape
    step = max(1, _BAND // max(1, width))
    keys, lengths = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
    for top in range(0, height, step):
        bands = [values[top : top + step].reshape(-1) for values in maps]
        changes = bands[0][1:] != bands[0][:-1]
        for band in bands[1:]:
            changes |= band[1:] != band[:-1]
        last = np.append(np.flatnonzero(changes), bands[0].size - 1)  # of each run
        key = np.zeros(len(last), np.intp)
        for band in bands:
            key = (key << 8) + band[last]
        keys.append(key)
        lengths.append(np.diff(last, prepend=-1))
    return np.bincount(np.concatenate(keys), np.concatenate(lengths), 256 ** len(maps)).astype(np.int64)


def _by_pixels(values: np.ndarray) -> np.ndarray:
    """Count the values of a map (H, W) uint8 or uint16: (256,) or (65536,) int64."""
    bins, step = np.iinfo(values.dtype).max + 1, max(1, _EXACT // max(1, values.shape[1]))
    parts = [np.ascontiguousarray(values[top : top + step]) for top in range(0, values.shape[0], step)]
    found = (cv2.calcHist([part], [0], None, [bins], [0, bins]).reshape(-1).astype(np.int64) for part in parts)
    return sum(found, start=np.zeros(bins, np.int64))
