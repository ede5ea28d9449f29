"""Pieces of huge images and labels, read row by row from files of raw pixels that are made once."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np

from media import exif
from media.files import read_complete
from media.reading import check_bands, decode_any, reduced
from utils import arrayfile
from utils.errors import UserError
from utils.files import cannot_write, whole

_ROWS = 1024  # rows that are converted at once


class Piece(NamedTuple):
    """A rectangle of a huge image: its rows and columns (first, one past the last), and the files of raw pixels.

    `image` (H, W, 3) uint8 or uint16, `label` (H, W) uint8 or uint16 values as stored, both as .npy; `whole` (H, W).
    """

    image: str
    label: str
    rows: tuple[int, int]
    columns: tuple[int, int]
    whole: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the piece."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]


def image(path: str, piece: Piece, bits: int) -> np.ndarray:
    """Read (h, w, 3) uint8 RGB of a piece of the image `path`; `bits`: as `media.reading.read_image`."""
    values = _part(piece.image, piece, path)
    return values if values.dtype == np.uint8 else reduced(path, values, bits)


def label(path: str, piece: Piece) -> np.ndarray:
    """Read the (h, w) values of a piece of the label `path`."""
    return _part(piece.label, piece, path)


def _part(file: str, piece: Piece, of: str) -> np.ndarray:
    """Read a piece's own rows and columns alone."""
    try:
        pixels = arrayfile.mapped(file)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}, the raw pixels of {of}: {error}; start again, which makes them") from None
    if pixels.shape[:2] != piece.whole:
        sizes = f"{pixels.shape[1]}x{pixels.shape[0]} pixels, its image {piece.whole[1]}x{piece.whole[0]}"
        raise UserError(f"{of} is {sizes}")
    (top, bottom), (left, right) = piece.rows, piece.columns
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def write_image(path: str, target: Path, upright: bool) -> None:
    """Decode an image once, into the raw file `target`, (H, W, 3) RGB of 8 or 16 bits. PictureError if it cannot be."""
    data = read_complete(path)
    check_bands(path, data)
    values = decode_any(path, data)
    values = exif.decoded_upright(values, data) if upright else exif.decoded_as_stored(values, data)
    del data
    _write(target, values, 3)


def write_values(values: np.ndarray, target: Path) -> None:
    """Write (H, W) values of a label into the raw file `target`."""
    _write(target, values, 0)


def write_head(stream: BinaryIO, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Write what stands before the pixels of a raw file, an .npy file."""
    head = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, head)


def _write(target: Path, values: np.ndarray, channels: int) -> None:
    """Write a raw file band by band, whole or not at all."""
    shape = (*values.shape[:2], channels) if channels else values.shape
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(target, shared=True) as stream:
            write_head(stream, values.dtype, shape)
            for top in range(0, len(values), _ROWS):
                band = values[top : top + _ROWS]
                stream.write(np.ascontiguousarray(cv2.cvtColor(band, cv2.COLOR_BGR2RGB) if channels else band).data)
    except OSError as error:
        raise cannot_write(target, error) from error
