"""What an evaluation for a comparison keeps of each image, in one file a checkpoint that survives an interruption.

An SQLite file: a row an image, written when the image is done, so that a second start goes on behind the last one.
Reading goes image by image: what is in memory does not grow with the size of the pictures.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from evaluation.imagecounts import ImageCounts
from utils import arrayfile
from utils.errors import UserError, in_short
from utils.visualize import encode_png

SMALL = 384  # long edge of the class maps


class ScoredImage(NamedTuple):
    """Of one image: `pixels` (3, K), `boundary` (2, K), `bins` and `objects` as `ImageCounts` has them; `logits` (m, K)
    and `truth` (m,) of some pixels; `classes`: the prediction, small, (h, w) uint8.
    """

    pixels: np.ndarray
    boundary: np.ndarray
    bins: np.ndarray
    objects: np.ndarray
    logits: np.ndarray
    truth: np.ndarray
    classes: np.ndarray


class ScoredImages:
    """The file of one checkpoint. UserError for a file that is damaged, or none of ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._readable():
            self._file = sqlite3.connect(path, isolation_level=None)  # each row is whole as soon as it is there
            self._file.execute("PRAGMA synchronous = NORMAL")
            columns = "name TEXT PRIMARY KEY, counts BLOB, sample BLOB, classes BLOB"
            self._file.execute(f"CREATE TABLE IF NOT EXISTS images ({columns})")
            self._file.execute("SELECT name, counts, sample, classes FROM images LIMIT 1").fetchone()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, cv2.error, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{self.path} cannot be used ({in_short(error)}): delete it, and it is made anew") from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def names(self) -> set[str]:
        """Give the names of the images that are done."""
        with self._readable():
            return {_name(key) for (key,) in self._file.execute("SELECT name FROM images")}

    def add(self, name: str, image: ScoredImage) -> None:
        """Keep an image."""
        counts = _pack(pixels=image.pixels, boundary=image.boundary, bins=image.bins, objects=image.objects)
        sample = _pack(logits=image.logits, truth=image.truth)
        row = (_key(name), counts, sample, encode_png(image.classes, level=9))
        with self._readable():
            self._file.execute("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?)", row)

    def counts(self, names: Sequence[str]) -> ImageCounts:
        """Read the counts of images, in the order of `names`."""
        with self._readable():
            found = [_unpack(self._one("counts", name)) for name in names]
            parts = (np.stack([one[part] for one in found]).astype(np.float64) for part in ImageCounts.__annotations__)
            return ImageCounts(*parts)

    def sample(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read the pixels that were kept: logits (M, K), truth (M,), and the place of each one's image in `names`."""
        with self._readable():
            found = [_unpack(self._one("sample", name)) for name in names]
            logits, truth = (np.concatenate([one[part] for one in found]) for part in ("logits", "truth"))
            return logits, truth, np.repeat(np.arange(len(names)), [len(one["truth"]) for one in found])

    def classes(self, name: str) -> np.ndarray:
        """Read the small class map of an image, (h, w) uint8."""
        with self._readable():
            found = cv2.imdecode(np.frombuffer(self._one("classes", name), np.uint8), cv2.IMREAD_GRAYSCALE)
            if found is None:
                raise ValueError(f"the class map of {name} is damaged")
            return found

    def _one(self, column: str, name: str) -> bytes:
        row = self._file.execute(f"SELECT {column} FROM images WHERE name = ?", (_key(name),)).fetchone()
        if row is None:
            raise KeyError(f"{name} is not there")
        return row[0]


def _key(name: str) -> str:
    """Write a name as SQLite takes it: file names need not be UTF-8."""
    return name.encode("utf-8", "surrogateescape").hex()


def _name(key: str) -> str:
    return bytes.fromhex(key).decode("utf-8", "surrogateescape")


def _pack(**arrays: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.savez_compressed(data, allow_pickle=False, **arrays)
    return data.getvalue()


def _unpack(data: bytes) -> dict[str, np.ndarray]:
    return arrayfile.columns(io.BytesIO(data))
