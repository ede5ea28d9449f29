"""Bytes to arrays by OpenCV and Pillow, without the limits that they set for files from strangers."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image

# A user's own pictures are as large as they are.
Image.MAX_IMAGE_PIXELS = None

_SIDE, _PIXELS = 1 << 20, 1 << 30  # OpenCV refuses more


def head_of(data: bytes) -> Image.Image | None:
    """Open the picture without decoding it; None for what Pillow does not know."""
    try:
        return Image.open(io.BytesIO(data))
    except (OSError, SyntaxError, ValueError):
        return None


def decode(data: bytes, flags: int) -> np.ndarray | None:
    """Decode as cv2.imdecode does, but pictures of any size; None for what cannot be decoded."""
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
    try:
        if flags == cv2.IMREAD_UNCHANGED:
            return np.array(head)
        return None if head.mode[0] in "IF" else np.array(head.convert("RGB"))[..., ::-1].copy()
    except (OSError, SyntaxError, ValueError):
        return None
