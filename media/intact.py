"""What the bytes of a picture file tell of damage before a decoder sees them, the same for every decoder.

Decoders differ: one fills up what is cut off with gray, another does not compare the checksums that a PNG file has, and
gives other pixels, unsaid. And a file of some hundred bytes may say that it has a billion pixels.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_OPTIONAL = 0x20  # in the first letter of a part's kind: decoders may pass over it
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of the kinds of color that a PNG file may have
_DEFLATED = 1032  # bytes that a byte of zlib's can become at most
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of JPEG after which its size stands
_DENSEST = 1 << 18  # pixels of one bit that a byte can become where parts are repeated, by zstd and by fax codes
_BITS = 512  # pixels that a byte of a JPEG file can become: a bit for each of 8 x 8


def fault(data: bytes) -> str:
    """Say what is wrong with a file, as "is truncated: ..."; empty for nothing, and for formats that do not tell."""
    if not data:
        return "is empty"
    if data.startswith(_PNG):
        return _of_png(data)
    if data.startswith(_JPEG):
        return _of_jpeg(data)
    return ""


def fault_of_head(head: Any, size: int) -> str:
    """Say so where a file of `size` bytes has, by its head, more pixels than it can hold; else empty.

    A decoder would ask for the memory of all of them before it reads one. `head`: as Pillow opens a file.
    """
    codecs = {tile[0] for tile in getattr(head, "tile", ())}
    densest = 8 if codecs == {"raw"} else max(_DENSEST, 8 * head.width)  # of one bit each; of a fax, a row in a bit
    too_many = head.format != "WEBP" and head.width * head.height > densest * size  # WebP ends at 16383 x 16383
    return _too_few(head.height, head.width, size) if too_many else ""


def _of_png(data: bytes) -> str:
    """Compare the checksums of the parts that make the picture, and its size with the bytes that there are."""
    view, at, packed = memoryview(data), len(_PNG), 0
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        needed = not kind[0] & _OPTIONAL
        if needed and zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            return f"is damaged: the checksum of its part {kind.decode('ascii', 'replace')} is wrong"
        packed += length if kind == b"IDAT" else 0
        if kind == b"IEND":
            return _of_png_size(data, packed)
        at = end
    return f"is truncated: it ends after {len(data)} bytes"


def _of_png_size(data: bytes, packed: int) -> str:
    width, height, bits, color = struct.unpack_from(">IIBB", data, 16)
    rows = height * (1 + width * bits * _CHANNELS.get(color, 1) // 8)
    return _too_few(height, width, packed) if rows > _DEFLATED * packed else ""


def _of_jpeg(data: bytes) -> str:
    """Look for the end, and compare the size with the bytes that there are."""
    # Inside a JPEG's picture data no marker occurs, so an end marker after the last start of scan is the end.
    if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        return f"is truncated: it ends after {len(data)} bytes"
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        if data[at + 1] in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return _too_few(height, width, len(data)) if height * width > _BITS * len(data) else ""
        at += 1 if data[at + 1] == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return ""


def _too_few(height: int, width: int, size: int) -> str:
    return f"is damaged: it says that it has {width}x{height} pixels, which its {size} bytes cannot hold"
