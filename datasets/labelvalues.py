"""From the bytes of a label file to the ids that it holds, whichever tool wrote it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from media import intact
from media.decoding import decode, head_of
from media.exif import decoded_as_stored
from utils.errors import UserError

LARGEST = 65535  # the ids of a 16-bit file

# What Pillow reads as stored is left to it: it checks more of a file than OpenCV does. These four it spreads or is slow
# with.
_BY_OPENCV = ("PNG", "JPEG", "WEBP", "PPM")
_INDEXED = ("1", "P", "PA")  # of these OpenCV gives colors instead
_COLOR = ("CMYK", "YCbCr", "LAB", "HSV")
# Tags of TIFF files.
_KIND, _BITS, _BRIGHTNESS, _SIGN = 254, 258, 262, 339
_REDUCED, _MASK, _WHITE_IS_ZERO, _UNSIGNED, _SIGNED = 1, 4, 0, 1, 2
_PNG_BITS = 24  # the byte of a PNG file that says how many bits a channel has


def ids_in(data: bytes, path: str) -> np.ndarray:
    """Decode the stored ids, (H, W) uint8 or uint16; of a palette its indices, of one bit 0 and 1.

    UserError, with file and value, for what cannot be a label: colors, several pictures, fractions, NaN, numbers
    below 0 or above 65535.
    """
    head = head_of(data)
    if head is not None:
        if why := intact.fault_of_head(head, len(data)):
            raise UserError(f"{path} {why}")
        _check_kind(head, path)
    if data[:2] == b"P2":
        values = _plain_gray(data)
    elif head is None or (head.format in _BY_OPENCV and head.mode not in _INDEXED):
        values = _by_opencv(data, head)
    else:
        values = _by_pillow(head, path)
    if values is None:
        raise UserError(f"cannot decode {path} ({len(data)} bytes): damaged, or no image")
    return _whole_numbers(_one_channel(decoded_as_stored(values, data), path), path)


def check_single(head: Image.Image | None, path: str) -> None:
    """Raise UserError for a label file of several pictures, such as pages of a TIFF or an animation."""
    if head is not None and (count := _pictures(head)) > 1:
        raise UserError(f"{path} holds {count} pictures; a label is one: save it without the others")


def _check_kind(head: Image.Image, path: str) -> None:
    check_single(head, path)
    if head.mode in _COLOR:
        raise UserError(f"{path} is a color image ({head.mode}); a label has one channel of class ids")
    if _tag(head, _BRIGHTNESS, 1) == _WHITE_IS_ZERO and head.mode != "1":
        # Half of all tools read such values as they are stored, the others turned round.
        raise UserError(f"{path} stores white as 0 (photometric 0): save it with black as 0, so that its ids are clear")


def _pictures(head: Image.Image) -> int:
    """Count the pictures of a file, without the smaller copies and masks that geographic TIFF files carry."""
    count = getattr(head, "n_frames", 1)
    if count > 1 and head.format == "TIFF":
        kinds = []
        for place in range(count):
            head.seek(place)
            kinds.append(_tag(head, _KIND, 0))
        head.seek(0)
        return sum(not kind & (_REDUCED | _MASK) for kind in kinds)
    return count


def _tag(head: Image.Image, number: int, default: int) -> int:
    """Read a TIFF file's entry, the first number of several; `default` in files of another format."""
    value = getattr(head, "tag_v2", {}).get(number, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _by_opencv(data: bytes, head: Image.Image | None) -> np.ndarray | None:
    """Decode to (H, W) or (H, W, channels); None where it cannot be decoded. PNG of 1, 2 and 4 bits as stored."""
    values = decode(data, cv2.IMREAD_UNCHANGED)
    few = head is not None and head.format == "PNG" and data[_PNG_BITS] < 8
    return values // _step(data[_PNG_BITS]) if few and values is not None else values


def _by_pillow(head: Image.Image, path: str) -> np.ndarray:
    """Decode the same by Pillow; UserError gives its reason."""
    try:
        values = np.array(head)
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"cannot decode {path}: {error}") from None
    bits, sign = _tag(head, _BITS, 8), _tag(head, _SIGN, _UNSIGNED)
    if head.format == "TIFF" and head.mode == "L":
        values = values.view(np.int8) if sign == _SIGNED else values
        return values // _step(bits) if bits < 8 else values
    if head.format == "TIFF" and head.mode == "I" and bits == 32 and sign == _UNSIGNED:
        return values.view(np.uint32)
    return values[..., 0] if head.mode == "PA" else values


def _step(bits: int) -> int:
    """Tell what decoders multiply values of few bits by, to fill a byte."""
    return 255 // (2**bits - 1)


def _plain_gray(data: bytes) -> np.ndarray | None:
    """Read a PGM file in digits, whose values decoders spread over a byte if the largest is said to be smaller."""
    lines = [line.split(b"#")[0] for line in data.splitlines()]
    try:
        _, width, height, _, *values = b" ".join(lines).split()
        return np.array(values, np.int64).reshape(int(height), int(width))
    except ValueError:
        return None


def _one_channel(values: np.ndarray, path: str) -> np.ndarray:
    """Take (H, W) of equal color channels; transparency, a second or fourth channel, says nothing of classes."""
    if values.ndim == 2:
        return values
    if values.shape[2] > 2 and (values[..., :1] != values[..., 1:3]).any():
        raise UserError(f"{path} is a color image; a label has one channel of class ids")
    return np.ascontiguousarray(values[..., 0])


def with_pixels(values: Sequence[Any] | np.ndarray, pixels: Iterable[int] | np.ndarray) -> str:
    """List wrong values for a message, the first four of them with the pixels of each."""
    shown = ", ".join(f"{value} ({count} pixels)" for value, count in zip(values[:4], pixels, strict=False))
    return shown + (f" and {len(values) - 4} more" if len(values) > 4 else "")


def _whole_numbers(values: np.ndarray, path: str) -> np.ndarray:
    """Check the values and give them as uint8 or uint16."""
    if values.dtype == np.bool_ or values.dtype.kind == "u" and values.dtype.itemsize < 3:
        return values.astype(
            np.uint8 if values.dtype.itemsize == 1 else np.uint16, copy=False
        )  # in this machine's order
    right = (values >= 0) & (values <= LARGEST) & (np.floor(values) == values)
    if right.all():
        return values.astype(np.uint8 if values.max() < 256 else np.uint16)
    found = with_pixels(*np.unique(values[~right], return_counts=True))
    raise UserError(f"{path}: label value {found} cannot be an id; ids are whole numbers from 0 to {LARGEST}")
