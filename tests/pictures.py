"""Files of pictures for tests."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_image(path: Path, array: np.ndarray) -> None:
    """Write an RGB or gray array in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array[..., ::-1] if array.ndim == 3 else array)
