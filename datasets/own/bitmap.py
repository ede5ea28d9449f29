"""Small pictures inside of annotation files that are the pixels of one object."""

from __future__ import annotations

import base64
import binascii
import zlib

import cv2
import numpy as np

from datasets.own.shapes import declared_size
from media.decoding import decode, head_of
from utils.errors import UserError

_LARGEST = 1 << 28  # bytes of a picture in a file; one of a billion pixels in two colors is far smaller


def letters(text: str, where: str, packed: bool = False) -> bytes:
    """Read bytes that are written as letters (base64); `packed`: compressed by zlib as well. UserError for others."""
    try:
        data = base64.b64decode(text, validate=True)
        if not packed:
            return data
        unpack = zlib.decompressobj()
        data = unpack.decompress(data, _LARGEST)
        if not unpack.eof:
            raise ValueError
        return data
    except (binascii.Error, zlib.error, ValueError):
        raise UserError(f"{where}: its mask is damaged") from None


def size_of(content: bytes, where: str) -> tuple[int, int]:
    """Read (H, W) of a picture by its head; UserError for what is none, and for one that is too large."""
    head = head_of(content)
    if head is None:
        raise UserError(f"{where}: its mask is no picture")
    return declared_size(head.height, head.width, where)


def inside_of(content: bytes, where: str) -> np.ndarray:
    """Decode a mask: (H, W) bool, where its alpha, or its only channel, is not 0."""
    size_of(content, where)
    values = decode(content, cv2.IMREAD_UNCHANGED)
    if values is None:
        raise UserError(f"{where}: its mask is damaged")
    if values.ndim == 3 and values.shape[2] == 3:
        return values.max(2) > 0
    return (values if values.ndim == 2 else values[..., -1]) > 0
