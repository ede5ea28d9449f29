"""Reads the files of one image once and tells what is wrong with them and what they hold."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from datasets.base import Item
from datasets.checking import duplicates, fit
from datasets.checking.faults import Fault
from datasets.checking.stored import COLOR, Stored, stored_labels
from datasets.checking.tally import Holds, holds, light_of
from datasets.itemreader import ItemReader
from datasets.labelvalues import ids_in
from datasets.reading import place_text
from media.decoding import head_of
from media.files import read_complete
from media.reading import decoded, orientation_of
from utils.contracts import DatasetSpec
from utils.errors import UserError, in_short

DEEP, GRAY = 1, 2  # traits of images, in which those of a split should agree
_FORMATS = {
    ".png": ("PNG",), ".jpg": ("JPEG", "MPO"), ".jpeg": ("JPEG", "MPO"), ".bmp": ("BMP", "DIB"), ".ppm": ("PPM",),
    ".webp": ("WEBP",), ".tif": ("TIFF",), ".tiff": ("TIFF",),
}  # fmt: skip
# What says nothing of a piece of an image: those of water and of fields are of one class, and have few borders.
_OF_WHOLE = {"blank-image", "ignored-label", "constant-label", "misplaced-label"}
Colors = tuple[tuple[int, tuple[int, int, int]], ...]  # (index, color) of a palette
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


class Subject(NamedTuple):
    """An item and the splits that it is in; `times`: how often it stands in the split that has it most often."""

    item: Item
    splits: tuple[str, ...]
    times: int = 1

    @property
    def where(self) -> str:
        """The splits as text."""
        return " and ".join(self.splits)


class Seen(NamedTuple):
    """What was seen of an image that could be read: (H, W), traits, digest of the file or a piece's pixels, looks."""

    size: tuple[int, int]
    traits: int
    digest: bytes
    small: duplicates.Small
    light: np.ndarray
    blank: bool


class Read(NamedTuple):
    """What reading an item has told; None for what could not be read. `values`: {value without a class: pixels}.

    `colors`: of the indices that a label with a palette has, where it is read by these.
    """

    subject: Subject
    faults: list[Fault]
    image: Seen | None = None
    label: Holds | None = None
    label_digest: bytes = b""
    values: dict[str, int] | None = None
    fit: fit.Fit = fit.UNKNOWN
    colors: Colors = ()


@dataclass(frozen=True)
class Reader:
    """Reads items of a dataset; `bits`: as `read_image`; `tile`: of class-uniform sampling, pixels."""

    spec: DatasetSpec
    bits: int
    tile: int

    @cached_property
    def _known(self) -> dict[int, Stored]:
        return {}

    def stored(self, item: Item) -> Stored:
        """Give what the values of an item's label mean: sets that were put together have each their own."""
        spec = item.spec or self.spec
        found = self._known.get(id(spec))
        if found is None or found.spec is not spec:
            found = self._known[id(spec)] = stored_labels(spec)
        return found

    def read(self, subject: Subject) -> Read:
        """Read an item's files, each once."""
        return _Reading(self, subject).read()

    def label_of(self, item: Item) -> tuple[np.ndarray, np.ndarray]:
        """Read a label anew, for its picture: (H, W) uint8 train ids, and bool where it has a value without a class."""
        assert item.label is not None
        data = read_complete(item.label) if item.piece is None else b""
        return self.stored(item).decoded(data, item)[:2]

    def image_of(self, item: Item) -> np.ndarray:
        """Read an image anew, for its picture: (H, W, 3) uint8."""
        return ItemReader(self.spec, self.bits).image(item)[0]


class _Reading:
    """The work on one item."""

    def __init__(self, reader: Reader, subject: Subject) -> None:
        self.reader, self.subject, self.item = reader, subject, subject.item
        self.faults: list[Fault] = []

    def fault(self, kind: str, file: str, what: str, shown: bool = True, move: tuple[int, int] | None = None) -> None:
        item = self.item if shown else None
        if (piece := self.item.piece) is not None:
            if kind in _OF_WHOLE:
                return
            what += f", in the piece from x {piece.columns[0]}, y {piece.rows[0]} on"
        self.faults.append(Fault(kind, self.subject.where, file, what, item, move=move))

    def read(self) -> Read:
        return self.read_piece() if self.item.piece is not None else self.read_files()

    def read_piece(self) -> Read:
        """Read a piece of a huge image; the raw pixels that it is read from say nothing of the file."""
        empty = Read(self.subject, self.faults)
        try:
            image = self.reader.image_of(self.item)
        except Exception as error:
            self.fault("unreadable-image", self.item.image, _reason(error, self.item.image), shown=False)
            return empty
        size, blank = (image.shape[0], image.shape[1]), bool((image == image[0, 0]).all())
        seen = Seen(size, 0, _digest(image.tobytes()), duplicates.small(image), light_of(image), blank)
        read = empty._replace(image=seen)
        if self.item.label is not None:
            read = self._label(b"", image, read)
        return read._replace(label_digest=b"", fit=read.fit._replace(here=math.nan, what="", move=None))

    def read_files(self) -> Read:
        picture = self._bytes(self.item.image, "unreadable-image")
        image = self._image(picture) if picture else None
        seen = self._seen(image, picture) if image is not None and picture else None
        empty = Read(self.subject, self.faults, seen)
        if self.item.label is None:
            return empty
        data = self._bytes(self.item.label, "unreadable-label")
        if data is None or self._is_the_image(data, picture):
            return empty
        return self._label(data, image, empty)

    def _bytes(self, path: str, kind: str) -> bytes | None:
        """Read a file; a fault of `kind`, or of links and absent labels, where there is none."""
        if not os.path.exists(path):
            if os.path.islink(path):
                self.fault("broken-link", path, f"a link to {os.readlink(path)}, which is not there", shown=False)
            elif kind == "unreadable-label":
                self.fault("missing-label", self.item.image, f"no file {path}")
            else:
                self.fault(kind, path, "is not there", shown=False)
            return None
        try:
            return read_complete(path)
        except Exception as error:
            self.fault(kind, path, _reason(error, path), shown=False)
            return None

    def _image(self, data: bytes) -> np.ndarray | None:
        try:
            image, turned = decoded(self.item.image, data, self.item.exif_turned, self.reader.bits)
        except Exception as error:
            self.fault("unreadable-image", self.item.image, _reason(error, self.item.image), shown=False)
            return None
        if turned and self.item.label is not None and not self.item.exif_turned:
            self.fault("turned-image", self.item.image, "asks viewers to turn it; it is read as it is stored")
        return image

    def _seen(self, image: np.ndarray, data: bytes) -> Seen:
        traits = self._traits(image, head_of(data))
        blank = bool((image == image[0, 0]).all())
        if blank:
            self.fault("blank-image", self.item.image, f"all of its pixels are {tuple(image[0, 0].tolist())}")
        size = image.shape[0], image.shape[1]
        return Seen(size, traits, _digest(data), duplicates.small(image), light_of(image), blank)

    def _traits(self, image: np.ndarray, head: Image.Image | None) -> int:
        """Tell how an image is stored; what is odd by itself is a fault."""
        path, mode = self.item.image, head.mode if head else ""
        if mode in _WITH_ALPHA or (head is not None and "transparency" in head.info and mode != "P"):
            self.fault("alpha-image", path, f"has transparency ({mode})")
        if mode == "CMYK":
            self.fault("print-image", path, "is CMYK")
        suffix = Path(path).suffix.lower()
        if head is not None and head.format not in _FORMATS.get(suffix, (head.format,)):
            self.fault("other-format", path, f"is a {head.format} file")
        some = image[:: max(1, image.shape[0] // 256), :: max(1, image.shape[1] // 256)]
        gray = mode[:1] in ("1", "L", "I") or bool((some == some[..., :1]).all())
        return DEEP * mode.startswith("I") + GRAY * gray

    def _is_the_image(self, label: bytes, image: bytes | None) -> bool:
        if label == image:
            self.fault("label-is-image", str(self.item.label), f"is the image {self.item.image}")
            return True
        return False

    def _label(self, data: bytes, image: np.ndarray | None, read: Read) -> Read:
        path = str(self.item.label)
        self._of_label_file(data, path)
        try:
            label, unmapped, values = self.reader.stored(self.item).decoded(data, self.item)
        except Exception as error:
            reason = _reason(error, path)
            self.fault("color-label" if COLOR in reason else "unreadable-label", path, reason, shown=COLOR in reason)
            return read
        if values:
            self.fault("unmapped-value", path, f"has {_listed(values)}, {place_text(unmapped)}")
        fits = self._against_image(label, image, path)
        found = holds(label, self.reader.spec.num_classes, self.reader.tile)
        kinds = np.flatnonzero(found.pixels).tolist()
        if kinds == [self.reader.spec.num_classes]:
            self.fault("ignored-label", path, "all of its pixels are ignored")
        elif len(kinds) == 1:
            self.fault("constant-label", path, f"all of its pixels are {self.reader.spec.classes[kinds[0]]}")
        same = image is not None and label.shape == image.shape[:2] and bool((image == label[..., None]).all())
        if same and len(kinds) > 1:
            self.fault("label-is-image", path, f"has the very values of the image {self.item.image}")
        digest = _digest(label.tobytes()) if len(kinds) > 1 else b""
        colors = self._colors(data, path)
        return read._replace(label=found, label_digest=digest, values=values, fit=fits, colors=colors)

    def _colors(self, data: bytes, path: str) -> Colors:
        """Give the colors of a palette's indices that a label has; none where it is read by its colors."""
        head = head_of(data) if self.reader.stored(self.item).tables.colors is None and data else None
        flat = (head.getpalette("RGB") if head is not None and head.mode == "P" else None) or []
        table = {i: (flat[3 * i], flat[3 * i + 1], flat[3 * i + 2]) for i in range(len(flat) // 3)}
        return tuple((i, table[i]) for i in np.unique(ids_in(data, path)).tolist() if i in table) if table else ()

    def _of_label_file(self, data: bytes, path: str) -> None:
        """Tell of a label in a format that does not keep values."""
        jpeg, webp = data.startswith(b"\xff\xd8"), data.startswith(b"RIFF") and data[12:16] == b"VP8 "
        if jpeg or webp:
            self.fault("lossy-label", path, f"is a {'JPEG' if jpeg else 'lossy WebP'} file")

    def _against_image(self, label: np.ndarray, image: np.ndarray | None, path: str) -> fit.Fit:
        """Compare a label with its image: the size, and whether its borders lie over edges."""
        if image is None:
            return fit.UNKNOWN
        if label.shape != image.shape[:2]:
            sizes = f"{label.shape[1]}x{label.shape[0]}, its image {image.shape[1]}x{image.shape[0]}"
            if label.shape == image.shape[1::-1] and not self.item.exif_turned and orientation_of(self.item.image) != 1:
                sizes += " as it is stored, and turned by its EXIF tag as the label is: save the image turned"
            self.fault("size-differs", path, f"is {sizes}")
            return fit.UNKNOWN
        found = fit.fit(image, label, self.reader.spec.ignore_label)
        if found.what:
            self.fault("misplaced-label", path, found.what, move=found.move)
        return found


def _reason(error: Exception, path: str) -> str:
    """Say what is wrong with a file without naming it again."""
    text = str(error) if isinstance(error, UserError) else in_short(error)
    return text.replace(f"{path}: ", "").removeprefix(f"{path} ").replace(path, "it")


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=8).digest()


def _listed(values: dict[str, int]) -> str:
    shown = [f"{value} ({pixels} pixels)" for value, pixels in list(values.items())[:4]]
    return ", ".join(shown) + (f" and {len(values) - 4} more" if len(values) > 4 else "")


def subjects(splits: dict[str, list[Item]]) -> Iterator[Subject]:
    """Give each item once, with the splits that it is in, in their order."""
    where: dict[tuple[Any, ...], dict[str, list[Item]]] = {}
    for split, items in splits.items():
        for item in items:
            where.setdefault((item.image, item.label, item.piece), {}).setdefault(split, []).append(item)
    for found in where.values():
        yield Subject(next(iter(found.values()))[0], tuple(found), max(map(len, found.values())))
