"""Reading a checkpoint without ever running what it contains.

A pickle can name any function and have it called. torch's restricted reader builds tensors and plain containers
only; to these we add NumPy scalars, which training scripts store as scores. Paddle's bare pickles of arrays have a
reader of their own. An encoder's and a decoder's file are read as one.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from utils import pairs, pickled
from utils.errors import UserError

# The types behind np.dtype("float64") and its kin, under which NumPy pickles a scalar's type.
_NUMBERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_NUMBERS += ("float16", "float32", "float64")
ALLOWED: list[Any] = [np.dtype, *{type(np.dtype(name)) for name in _NUMBERS}]
# The one function that makes a scalar, under the two names that NumPy 1 and NumPy 2 write.
_scalar = np.float64(0).__reduce__()[0]
ALLOWED += [(_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]


def read(path: str | os.PathLike[str]) -> Any:
    """Content of a torch file, zip or legacy container, with tensors on the CPU; with arrays of a Paddle file, which is
    told by its suffix. Of a folder, or of two paths with a comma: a `pairs.Pair`.

    Raises UserError, in one line, for a file that is missing, truncated, no checkpoint, or that names anything but
    tensors, arrays, plain containers and NumPy scalars; such a file is refused before anything in it is called.
    """
    if pairs.is_pair(path):
        encoder, decoder = pairs.files(path)
        return pairs.Pair(_single(encoder), _single(decoder), (encoder, decoder))
    return _single(Path(path))


def _single(path: Path) -> Any:
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise UserError(f"checkpoint {path}: there is {found} here; give the path of a .pth file")
    try:
        if path.suffix in pickled.SUFFIXES:
            with path.open("rb") as file:
                return pickled.load(file)
        with warnings.catch_warnings(), torch.serialization.safe_globals(ALLOWED):
            warnings.simplefilter("ignore")  # about pickle protocols; what cannot be read is an error below
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file may raise nearly anything: KeyError, EOFError, struct.error, ...
        raise UserError(f"checkpoint {path}: {_reason(path, error)}") from error


def _reason(path: Path, error: Exception) -> str:
    """What is wrong with the file and what to do, in one line."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        return f"cannot be read ({error.strerror or error})"
    if path.stat().st_size == 0:
        return "the file is empty; write or download it again"
    for sign in ("Unsupported global: GLOBAL ", "Unsupported class ", "Trying to load unsupported GLOBAL "):
        if sign in str(error):
            name = str(error).split(sign, 1)[1].split()[0]
            return f"refused, since it asks for {name}; only tensors, plain containers and numbers are read"
    kind = type(error).__name__
    return f"not a readable checkpoint ({kind}); it may be truncated or of another kind: write or download it again"
