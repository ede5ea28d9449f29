"""Masks as lengths of runs, in the three ways in which tools write them. No length is believed before it is checked.

pycocotools reads one of the three, COCO's, and is not used for it: where lengths fall short of the size it hands out
memory that nobody has written, so that they would have to be unpacked and added up here all the same. Of sound masks
both give the same pixels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.errors import UserError

# COCO's compressed lengths: five bits a letter from '0' on, the sixth says that another letter follows.
_LETTERS = re.compile(rb"(?:[P-o]{0,5}[0-O])*")


def from_runs(counts: Any, size: tuple[int, int], where: str) -> np.ndarray:
    """Read lengths of runs, by rows, of pixels that are outside and inside in turns: (H, W) bool."""
    lengths = _whole(counts, where)
    if (lengths < 0).any():
        raise UserError(f"{where}: its mask has a run of {lengths.min()} pixels")
    total = int(lengths.sum(dtype=np.float64))
    if total != size[0] * size[1]:
        raise UserError(f"{where}: its mask has {total} pixels instead of {size[0] * size[1]}")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(size)


def from_coco(counts: Any, size: tuple[int, int], where: str) -> np.ndarray:
    """Read COCO's lengths, by columns, as numbers or compressed: (H, W) bool."""
    if isinstance(counts, (str, bytes)):
        counts = coco_lengths(counts, where)
    return from_runs(counts, (size[1], size[0]), where).T


def coco_lengths(text: str | bytes, where: str) -> list[int]:
    """Decompress COCO's lengths: each is a number of five-bit digits, the lowest first, from the third of them on as
    the difference to the one before the last.
    """
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if not _LETTERS.fullmatch(data):
        raise UserError(f"{where}: its compressed mask is damaged")
    lengths: list[int] = []
    value = shift = 0
    for letter in data:
        digit = letter - 48
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:  # the sign
            value -= 1 << shift
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
        value = shift = 0
    return lengths


def _whole(counts: Any, where: str) -> np.ndarray:
    """Take lengths as int64; UserError for what is no list of whole numbers."""
    try:
        lengths = np.asarray(counts)
        if lengths.ndim != 1 or (lengths.size and lengths.dtype.kind not in "iu"):
            raise ValueError
        return lengths.astype(np.int64)
    except (ValueError, TypeError, OverflowError):
        raise UserError(f"{where}: its mask is no list of lengths of runs") from None


def from_label_studio(data: Any, size: tuple[int, int], where: str) -> np.ndarray:
    """Read the bytes of a brush of Label Studio, a list of numbers 0 to 255: (H, W) bool, where its alpha is not 0.

    The bits of them: the count of values (32 bits), the bits of a value less 1 (5), the bits of a length less 1 of four
    kinds (4 each). Then runs: one bit, whether all values of the run are alike; two, the kind of its length; the length
    less 1; the value, or all values. The values are red, green, blue and alpha of each pixel, by rows.
    """
    numbers = _whole(data, where)
    if numbers.size and not (numbers.min() >= 0 and numbers.max() <= 255):
        raise UserError(f"{where}: its brush is no list of bytes")
    wanted = size[0] * size[1] * 4
    reader = _Bits(np.unpackbits(numbers.astype(np.uint8)), where)
    count, width = reader.take(32), reader.take(5) + 1
    if count != wanted or width > 16:
        raise UserError(
            f"{where}: its brush has {count} values of {width} bits, {size[1]}x{size[0]} pixels have {wanted}"
        )
    lengths = [reader.take(4) + 1 for _ in range(4)]
    values, at = np.zeros(wanted, np.uint16), 0
    while at < wanted:
        alike, end = reader.take(1), 0
        end = min(at + 1 + reader.take(lengths[reader.take(2)]), wanted)
        values[at:end] = reader.take(width) if alike else reader.many(width, end - at)
        at = end
    return values[3::4].reshape(size) > 0


class _Bits:
    """Numbers of any count of bits, the highest first."""

    def __init__(self, bits: np.ndarray, where: str) -> None:
        self.bits, self.where, self.at = bits, where, 0

    def many(self, width: int, count: int) -> np.ndarray:
        """Read several numbers."""
        part = self.bits[self.at : self.at + width * count]
        if len(part) < width * count:
            raise UserError(f"{self.where}: its brush is cut off")
        self.at += width * count
        return part.reshape(count, width) @ (1 << np.arange(width - 1, -1, -1, dtype=np.int64))

    def take(self, width: int) -> int:
        """Read one number."""
        number = 0
        part: Sequence[int] = self.bits[self.at : self.at + width].tolist()
        if len(part) < width:
            raise UserError(f"{self.where}: its brush is cut off")
        for bit in part:
            number = number << 1 | bit
        self.at += width
        return number
