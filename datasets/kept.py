"""Images and labels that are kept decoded (`datasets.keeping` makes them): raw pixels, mapped into memory, or PNG."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from media import intact
from media.decoding import decode, decode_rgb
from utils import arrayfile
from utils.contracts import Sample
from utils.errors import UserError, in_short

RAW, PACKED = ".npy", ".png"


class Kept(NamedTuple):
    """The files of an item's decoded image and label, empty where it has none; `turned`: its image asks for a turn."""

    image: str = ""
    label: str = ""
    turned: bool = False


def image(file: str, of: str) -> np.ndarray:
    """Read the (H, W, 3) uint8 RGB of the image `of`; UserError for a damaged file."""
    return _read(file, of, 3)


def label(file: str, of: str) -> np.ndarray:
    """Read the (H, W) uint8 train ids of the label `of`; UserError for a damaged file."""
    return _read(file, of, 2)


def _read(file: str, of: str, dimensions: int) -> np.ndarray:
    """Read a file; of raw pixels a map that may only be read, so that whoever cuts reads what is cut alone."""
    why = "damaged"
    try:
        if file.endswith(RAW):
            values = arrayfile.mapped(file)
        else:
            data = Path(file).read_bytes()
            whole = not intact.fault(data)
            values = (decode_rgb(data) if dimensions == 3 else decode(data, cv2.IMREAD_UNCHANGED)) if whole else None
    except (OSError, ValueError) as error:
        values, why = None, in_short(error)
    if values is None or values.ndim != dimensions or values.dtype != np.uint8:
        raise UserError(f"cannot read {file}, which keeps {of} decoded: {why}; delete it, the next start makes it anew")
    return values


def own(sample: Sample) -> None:
    """Copy what is still a map in a sample, which may be written then."""
    if not sample.image.flags.writeable:
        sample.image = sample.image.copy()
    if sample.label is not None and not sample.label.flags.writeable:
        sample.label = sample.label.copy()
