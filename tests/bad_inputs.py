"""Bad and unusual files, written over a good one: by name, what they are and whether they can be read all the same."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Fault = Callable[[Path], object]  # changes a file in place
HUGE = 30_000  # pixels of a side, which the head of a tiny file says


def picture(path: Path) -> Image.Image:
    """Open a picture, decoded."""
    image = Image.open(path)
    image.load()
    return image


def saved(image: Image.Image, kind: str, **more: Any) -> bytes:
    """Encode."""
    stream = io.BytesIO()
    image.save(stream, kind, **more)
    return stream.getvalue()


def _bytes(change: Callable[[bytes], bytes]) -> Fault:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def _as(kind: str, mode: str = "", **more: Any) -> Fault:
    """Write in another format under the same name."""

    def write(path: Path) -> None:
        image = picture(path)
        path.write_bytes(saved(image.convert(mode) if mode else image, kind, **more))

    return write


def _array(change: Callable[[np.ndarray], np.ndarray], kind: str = "PNG") -> Fault:
    """Write other values; of a palette its indices, as gray."""

    def write(path: Path) -> None:
        path.write_bytes(saved(Image.fromarray(change(np.array(picture(path)))), kind))

    return write


def flipped(data: bytes) -> bytes:
    """Turn a bit in the middle of a file."""
    half = len(data) // 2
    return data[:half] + bytes([data[half] ^ 4]) + data[half + 1 :]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def huge_png(color: int = 2, bits: int = 8) -> bytes:
    """A PNG file of some bytes that says that it is huge."""
    head = struct.pack(">IIBBBBB", HUGE, HUGE, bits, color, 0, 0, 0)
    content = zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", content) + _chunk(b"IEND", b"")


def huge_jpeg(progressive: bool = False) -> bytes:
    """A JPEG file of some bytes that says that it is huge."""
    data = saved(Image.new("RGB", (16, 16)), "JPEG", progressive=progressive)
    at = data.find(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", HUGE, HUGE) + data[at + 4 :]


def huge_bmp() -> bytes:
    """The same as a BMP file."""
    data = saved(Image.new("RGB", (16, 16)), "BMP")
    return data[:18] + struct.pack("<ii", HUGE, HUGE) + data[26:]


def _interlaced(path: Path) -> None:
    """Adam7, which Pillow does not write: seven passes, each of rows without a filter."""
    image = picture(path)
    values = np.array(image)
    values = values[..., None] if values.ndim == 2 else values  # (H, W, C)
    color = {"L": 0, "RGB": 2, "P": 3}[image.mode]
    starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = b"".join(b"\0" + row.tobytes() for y, x, down, across in starts for row in values[y::down, x::across])
    head = struct.pack(">IIBBBBB", image.width, image.height, 8, color, 0, 0, 1)
    colors = _chunk(b"PLTE", bytes(image.getpalette() or ())) if image.mode == "P" else b""
    parts = _chunk(b"IHDR", head) + colors + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def _animated(kind: str) -> Fault:
    def write(path: Path) -> None:
        image = picture(path).convert("RGB" if kind != "GIF" else "P")
        other = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        path.write_bytes(saved(image, kind, save_all=True, append_images=[other]))

    return write


def _replaced(make: Callable[[Path], object]) -> Fault:
    def write(path: Path) -> None:
        path.unlink()
        make(path)

    return write


def _loop(path: Path) -> None:
    other = path.with_name(f"{path.name}.other")
    path.symlink_to(other.name)
    other.symlink_to(path.name)


def _deep(path: Path) -> None:
    """16 bits of gray, all of which are used."""
    gray = np.array(picture(path).convert("L")).astype(np.uint16) * 257
    path.write_bytes(saved(Image.fromarray(gray), "PNG"))


_HEADS: dict[str, Fault] = {
    "empty": _bytes(lambda data: b""),
    "one byte": _bytes(lambda data: data[:1]),
    "head alone": _bytes(lambda data: data[:24]),
    "truncated at a half": _bytes(lambda data: data[: len(data) // 2]),
    "truncated at the end": _bytes(lambda data: data[:-13]),
    "zeros": _bytes(lambda data: bytes(len(data))),
    "text": _bytes(lambda data: b"no picture at all\n"),
    "page of an error": _bytes(lambda data: b"<!DOCTYPE html><script>alert(1)</script>"),
    "git lfs pointer": _bytes(lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
    "huge png": _bytes(lambda data: huge_png()),
    "huge gray png": _bytes(lambda data: huge_png(0)),
    "huge png of one bit": _bytes(lambda data: huge_png(0, 1)),
    "huge jpeg": _bytes(lambda data: huge_jpeg()),
    "huge progressive jpeg": _bytes(lambda data: huge_jpeg(True)),
    "huge bmp": _bytes(lambda data: huge_bmp()),
    "huge ppm": _bytes(lambda data: b"P6 30000 30000 255\n\0\0"),
    "vanished": Path.unlink,
    "link to nowhere": _replaced(lambda path: path.symlink_to("nowhere.png")),
    "loop of links": _replaced(_loop),
    "folder": _replaced(Path.mkdir),
    "pipe": _replaced(os.mkfifo),
    "device": _replaced(lambda path: path.symlink_to("/dev/zero")),
}
BAD_IMAGES: dict[str, Fault] = {
    **_HEADS,
    "bit turned": lambda path: (_as("PNG")(path), _bytes(flipped)(path)),
    "tiff of five bands": lambda path: path.write_bytes(_tiff_of_bands(picture(path))),
    "fractions": _array(lambda values: values[..., 0].astype(np.float32), "TIFF"),
    "other size": _array(lambda values: values[:-3]),
}
GOOD_IMAGES: dict[str, Fault] = {
    "cmyk": _as("JPEG", "CMYK", quality=95),
    "rgba": _as("PNG", "RGBA"),
    "gray": _as("PNG", "L"),
    "gray with transparency": _as("PNG", "LA"),
    "palette": _as("PNG", "P"),
    "one bit": _as("PNG", "1"),
    "interlaced": _interlaced,
    "progressive jpeg": _as("JPEG", progressive=True),
    "jpeg under this name": _as("JPEG"),
    "webp under this name": _as("WEBP"),
    "bmp under this name": _as("BMP"),
    "tiff under this name": _as("TIFF", compression="tiff_lzw"),
    "animated png": _animated("PNG"),
    "sideways": lambda path: _as("PNG", exif=_turn(6))(path),
    "16 bits": _deep,
    "link to another": lambda path: (path.rename(path.with_suffix(".real")), path.symlink_to(f"{path.stem}.real")),
}  # fmt: skip
BAD_LABELS: dict[str, Fault] = {
    **_HEADS,
    "bit turned": _bytes(flipped),
    "id out of range": _array(lambda values: _with_corner(values, 200)),
    "id of 16 bits": _array(lambda values: _with_corner(values.astype(np.uint16), 40_000)),
    "fractions": _array(lambda values: values.astype(np.float32) + np.float32(0.5), "TIFF"),
    "not a number": _array(lambda values: np.full(values.shape, np.nan, np.float32), "TIFF"),
    "negative": _array(lambda values: values.astype(np.int32) - 100, "TIFF"),
    "other size": _array(lambda values: values[:-3]),
    "exchanged sides": _array(lambda values: np.ascontiguousarray(values.swapaxes(0, 1))),
    "colors": _array(lambda values: np.random.default_rng(0).integers(0, 255, (*values.shape[:2], 3), np.uint8)),
    "cmyk": _as("JPEG", "CMYK"),
    "animated gif": _animated("GIF"),
    "animated png": _animated("PNG"),
    "two pages": lambda path: path.write_bytes(
        saved(picture(path), "TIFF", save_all=True, append_images=[picture(path)])
    ),
}
GOOD_LABELS: dict[str, Fault] = {
    "palette": lambda path: path.write_bytes(_with_palette(np.array(picture(path)))),
    "interlaced": _interlaced,
    "16 bits": _array(lambda values: values.astype(np.uint16)),
    "32 bits": _array(lambda values: values.astype(np.int32), "TIFF"),
    "whole fractions": _array(lambda values: values.astype(np.float32), "TIFF"),
    "three equal channels": _array(lambda values: np.dstack([values] * 3)),
    "with transparency": _array(lambda values: np.dstack([values, values * 0 + 9])),
    "bmp under this name": _as("BMP"),
    "tiff under this name": _as("TIFF", compression="tiff_lzw"),
    "sideways": lambda path: _as("PNG", exif=_turn(6))(path),
}
BAD_TEXT: dict[str, Fault] = {
    "empty": _HEADS["empty"],
    "truncated at a half": _HEADS["truncated at a half"],
    "zeros": _HEADS["zeros"],
    "no UTF-8": _bytes(lambda data: b"\xff\xfe\xfa" + data),
    "picture": _bytes(lambda data: huge_png()),
    "other tree": _bytes(lambda data: b'[[[[1, "x"], null]]]'),
    "vanished": Path.unlink,
    "loop of links": _replaced(_loop),
    "folder": _replaced(Path.mkdir),
    "pipe": _replaced(os.mkfifo),
}


def _tiff_of_bands(image: Image.Image) -> bytes:
    """Write an uncompressed TIFF of five bands, by hand."""
    height, width = image.height, image.width
    size = height * width * 5
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 200, 277: 5, 278: height, 279: size}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)
    return head.ljust(200, b"\0") + bytes(size)


def _with_corner(values: np.ndarray, value: int) -> np.ndarray:
    values = values.copy()
    values[:2, :3] = value
    return values


def _with_palette(values: np.ndarray) -> bytes:
    image = Image.fromarray(values, "P")
    image.putpalette([part for k in range(256) for part in (k, 255 - k, 90)])
    return saved(image, "PNG")


def _turn(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif
