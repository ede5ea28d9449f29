"""Bytes to arrays: PNG by the fastest decoder that is installed, the rest by OpenCV, very large pictures by Pillow.

All of them give the same pixels. OpenCV and Pillow come without the limits that they set for files from strangers.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import struct
import threading
from collections.abc import Callable
from functools import cache
from importlib import metadata
from typing import Any

import cv2
import numpy as np

from media import intact

try:
    from PIL import Image
except ImportError:  # exported files are run without it
    Image = None

if Image is not None:  # a user's own pictures are as large as they are
    Image.MAX_IMAGE_PIXELS = None

_SIDE, _PIXELS = 1 << 20, 1 << 30  # OpenCV refuses more
_PNG, _END = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\0\0\0\0IEND\xaeB`\x82"  # a file without its end is cut off
_CHANNELS = {b"\x08\0\0\0\0": 1, b"\x08\x02\0\0\0": 3}  # gray and RGB of 8 bits, not interlaced, as the head says it
_DENSEST = 1100  # bytes that a byte of a PNG file can become, about: a damaged head asks for more
# What decoders may answer by a fourth channel, or by another picture.
_UNLIKE = (b"tRNS", b"acTL")

Decoder = Callable[[bytes, int, int, int], np.ndarray]  # of (data, height, width, channels), RGB


def _kornia(module: Any) -> Decoder:
    def decode(data: bytes, height: int, width: int, channels: int) -> np.ndarray:
        return module.io.decode_image_png_u8(data, (height, width), "mono" if channels == 1 else "rgb")

    return decode


def _imagecodecs(module: Any) -> Decoder:
    return lambda data, *_: module.spng_decode(data)


# Package, module, and what makes a decoder of the module; the first that is installed decodes. pyspng is none of them:
# it decodes damaged files to other pixels, and says nothing.
DECODERS: dict[str, tuple[str, Callable[[Any], Decoder]]] = {
    "kornia-rs": ("kornia_rs", _kornia),
    "imagecodecs": ("imagecodecs", _imagecodecs),
}


@cache
def _png_decoder() -> tuple[str, Decoder | None]:
    """Find the decoder of PNG files, and its name with its version."""
    for package, (module, make) in DECODERS.items():
        if importlib.util.find_spec(module):
            try:
                return f"{package} {metadata.version(package)}", make(importlib.import_module(module))
            except (ImportError, OSError, metadata.PackageNotFoundError):
                continue
    return f"OpenCV {cv2.__version__}", None


def note() -> str:
    """Say in one line what decodes PNG files."""
    name, decoder = _png_decoder()
    slower = ": slower than it can be; pip install -r requirements-speed.txt" if decoder is None else ""
    return f"PNG files are decoded by {name}{slower}"


def head_of(data: bytes) -> Any:
    """Open the picture by Pillow without decoding it; None for what that does not know, or where it is not there."""
    if Image is None:
        return None
    try:
        return Image.open(io.BytesIO(data))
    except (OSError, SyntaxError, ValueError):
        return None


def decode_rgb(data: bytes) -> np.ndarray | None:
    """Decode to (H, W, 3) uint8 RGB, as it is stored; None for what cannot be decoded."""
    values = _fast(data)
    if values is not None:
        return values if values.ndim == 3 else cv2.cvtColor(values, cv2.COLOR_GRAY2RGB)
    values = _by_opencv(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if values is None else cv2.cvtColor(values, cv2.COLOR_BGR2RGB)


def decode(data: bytes, flags: int) -> np.ndarray | None:
    """Decode as cv2.imdecode does, but pictures of any size; None for what cannot be decoded."""
    values = _fast(data) if flags & cv2.IMREAD_IGNORE_ORIENTATION else None
    if values is None:
        return _by_opencv(data, flags)
    if values.ndim == 3:
        return cv2.cvtColor(values, cv2.COLOR_RGB2BGR)
    return values if flags == cv2.IMREAD_UNCHANGED else cv2.cvtColor(values, cv2.COLOR_GRAY2BGR)


def _fast(data: bytes) -> np.ndarray | None:
    """Decode a PNG file of gray (H, W) or RGB (H, W, 3) of 8 bits by the decoder of these.

    None for other files, for damaged ones, of which OpenCV says what it does, and in threads: kornia-rs holds the
    interpreter's lock, so that they would wait for each other.
    """
    if not (data.startswith(_PNG) and data.endswith(_END)) or threading.current_thread() is not threading.main_thread():
        return None
    channels, before = _CHANNELS.get(data[24:29], 0), data[: data.find(b"IDAT") + 1]
    decoder = _png_decoder()[1]
    if not channels or decoder is None or any(kind in before for kind in _UNLIKE):
        return None
    width, height = struct.unpack_from(">II", data, 16)
    if not 0 < width * height * channels < _DENSEST * len(data):
        return None
    try:
        values = decoder(data, height, width, channels)
    except Exception:  # of its own kinds
        return None
    return values.reshape((height, width) if channels == 1 else (height, width, channels))


def _by_opencv(data: bytes, flags: int) -> np.ndarray | None:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # its caller says it, with the file's name
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(f"no memory to decode {len(data)} bytes") from None
        values = None
    return _beyond_opencv(data, flags) if values is None else values


def _beyond_opencv(data: bytes, flags: int) -> np.ndarray | None:
    """Decode by Pillow, if it is size that keeps OpenCV from it: (H, W) as stored, or (H, W, 3) BGR of 8 bits."""
    head = head_of(data)
    if head is None or (max(head.size) <= _SIDE and head.width * head.height <= _PIXELS):
        return None
    if intact.fault_of_head(head, len(data)):
        return None
    try:
        if flags == cv2.IMREAD_UNCHANGED:
            return np.array(head)
        return None if head.mode[0] in "IF" else np.array(head.convert("RGB"))[..., ::-1].copy()
    except (OSError, SyntaxError, ValueError):
        return None
