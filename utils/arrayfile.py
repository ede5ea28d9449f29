"""NumPy's files, read as numbers: no memory is taken for more than a file holds, and what is wrong is a ValueError."""

from __future__ import annotations

import io
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

_SMALL, _LARGEST = 1 << 26, 50  # bytes that any .npz may unpack to; times as large as itself a larger one may
# What NumPy, and the modules that it reads by, raise for broken files.
_BROKEN = (EOFError, MemoryError, NotImplementedError, OverflowError, RuntimeError, SyntaxError, TypeError)
_BROKEN += (zipfile.BadZipFile, zlib.error, tokenize.TokenError)


def mapped(path: str | Path) -> np.ndarray:
    """Map the numbers of a .npy file into memory, to be read only. ValueError for what is none, OSError as always."""
    with _as_value_errors():
        return npy.open_memmap(path, mode="r").view(np.ndarray)


def columns(source: str | Path | BinaryIO) -> dict[str, np.ndarray]:
    """Read the arrays of a .npz file, {name: numbers}, which may not be written to.

    ValueError for what is none, for other things than numbers, and for one that unpacks to far more than it is; OSError
    as always.
    """
    with _as_value_errors(), zipfile.ZipFile(source) as packed:
        size = sum(entry.compress_size for entry in packed.infolist())
        if sum(entry.file_size for entry in packed.infolist()) > max(_SMALL, _LARGEST * size):
            raise ValueError(f"it unpacks to more than {_LARGEST} times its size")
        return {os.path.splitext(name)[0]: _array(packed.read(name)) for name in packed.namelist()}


def _array(data: bytes) -> np.ndarray:
    """Read an array from the bytes of a .npy file: as many numbers as there are."""
    stream = io.BytesIO(data)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(npy.read_magic(stream))
    if read is None:
        raise ValueError("an array of a version that is not known")
    shape, by_columns, kind = read(stream)
    if kind.hasobject or min(shape, default=0) < 0:
        raise ValueError("objects, or a side below 0, and no numbers")
    flat = np.frombuffer(data, kind, offset=stream.tell())
    return flat.reshape(shape, order="F" if by_columns else "C")


@contextmanager
def _as_value_errors() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
