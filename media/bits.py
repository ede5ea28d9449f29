"""Finds how many bits the values of pictures use, by some of them before all are read."""

from __future__ import annotations

from media import reading
from utils.evenly import spread

MANY = 1000  # heads of a folder without labels: reading them costs little beside predicting them


def bits_of(paths: list[str], given: int, most: int = reading.LOOKED_AT) -> tuple[int, str]:
    """Find the bits that values of pictures use (see `read_image`), and a note where their files have more.

    As `given`, or, where that is 0, by the values of some of them: one range for all.
    """
    if given:
        return given, ""
    deep = reading.deep(spread(paths, most))
    bits, highest = reading.range_of(spread(deep, reading.DECODED))
    return bits, reading.range_note(bits, highest)


def bits_of_folder(paths: list[str], given: int) -> tuple[int, str]:
    """As `bits_of`, for pictures that stand for themselves."""
    return bits_of(paths, given, MANY)
