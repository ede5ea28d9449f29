"""Pictures to arrays of 8 bits: which way up they are, and which range of their values they use."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import cv2
import numpy as np

from media import exif
from media.decoding import decode, decode_rgb, head_of
from media.files import complete, read_complete
from utils.errors import MachineError, UserError, in_short
from utils.files import opened

WHOLE = 16  # bits of a file that uses all of its range
LOOKED_AT, DECODED = 64, 16  # files whose heads are read, and those of 16 bits that are decoded, to know a folder

_BYTES, _ANY_BITS = (cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION | more for more in (0, cv2.IMREAD_ANYDEPTH))
_SAMPLES, _EXTRA, _UNSPECIFIED, _ALPHA = 277, 338, 0, 1  # tags of TIFF files, and values of the second
_USED = (8, 10, 12, 14)  # bits that cameras and instruments have, below the 16 of the file


class PictureError(UserError):
    """A picture that cannot be read: where there are others, it may be left out."""


def read_image(path: str, upright: bool = False, bits: int = WHOLE) -> np.ndarray:
    """Read (H, W, 3) uint8 RGB of any common file: gray, 16-bit and transparent ones too.

    As it is stored, since labels are drawn over the stored pixels; `upright`: turned by its EXIF tag, as viewers show
    it. `bits`: of the 16 in a file of so many, how many its values use; 0: told by nobody. PictureError, which names
    the file, for one that cannot be read, and for values beyond `bits`.
    """
    return read_turned(path, upright, bits)[0]


def read_turned(path: str, upright: bool = False, bits: int = WHOLE) -> tuple[np.ndarray, bool]:
    """As `read_image`, and whether the file asks for a turn."""
    with _picture_errors(path):
        return decoded(path, read_complete(path), upright, bits)


def read_bytes(name: str, data: bytes) -> tuple[np.ndarray, list[str]]:
    """As `read_image`, upright, of the bytes of a file: and lines on what was made of them. `name`: for messages.

    Of 16 bits as many count as the picture's own values use.
    """
    with _picture_errors(name):
        bits, highest = _range([value] if (value := _highest(name, complete(name, data))) is not None else [])
        image, turns = decoded(name, data, True, bits)
    return image, [line for line in (range_note(bits, highest), "turned upright (EXIF)" if turns else "") if line]


@contextmanager
def _picture_errors(path: str) -> Iterator[None]:
    """Make every error of reading a PictureError, which names the file."""
    try:
        yield
    except (PictureError, MachineError):
        raise
    except UserError as error:
        raise PictureError(str(error)) from None
    except Exception as error:  # a decoder raises what it likes
        raise PictureError(f"cannot read {path}: {in_short(error)}") from error


def decoded(path: str, data: bytes, upright: bool = False, bits: int = WHOLE) -> tuple[np.ndarray, bool]:
    """Decode what a file holds, as `read_turned` gives it; raises what its decoder raises."""
    check_bands(path, data)
    image = _eight_bits(path, data, bits)
    image = exif.decoded_upright(image, data) if upright else exif.decoded_as_stored(image, data)
    return image, exif.orientation(data) != 1


def _eight_bits(path: str, data: bytes, bits: int) -> np.ndarray:
    """Decode to (H, W, 3) uint8 RGB."""
    if _may_be_deep(data):
        values = _decoded(path, _ANY_BITS, data)
        if values.dtype != np.uint8:
            values = _within(path, values, bits)
            values = _decoded(path, _BYTES, data) if bits in (0, WHOLE) else (values >> (bits - 8)).astype(np.uint8)
        return cv2.cvtColor(values, cv2.COLOR_BGR2RGB)
    return _whole(path, data, decode_rgb(data))


def _within(path: str, values: np.ndarray, bits: int) -> np.ndarray:
    """Give values as uint16. PictureError where they are no whole numbers, and for values beyond `bits`."""
    values = _whole_numbers(path, values)
    used = bits_of_value(int(values.max()))
    if used > (bits or WHOLE) or (not bits and used < WHOLE):
        raise PictureError(
            f"{path} has values up to {values.max()}, {used} of 16 bits, others of these pictures {bits or 8}: "
            f"give --image_bits {used}, which holds for all of them"
        )
    return values


def decode_any(path: str, data: bytes) -> np.ndarray:
    """Decode to (H, W, 3) BGR of uint8 or uint16, as many bits as the file has."""
    if not _may_be_deep(data):
        return _decoded(path, _BYTES, data)
    values = _decoded(path, _ANY_BITS, data)
    return values if values.dtype == np.uint8 else _whole_numbers(path, values)


def reduced(path: str, values: np.ndarray, bits: int) -> np.ndarray:
    """Give values of 16 bits as uint8, as `read_image` does."""
    return (_within(path, values, bits) >> ((bits or WHOLE) - 8)).astype(np.uint8)


def _decoded(path: str, flags: int, data: bytes) -> np.ndarray:
    return _whole(path, data, decode(data, flags))


def _whole(path: str, data: bytes, values: np.ndarray | None) -> np.ndarray:
    if values is None:
        raise PictureError(f"cannot decode {path} ({len(data)} bytes): damaged, or no image{_unusual(data)}")
    return values


def check_bands(path: str, data: bytes) -> None:
    """Raise PictureError for a TIFF of other bands than gray or RGB, with or without transparency.

    A decoder would take the first of them for colors, or one that is no transparency for it, and say nothing.
    """
    if data[:4] not in exif.TIFF:
        return
    try:
        (bands,), extra = exif.numbers(data, _SAMPLES) or (1,), exif.numbers(data, _EXTRA) or (_ALPHA,)
    except (struct.error, ValueError, OverflowError):  # a broken head: the decoder says so
        return
    if bands > 4 or (bands in (2, 4) and _UNSPECIFIED in extra):
        raise PictureError(
            f"{path} has {bands} bands; an image has 1 (gray) or 3 (red, green, blue), or these and transparency: save "
            "the three that networks are to see"
        )


def _may_be_deep(data: bytes) -> bool:
    """Say whether a file may have more than 8 bits a channel: it has where its head does not say otherwise."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data[24:25] == b"\x10"
    return data[:4] in exif.TIFF or data[:2] in (b"P5", b"P6")


def _whole_numbers(path: str, values: np.ndarray) -> np.ndarray:
    """Give values as uint16; PictureError where they are none."""
    if values.dtype.kind in "iu" and values.itemsize == 2 and values.min() >= 0:
        return values.astype(np.uint16)
    kind = "negative values" if values.dtype.kind == "i" else f"values of type {values.dtype}"
    raise PictureError(f"{path} holds {kind}: save it with whole numbers of 8 or 16 bits, from black 0 to white")


def _unusual(data: bytes) -> str:
    """Say what a TIFF that OpenCV does not decode holds, where Pillow knows it; else nothing."""
    head = head_of(data) if data[:4] in exif.TIFF else None
    kind = {"F": "fractions", "I": "whole numbers of 32 bits"}.get(head.mode if head else "", "")
    return f"; it holds {kind}: save it with 8 or 16 bits" if kind else ""


def bits_of_value(highest: int) -> int:
    """Give bits that pictures use whose highest value this is: 8, 10, 12, 14 or 16."""
    return next((bits for bits in _USED if 0 < highest < 1 << bits), WHOLE)


# Before pictures are read: what a bounded look at a folder or a list tells -------------------------------------------


def deep(paths: Sequence[str]) -> list[str]:
    """Find the paths whose heads say 16 bits, or do not say. What cannot be read is none: reading it says why."""
    return [path for path in paths if _may_be_deep(_head(path))]


@lru_cache(maxsize=16)
def range_of(paths: tuple[str, ...]) -> tuple[int, int]:
    """Find (bits that pictures of 16 bits among some files use, their highest value); (0, 0) where there are none."""
    return _range([value for path in paths if (value := _highest_in(path)) is not None])


def _range(highest: list[int]) -> tuple[int, int]:
    return (bits_of_value(max(highest)), max(highest)) if highest else (0, 0)


def _highest_in(path: str) -> int | None:
    try:
        return _highest(path, read_complete(path))
    except UserError:
        return None


def _highest(path: str, data: bytes) -> int | None:
    """Find the highest value of a picture of more than 8 bits; None for others."""
    if not _may_be_deep(data):
        return None
    values = _decoded(path, _ANY_BITS, data)
    return None if values.dtype == np.uint8 else int(_whole_numbers(path, values).max())


def range_note(bits: int, highest: int) -> str:
    """Tell the log of pictures that use fewer than their 16 bits; empty for those that use all."""
    if bits in (0, WHOLE):
        return ""
    return (
        f"pictures of 16 bits use {bits} of them (highest value {highest} of those looked at): {(1 << bits) - 1} is "
        f"white in all of them; --image_bits {WHOLE} where they are just dark"
    )


def turned(paths: Sequence[str]) -> int:
    """Count how many of some pictures ask for a turn, by their heads."""
    return sum(orientation_of(path) != 1 for path in paths)


def orientation_of(path: str) -> int:
    """Read the turn that a picture asks for, 1 to 8, by its head."""
    return exif.orientation(_head(path, 1 << 16))


def _head(path: str, length: int = 32) -> bytes:
    try:
        with opened(path) as file:
            return file.read(length)
    except OSError:
        return b""
