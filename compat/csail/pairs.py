"""Checkpoints that are two files, an encoder's and a decoder's: both paths with a comma, or the folder they lie in."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from network.weights import safe_load
from utils import runfolders
from utils.errors import UserError

NAMES = ("encoder_epoch_{}.pth", "decoder_epoch_{}.pth")  # of the two files in a folder, with the epoch


class Pair(NamedTuple):
    """Content of both files, and which files these are."""

    encoder: Any
    decoder: Any
    files: tuple[Path, Path]

    @property
    def folder(self) -> Path:
        """Where they lie; the published ones are in folders that name the network."""
        return self.files[0].absolute().parent


def is_pair(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path names two files: it is a folder, or no file and has a comma."""
    return os.path.isdir(path) or (not os.path.isfile(path) and "," in os.fspath(path))


def files(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Find encoder's and decoder's file of a path that `is_pair`; of a folder those of the newest epoch that has both.

    Raises UserError where there are not two.
    """
    if os.path.isdir(path):
        return _newest(Path(path))
    parts = [Path(part.strip()).expanduser() for part in os.fspath(path).split(",")]
    if len(parts) != 2:
        raise UserError(f"checkpoint {path}: these are {len(parts)} files; give two, the encoder's, then the decoder's")
    return parts[0], parts[1]


def read(path: str | os.PathLike[str]) -> Pair:
    """Read the content of the files of a path that `is_pair`; errors as `safe_load.single`."""
    encoder, decoder = files(path)
    return Pair(safe_load.single(encoder), safe_load.single(decoder), (encoder, decoder))


def _newest(folder: Path) -> tuple[Path, Path]:
    epochs: list[set[int]] = []
    for name in NAMES:
        pattern = re.compile(re.escape(name).replace(r"\{\}", r"(\d+)"))
        found = (pattern.fullmatch(file.name) for file in folder.iterdir() if file.is_file())
        epochs.append({int(match[1]) for match in found if match})
    both, alone = epochs[0] & epochs[1], epochs[0] ^ epochs[1]
    if both:
        encoder, decoder = (folder / name.format(max(both)) for name in NAMES)
        return encoder, decoder
    lacking = ""
    if alone:
        here, there = NAMES if max(alone) in epochs[0] else reversed(NAMES)
        lacking = f" ({here.format(max(alone))} is there, {there.format(max(alone))} is not)"
    raise UserError(
        f"checkpoint {folder}: there is a folder here, without a pair encoder_epoch_K.pth and decoder_epoch_K.pth"
        f"{lacking}; {runfolders.CURE}, or one that holds both{runfolders.runs_below(folder)}"
    )


def epoch_of(path: Path) -> int:
    """20 of encoder_epoch_20.pth; 0 where a name does not tell."""
    found = re.search(r"_epoch_(\d+)\.", path.name)
    return int(found[1]) if found else 0
