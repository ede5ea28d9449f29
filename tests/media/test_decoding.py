"""Every decoder gives the pixels that OpenCV gives, and leaves to it what it does otherwise."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import io
import struct
import threading
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from PIL import Image

from media import decoding
from media.decoding import DECODERS, decode, decode_rgb

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (37, 53, 3), np.uint8)
STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
FLAGS = (cv2.IMREAD_UNCHANGED, STORED, STORED | cv2.IMREAD_ANYDEPTH, cv2.IMREAD_COLOR)


@pytest.fixture(params=sorted(DECODERS))
def calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Lets one decoder decode, if it is installed; its calls, by whether they gave pixels."""
    module, make = DECODERS[request.param]
    inner = make(pytest.importorskip(module))
    made: list[int] = []

    def counted(*given: object) -> np.ndarray:
        made.append(0)
        values = inner(*given)  # type: ignore[arg-type]
        made[-1] = 1
        return values

    monkeypatch.setattr(decoding, "_png_decoder", lambda: (request.param, counted))
    yield made


def png(mode: str = "RGB", **options: object) -> bytes:
    """A PNG file by Pillow, in any of its modes."""
    stream = io.BytesIO()
    values = RGB if mode in ("RGB", "RGBA", "P", "LA") else RGB[..., 0]
    image = Image.fromarray(values.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(values).convert(mode)
    image.save(stream, "PNG", **options)  # type: ignore[arg-type]
    return stream.getvalue()


def by_opencv(data: bytes, flags: int) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


def alike(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and a.shape == b.shape and a.flags.c_contiguous and bool((a == b).all())


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_gray_and_colors_are_the_same_bytes(calls: list[int], mode: str, level: int) -> None:
    data = png(mode, compress_level=level)
    for flags in FLAGS:
        assert alike(decode(data, flags), by_opencv(data, flags)), flags
    rgb, bgr = decode_rgb(data), by_opencv(data, STORED)
    assert bgr is not None and alike(rgb, np.ascontiguousarray(bgr[..., ::-1]))
    assert calls == [1] * 4  # IMREAD_COLOR alone would turn the picture, which OpenCV does


@pytest.mark.parametrize("filter_type", range(5))
def test_every_filter_of_rows(calls: list[int], filter_type: int) -> None:
    data = rows_filtered(filter_type)
    assert alike(decode(data, cv2.IMREAD_UNCHANGED), by_opencv(data, cv2.IMREAD_UNCHANGED)) and calls == [1]


def rows_filtered(filter_type: int) -> bytes:
    """A file of random bytes behind one filter: whatever they are, they are pixels."""
    rows = RNG.integers(0, 256, (37, 53 * 3), np.uint8)
    raw = np.concatenate([np.full((37, 1), filter_type, np.uint8), rows], axis=1).tobytes()
    head = struct.pack(">IIBBBBB", 53, 37, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "I;16"])
def test_other_kinds_are_left_to_opencv(calls: list[int], mode: str) -> None:
    data = png(mode)
    for flags in FLAGS:
        assert alike(decode(data, flags), by_opencv(data, flags)), flags
    assert not calls


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_transparent_color_and_an_animation_are_left_to_opencv(calls: list[int], mode: str) -> None:
    seen_through = png(mode, transparency=(1, 2, 3) if mode == "RGB" else 7)
    more = [Image.fromarray(RGB).convert(mode).transpose(Image.Transpose.ROTATE_180)]
    moving = png(mode, save_all=True, append_images=more)
    for data in (seen_through, moving):
        assert alike(decode(data, cv2.IMREAD_UNCHANGED), by_opencv(data, cv2.IMREAD_UNCHANGED))
    assert not calls


def test_damaged_files_are_what_opencv_makes_of_them(calls: list[int]) -> None:
    whole = png()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 0x55]) + whole[middle + 1 :]
    huge = whole[:16] + struct.pack(">II", 1 << 20, 1 << 20) + whole[24:]
    for data in (flipped, whole[:middle], whole[:middle] + whole[-12:], huge, whole[:20], b"", b"no picture"):
        assert alike(decode(data, cv2.IMREAD_UNCHANGED), by_opencv_or_none(data))
    assert sum(calls) == 0


def by_opencv_or_none(data: bytes) -> np.ndarray | None:
    return by_opencv(data, cv2.IMREAD_UNCHANGED) if data else None


def test_threads_do_not_wait_for_each_other(calls: list[int]) -> None:
    found: list[np.ndarray | None] = []
    thread = threading.Thread(target=lambda: found.append(decode_rgb(png())))
    thread.start()
    thread.join()
    assert not calls and alike(found[0], RGB)


def test_one_line_says_what_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = [package for package, (module, _) in DECODERS.items() if importlib.util.find_spec(module)]
    assert decoding.note().startswith(f"PNG files are decoded by {(*installed, 'OpenCV')[0]} ")
    monkeypatch.setattr(decoding, "DECODERS", {"kornia-rs": ("no_such_module", DECODERS["kornia-rs"][1])})
    fresh = functools.cache(decoding._png_decoder.__wrapped__)
    monkeypatch.setattr(decoding, "_png_decoder", fresh)
    assert decoding.note() == (
        f"PNG files are decoded by OpenCV {cv2.__version__}: slower than it can be; "
        "pip install -r requirements-speed.txt"
    )
    assert alike(decode_rgb(png()), RGB)
