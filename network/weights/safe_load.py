"""Reading a checkpoint without ever running what it contains.

A pickle can name any function and have it called. torch's restricted reader builds tensors and plain containers
only; `inert` puts holders of ours in place of names that stand for plain data. Files of safetensors are told by their
header. What torch does not read, a layout reads that knows the path as its own, under the same rule. A checkpoint of
ours is compared with its checksum here, whoever reads it.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from network.weights import checksum, extent, filekinds, inert, layouts, shared, vit_arrays
from utils import runfolders
from utils.errors import UserError

FORMATS = ("pt", "np", "numpy", "torch")  # of safetensors whose arrays lie as torch's do


def read(path: str | os.PathLike[str]) -> Any:
    """Content of a torch file, zip or legacy container, of safetensors, or of the arrays of ViT's authors, with tensors
    on the CPU; what a layout gives that knows the path as its own.

    Raises UserError, in one line, for a file that is missing, truncated, no checkpoint, or one of ours that is damaged;
    or that names more than tensors, containers, numbers and plain data; such a file is refused before anything in it is
    called.
    """
    layout = layouts.of_path(path)
    return layout.read(path) if layout else single(Path(path))


def single(path: Path, reader: Callable[[Path], Any] | None = None) -> Any:
    """Content of a single file as `reader` gives it, or torch; each of its errors becomes one line."""
    if not path.is_file():
        found, hint = ("a folder", runfolders.runs_below(path)) if path.is_dir() else ("nothing", "")
        raise UserError(f"checkpoint {path}: there is {found} here; {runfolders.CURE}{hint}")
    try:
        content = (reader or _content)(path)
        if checksum.is_ours(content):
            checksum.verify(content, path)
        return content
    except Exception as error:  # a broken file may raise nearly anything: KeyError, EOFError, struct.error, ...
        raise UserError(f"checkpoint {path}: {_reason(path, error, reader is None)}") from error


def _content(path: Path) -> Any:
    if filekinds.is_safetensors(path):
        return _safetensors(path)
    if filekinds.is_arrays(path):
        return vit_arrays.content(path)
    with path.open("rb") as file:
        holders = inert.stand_ins(inert.survey(path))
        with warnings.catch_warnings(), torch.serialization.safe_globals(holders):
            warnings.simplefilter("ignore")  # about pickle protocols; what cannot be read is an error below
            content = torch.load(file, map_location="cpu", weights_only=True)
    extent.check(content, path.stat().st_size)
    return content


def _safetensors(path: Path) -> dict[str, Any]:
    with safetensors.safe_open(path, "pt") as file:
        header = file.metadata() or {}
    kind = header.get("format", "pt")
    if kind not in FORMATS:
        raise UserError(f"safetensors of {kind}, whose arrays lie otherwise; give those of PyTorch")
    return shared.content(safetensors.torch.load_file(path), header)


def _reason(path: Path, error: Exception, by_torch: bool) -> str:
    """What is wrong with the file and what to do, in one line."""
    if isinstance(error, UserError):
        return str(error)
    try:
        kind = filekinds.describe(path)
    except OSError:
        kind = ""
    if kind:
        return kind
    if isinstance(error, OSError) and error.errno != errno.EINVAL:  # what torch makes of an odd place in a file
        return f"cannot be read ({error.strerror or error})"
    if isinstance(error, safetensors.SafetensorError):
        return f"a damaged or truncated safetensors file ({' '.join(str(error).split())}): download it again"
    if networks := inert.survey(path).networks:
        return whole_network(networks[-1])
    signs = ("Unsupported global: GLOBAL ", "Unsupported class ", "Trying to load unsupported GLOBAL ")
    for sign in (*signs, "Trying to call reduce for unrecognized function "):
        if sign in str(error):
            name = str(error).split(sign, 1)[1].split()[0]
            return f"refused, since it asks for {name}; only tensors, plain containers and numbers are read"
    if by_torch and filekinds.is_foreign_pickle(path):
        return filekinds.FOREIGN_PICKLE
    kind = type(error).__name__
    return f"not a readable checkpoint ({kind}); it may be truncated or of another kind: write or download it again"


def whole_network(name: str) -> str:
    """What to say of a file that holds an object of a class in place of weights."""
    return (
        f"a whole pickled network ({name}), which only its own code can read: save its weights there, "
        "torch.save(model.state_dict(), FILE)"
    )
