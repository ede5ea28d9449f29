"""Pictures that a page sends, as bytes: what they are is known, and bounded, before anything of them is decoded."""

from __future__ import annotations

import io
import warnings
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

from media.reading import PictureError, read_bytes
from utils.errors import in_short
from utils.names import shown

# Those that the readers decode, by Pillow's names, which tells their sizes by their heads.
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "PPM", "WEBP", "TIFF", "GIF", "JPEG2000", "SUN")
_KNOWN = "PNG, JPEG, WebP, TIFF, BMP, GIF, PNM"
_LONGEST_NAME = 80
_SCANS = 100  # of a JPEG; cameras and programs write up to ten, and each of them is work for all of its pixels
# Pictures that people have and no reader of ours takes, by the bytes behind the first four.
_PHONES = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif")


def file_name(given: str) -> str:
    """Give the name that a page says a file has, for people: without folders, on one line, and not too long."""
    name = shown(PurePosixPath(given.replace("\\", "/")).name) or "picture"
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 12]}...{name[-8:]}"


def picture(name: str, data: bytes, most_pixels: int) -> tuple[np.ndarray, list[str]]:
    """Decode (H, W, 3) uint8 RGB, upright, and give lines on what was made of it.

    PictureError, before anything is decoded, for what is no picture and for one of more than `most_pixels`.
    """
    width, height, about = _head(name, data)
    if width * height > most_pixels:
        raise PictureError(
            f"{name} has {width} x {height} pixels, {_mega(width * height)}: at most {_mega(most_pixels)} are taken "
            "(--max_megapixels)"
        )
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > _SCANS:
        raise PictureError(f"{name} has more than {_SCANS} scans: it is damaged, or made to do harm; save it anew")
    image, notes = read_bytes(name, data)
    if image.shape[0] * image.shape[1] > most_pixels:  # its head has lied
        raise PictureError(f"{name} is larger than its head says: it is damaged, or made to do harm")
    return image, [*notes, *about]


def _head(name: str, data: bytes) -> tuple[int, int, list[str]]:
    """Read width and height in the head of a file, and what of it is not used; PictureError where there is none."""
    if not data:
        raise PictureError(f"{name} is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged file may have one for each of its tags
            with Image.open(io.BytesIO(data), formats=_FORMATS) as head:
                return (*head.size, _unused(head))
    except UnidentifiedImageError:
        phone = " (HEIC and AVIF: save it as JPEG)" if data[4:12] in _PHONES else ""
        raise PictureError(f"{name} is no picture that is read here: {_KNOWN}{phone}") from None
    except Exception as error:  # a decoder raises what it likes
        raise PictureError(f"{name} is damaged: {in_short(error)}") from None


def _unused(head: Image.Image) -> list[str]:
    """Say what of a file the prediction leaves out."""
    # To count them takes minutes where there are a million.
    lines = ["the first of several pictures in the file"] if getattr(head, "is_animated", False) else []
    if head.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in head.info:
        lines.append("transparency is dropped: what lies behind it counts")
    return lines


def _mega(pixels: int) -> str:
    return f"{pixels / 1e6:,.1f} megapixels"
