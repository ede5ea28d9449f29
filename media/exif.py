"""Which way up a file asks to be shown (EXIF), and the way from there to the pixels as they are stored."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

import numpy as np

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # what its files begin with; decoders turn these by themselves
ORIENTATION, SIDES_EXCHANGED = 0x0112, (5, 6, 7, 8)  # tag of EXIF, and those of its values

_WHOLE = {1: "B", 3: "H", 4: "I", 16: "Q"}  # types of whole numbers, as `struct` calls them

# How a stored picture becomes upright, by its EXIF orientation (tag 0x0112 of the standard): 2 to 4 mirrored or upside
# down, 5 to 8 with sides exchanged.
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: partial(np.rot90, k=-1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
_STORED = {**_UPRIGHT, 6: _UPRIGHT[8], 8: _UPRIGHT[6]}  # the way back


def decoded_upright(image: np.ndarray, data: bytes) -> np.ndarray:
    """Turn a picture (H, W) or (H, W, 3) that was decoded from a file's bytes, as viewers show it."""
    turn = orientation(data)
    return np.ascontiguousarray(_UPRIGHT[turn](image)) if turn != 1 and data[:4] not in TIFF else image


def decoded_as_stored(image: np.ndarray, data: bytes) -> np.ndarray:
    """The same as its pixels are stored, which is how labels lie over them."""
    turn = orientation(data)
    return np.ascontiguousarray(_STORED[turn](image)) if turn != 1 and data[:4] in TIFF else image


def orientation(data: bytes) -> int:
    """Read the EXIF orientation of a JPEG, PNG, WebP or TIFF file, 1 to 8; 1 where it has none or a broken one."""
    try:
        (value,) = numbers(_exif(data).removeprefix(b"Exif\0\0"), ORIENTATION)
    except (struct.error, ValueError, OverflowError):  # a photo is worth more than its broken tags
        return 1
    return value if value in _UPRIGHT else 1


def numbers(block: bytes, tag: int) -> tuple[int, ...]:
    """Read the whole numbers of a tag in the first directory of a TIFF file or an EXIF block; none: it has no such.

    Raises struct.error where the directory is broken before them.
    """
    order, big = "<" if block.startswith(b"II") else ">", block[:4] in TIFF[2:]
    place, count, entry = (f"{order}{form}" for form in (("Q", "Q", "HHQ") if big else ("I", "H", "HHI")))
    head, inside = struct.calcsize(entry), struct.calcsize(place)  # of an entry: its head, and room for short values
    (start,) = struct.unpack_from(place, block, 8 if big else 4)
    (entries,) = struct.unpack_from(count, block, start)
    start += struct.calcsize(count)
    for at in range(start, start + entries * (head + inside), head + inside):
        found, kind, length = struct.unpack_from(entry, block, at)
        if found == tag and kind in _WHOLE:
            form, at = f"{order}{length}{_WHOLE[kind]}", at + head
            if struct.calcsize(form) > inside:
                (at,) = struct.unpack_from(place, block, at)
            return struct.unpack_from(form, block, at)
    return ()


def _exif(data: bytes) -> bytes:
    """Find the EXIF block of a file, empty if it has none. No decoder is started for it."""
    if data.startswith(b"\xff\xd8"):
        return _exif_of_jpeg(data)
    if data.startswith(b"\x89PNG"):
        at, order = data.find(b"eXIf"), ">I"
        size = at - 4
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        at, order = data.find(b"EXIF"), "<I"
        size = at + 4
    else:
        return data if data[:4] in TIFF else b""
    if at < 0:
        return b""
    (length,) = struct.unpack_from(order, data, size)
    start = max(at, size) + 4
    return data[start : start + length]


def _exif_of_jpeg(data: bytes) -> bytes:
    """Find the first segment APP1 that says Exif, of those before the picture's own data."""
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        if data[at + 1] == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            return data[at + 4 : at + 2 + length]
        at += 2 + length
    return b""
