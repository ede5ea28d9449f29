"""Whole numbers of a directory of tags: of both orders of bytes, short and long, in TIFF and BigTIFF; broken ones."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from media.exif import ORIENTATION, numbers, orientation

_BITS, _STRIPS = 258, 273  # tags: bits of each band, where strips begin


def tiff(big: bool = False) -> bytes:
    stream = io.BytesIO()
    picture = Image.new("RGB", (6, 4))
    picture.save(stream, "TIFF", big_tiff=big, tiffinfo={ORIENTATION: 6})
    return stream.getvalue()


@pytest.mark.parametrize("big", [False, True])
def test_numbers_of_a_file(big: bool) -> None:
    data = tiff(big)
    assert numbers(data, ORIENTATION) == (6,) and orientation(data) == 6
    assert numbers(data, _BITS) == (8, 8, 8)  # too many for their entry in a TIFF of the older kind
    assert len(numbers(data, _STRIPS)) == 1 and numbers(data, 9999) == ()


def test_the_other_order_of_bytes() -> None:
    block = b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, ORIENTATION, 3, 1, 8, 0)
    assert numbers(block, ORIENTATION) == (8,)
    assert numbers(block.replace(b"\0\3\0\0\0\1", b"\0\2\0\0\0\1"), ORIENTATION) == ()  # a text


def test_broken_directories() -> None:
    data = tiff()
    for end in range(len(data)):
        assert orientation(data[:end]) in (1, 6)
    with pytest.raises(struct.error):
        numbers(data[:9], ORIENTATION)
