"""Files to arrays, with one clear line for each way in which a file can be wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import cv2
import numpy as np
from PIL import Image

from datasets.collecting import UnmappedError
from datasets.labelvalues import check_single, ids_in, with_pixels
from media import intact
from media.decoding import decode, head_of
from media.exif import ORIENTATION, SIDES_EXCHANGED, decoded_as_stored
from media.files import listing_for_message, read_complete
from utils.contracts import DatasetSpec
from utils.errors import UserError, in_short
from utils.files import opened
from utils.histogram import value_counts

_LISTED = ContextVar("listed", default=False)  # images without label are

Read = TypeVar("Read", bound=Callable[..., Any])


def _naming(read: Read) -> Read:
    """Make a reader of a path whose errors of any kind are one line that names the file."""

    @wraps(read)
    def named(path: str, *rest: Any) -> Any:
        try:
            return read(path, *rest)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"cannot read {path}: {in_short(error)}") from error

    return cast(Read, named)


@_naming
def size_of(path: str) -> tuple[int, int]:
    """Read (H, W) of an image as it is stored, by the head of its file; UserError for one that has none."""
    try:
        with opened(path) as file, Image.open(file) as image:
            if why := intact.fault_of_head(image, os.fstat(file.fileno()).st_size):
                raise UserError(f"{path} {why}")
            turned = image.format == "TIFF" and image.getexif().get(ORIENTATION, 1) in SIDES_EXCHANGED
            return (image.width, image.height) if turned else (image.height, image.width)
    except (OSError, SyntaxError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read the size of {path}: {why}") from None


@_naming
def read_label(path: str) -> np.ndarray:
    """Read (H, W) uint8 or uint16 ids as they are stored; the indices of a palette file, not its colors."""
    return ids_in(read_complete(path), path)


def color_lut(color_to_id: Mapping[tuple[int, int, int], int], rest: int = -1) -> np.ndarray:
    """Tabulate one more than the value of color R * 65536 + G * 256 + B, 0 where it has none: (2^24,) uint8.

    `rest`: the value of all other colors.
    """
    # Zeros cost no memory until they are read.
    table = np.zeros(1 << 24, np.uint8) if rest < 0 else np.full(1 << 24, rest + 1, np.uint8)
    for (red, green, blue), value in color_to_id.items():
        table[(red << 16) | (green << 8) | blue] = value + 1
    return table


@_naming
def read_rgb_encoded(path: str, table: np.ndarray, name: str) -> np.ndarray:
    """Read (H, W) uint8 values of an RGB-encoded label; UnmappedError with file, color, pixel count and place for
    another one.

    `table` as `color_lut` makes it, `name` the dataset's.
    """
    key = color_keys(read_complete(path), path)
    values = table[key]
    if values.all():
        return values - 1
    bad, pixels = np.unique(key[values == 0], return_counts=True)
    found = with_pixels([*map(color_text, bad)], pixels)
    raise UnmappedError(f"{path}: color {found} is no class of {name}, {place_text(values == 0)}")


def color_keys(data: bytes, path: str) -> np.ndarray:
    """Decode a file's bytes to the colors R * 65536 + G * 256 + B of its stored pixels, (H, W)."""
    check_single(head_of(data), path)
    bgr = decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None:
        raise UserError(f"cannot decode {path} ({len(data)} bytes): damaged, or no image")
    bgr = decoded_as_stored(bgr, data)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA).view("<u4")[..., 0] & 0xFFFFFF  # (H, W, 4) -> (H, W)


def color_text(color: int) -> str:
    """Write a color R * 65536 + G * 256 + B as messages have it: (255, 0, 7)."""
    return f"({color >> 16}, {color >> 8 & 255}, {color & 255})"


def place_text(marked: np.ndarray) -> str:
    """Say where the marked pixels of (H, W) bool are: within 5x4 pixels from (310, 200) on."""
    x, y, width, height = cv2.boundingRect(marked.astype(np.uint8))
    return f"within {width}x{height} pixels from ({x}, {y}) on"


UNMAPPED = -1


def label_lut(spec: DatasetSpec, train_ids: bool = False) -> np.ndarray:
    """Tabulate the train id of a stored value: (256,) int16, (65536,) where one needs 16 bits; UNMAPPED: no such.

    `train_ids`: the files hold train ids although the dataset's own hold others.
    """
    values = spec.values(train_ids)
    if spec.ignores_rest:
        table = np.full(1 << 16, spec.ignore_label, np.int16)
    else:
        table = np.full(256 if max(values) < 256 else 1 << 16, UNMAPPED, np.int16)
    table[list(values)] = list(values.values())
    return table


def remap_labels(label: np.ndarray, table: np.ndarray, path: str, spec: DatasetSpec) -> np.ndarray:
    """Map stored values (H, W) to train ids, uint8; UserError with file, value and pixels for one without a class."""
    if label.dtype == np.uint8:
        present = np.flatnonzero(value_counts(label))
        bad = present[table[present] == UNMAPPED]
        if not bad.size:
            return cv2.LUT(label, table[:256].astype(np.uint8))
    else:
        present, last = np.unique(label), len(table) - 1
        bad = present[(present < 0) | (present > last) | (table[np.clip(present, 0, last)] == UNMAPPED)]
        if not bad.size:
            return table.astype(np.uint8)[label]
    found = with_pixels(bad, (int((label == value).sum()) for value in bad))
    advice = _advice(spec, present.tolist(), bad.tolist())
    raise UserError(f"{path}: label value {found} is no class of {spec.name}{advice}")


def _advice(spec: DatasetSpec, present: list[int], bad: list[int]) -> str:
    """Say what may be meant by label values that are no class."""
    if spec.also_train_ids:
        read_as_train = spec.values().keys() >= {*bad}
        return "; it was read as train ids: --label_ids raw reads the dataset's own" if read_as_train else ""
    if spec.id_to_train is not None:
        return ""
    counted = f"; classes are the values 0 to {spec.num_classes - 1} unless --classes FILE says others"
    return counted + (f" ({line})" if (line := declaration(present, spec)) else "")


def declaration(present: Sequence[int], spec: DatasetSpec) -> str:
    """Write the line of a class file that makes the values of a label its classes; empty where their numbers differ."""
    for values in (sorted(present), sorted({*present} - {spec.ignore_label})):
        if len(values) == spec.num_classes:
            return f"ids: {values}"
    return ""


def find_folder(root: str, candidates: Iterable[str], what: str) -> Path:
    """Find the first of `candidates` that is a folder under `root`; UserError with what was looked for and found."""
    base = Path(root)
    tried = list(candidates)
    for candidate in tried:
        if (base / candidate).is_dir():
            return base / candidate
    looked = " or ".join(tried)
    if not base.is_dir():
        raise UserError(f"{what}: the folder {root} does not exist (looked for {looked} in it)")
    raise UserError(f"{what}: looked for {looked} in {root}; found there: {listing_for_message(base)}")


def require_label(label: Path, image: Path) -> str:
    """Give the label's path; UserError, which names its image, if it is not there."""
    return str(label) if label.is_file() else absent_label(label, f"image without label: {image} needs {label}")


def absent_label(label: Path, message: str) -> str:
    """Raise UserError for a label that is not there; where such are to be listed, give the path that it should have."""
    if not _LISTED.get():
        raise UserError(message)
    return str(label)


@contextmanager
def listing_absent_labels() -> Iterator[None]:
    """Within it images without a label are listed with the path of one, for who wants to know of all of them."""
    token = _LISTED.set(True)
    try:
        yield
    finally:
        _LISTED.reset(token)
