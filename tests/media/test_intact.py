"""What bytes tell of damage before a decoder sees them; and that no whole file is taken for a damaged one."""

from __future__ import annotations

import io
import random

import bad_inputs
import cv2
import numpy as np
import pytest
from bad_inputs import saved
from PIL import Image

from media import intact

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8))
EMPTY = np.zeros((1600, 1600), np.uint8)  # nothing takes fewer bytes


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "RGBA", "LA", "I;16"])
def test_whole_png_files(mode: str) -> None:
    image = Image.fromarray(np.zeros((40, 60), np.uint16)) if mode == "I;16" else PICTURE.convert(mode)
    data = saved(image, "PNG")
    assert intact.fault(data) == "" and intact.fault(data + b"what a tool has put behind it" * 9) == ""


@pytest.mark.parametrize("kind", ["one bit", "gray", "colors", "16 bits"])
def test_large_pictures_of_nothing_are_whole(kind: str) -> None:
    values = {"gray": EMPTY, "colors": np.dstack([EMPTY] * 3), "16 bits": EMPTY.astype(np.uint16)}
    if kind == "one bit":
        data = [saved(Image.fromarray(EMPTY).convert("1"), "PNG", compress_level=9)]
    else:
        data = [cv2.imencode(".png", values[kind], [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()]
    if kind in ("gray", "colors"):
        image = Image.fromarray(values[kind])
        data += [saved(image, "JPEG", quality=1, optimize=True, progressive=more) for more in (False, True)]
    assert [intact.fault(one) for one in data] == [""] * len(data)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "group4"])
def test_heads_of_whole_files_promise_what_they_hold(compression: str) -> None:
    image = Image.fromarray(EMPTY).convert("1") if compression == "group4" else Image.fromarray(EMPTY)
    data = saved(image, "TIFF", compression=compression)
    assert intact.fault_of_head(Image.open(io.BytesIO(data)), len(data)) == ""


@pytest.mark.parametrize("kind", ["BMP", "WEBP", "PPM", "GIF"])
def test_heads_of_other_formats(kind: str) -> None:
    data = saved(Image.fromarray(EMPTY), kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert intact.fault_of_head(Image.open(io.BytesIO(data)), len(data)) == ""


@pytest.mark.parametrize("mode", ["L", "P"])
def test_every_turned_bit_of_a_png_file_is_found(mode: str) -> None:
    data = saved(PICTURE.convert(mode), "PNG")
    rng = random.Random(1)
    for _ in range(300):
        at = rng.randrange(len(data) - 12)  # the last part is empty: it says that the file ends
        assert intact.fault(data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]) or at < 8, at


HUGE = [bad_inputs.huge_png(), bad_inputs.huge_png(0, 1), bad_inputs.huge_jpeg(), bad_inputs.huge_jpeg(True)]


@pytest.mark.parametrize("data", HUGE, ids=["png", "one bit", "jpeg", "progressive"])
def test_sizes_that_cannot_be(data: bytes) -> None:
    assert "is damaged: it says that it has 30000x30000 pixels" in intact.fault(data)


def test_heads_that_promise_too_much() -> None:
    data = bad_inputs.huge_bmp()
    assert "30000x30000" in intact.fault_of_head(Image.open(io.BytesIO(data)), len(data))
