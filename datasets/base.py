"""What every dataset is made of: a list of items, and the map-style dataset that reads and transforms them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

from datasets import kept
from datasets.itemreader import ItemReader, check_size
from datasets.kept import Kept
from datasets.rawpixels import Piece
from datasets.reading import read_label, require_label
from media.files import some_images
from media.reading import WHOLE
from transforms import Pipeline
from utils import digest
from utils.contracts import CropRequest, DatasetSpec, Sample
from utils.errors import MachineError, UserError


class Item(NamedTuple):
    """Files of one image. `train_ids`: the label holds train ids, not the dataset's own; None: nobody has said it yet.

    `pseudo_label`: a network made the label, and a PseudoLabelFilter cleans it, by its `pseudo_label_confidence`
    (an 8-bit map of its probability) and the `coarse_label` that a person drew. `size`: (H, W) by a list.
    `condition`: weather or light that scores are told apart by. `exif_turned`: the image is turned by its EXIF tag,
    since there is no label over the stored pixels, or one over the turned ones. `spec`: what its label's values mean,
    where that is not what the dataset's do. `piece`: the part of the image that this item is.
    `kept`: the files that hold image and label decoded.
    """

    image: str
    label: str | None
    name: str
    train_ids: bool | None = False
    pseudo_label_confidence: str | None = None
    coarse_label: str | None = None
    pseudo_label: bool = False
    size: tuple[int, int] | None = None
    condition: str = ""
    exif_turned: bool = False
    spec: DatasetSpec | None = None
    piece: Piece | None = None
    kept: Kept | None = None


def unlabeled(images: Path) -> list[Item]:
    """List the images of a folder, by name; UserError if there are none."""
    return [Item(str(path), None, path.stem) for path in some_images(images)]


def labeled(images: Path, labels: Path) -> list[Item]:
    """List the images of a folder, by name, with the PNG files of their stems; UserError for one without a label."""
    return [
        Item(str(path), require_label(labels / f"{path.stem}.png", path), path.stem) for path in some_images(images)
    ]


def listed(items: Sequence[Item]) -> str:
    """Say how many items, with a digest of their files' names and order, wherever their folder is."""
    names = ((x.name, os.path.basename(x.image), os.path.basename(x.label or ""), x.train_ids) for x in items)
    return f"{len(items)} of digest {digest.of_names(names)}"


@dataclass(frozen=True)
class Split:
    """Items of one split: the first `fine` make an epoch, the rest (coarse ones) come in by class centroids only.

    The last len(`source_index`) are frames beside fine ones, `source_index` the places of these. `notes`: what the log
    should say.
    """

    items: Sequence[Item]
    fine: int
    filter_pseudo_labels: PseudoLabelFilter | None = None
    boost: tuple[int, ...] = ()
    source_index: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def coarse(self) -> range:
        """Places of the coarse items."""
        return range(self.fine, len(self.items) - len(self.source_index))

    @classmethod
    def plain(cls, items: Sequence[Item], notes: tuple[str, ...] = ()) -> Split:
        """Make a split without coarse items."""
        return cls(items, len(items), notes=notes)


@dataclass(frozen=True)
class PseudoLabelFilter:
    """Says what is left of a pseudo-label.

    Pixels less probable than `min_confidence` are ignored; pixels of `coarse_label_classes`, probable or not, take the
    label that a person drew; outside `rows` and `columns` (first, one past the last) everything is ignored.
    """

    min_confidence: float = 0.0
    coarse_label_classes: tuple[int, ...] = ()
    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None

    def __call__(
        self, label: np.ndarray, confidence: np.ndarray | None, coarse_label: np.ndarray | None, ignore: int
    ) -> None:
        """Clean `label` in place: all (H, W), `confidence` uint8 = probability * 255, `coarse_label` train ids."""
        doubtful = confidence is not None and confidence < self.min_confidence * 255
        replaced = np.isin(label, self.coarse_label_classes)
        label[doubtful] = ignore
        if coarse_label is not None:
            np.copyto(label, coarse_label, where=replaced)
        for axis, span in enumerate((self.rows, self.columns)):
            if span is not None:
                edge = np.moveaxis(label, axis, 0)
                edge[: span[0]] = ignore
                edge[span[1] :] = ignore


@dataclass
class SegmentationDataset(Dataset):
    """`dataset[draw] -> Sample`: read, map labels to train ids, transform with a generator seeded by the draw.

    `draw` is a `CropRequest`, an (index, crop_center) pair or an index; the last two seed the generator by the index.
    Mistakes in the files raise UserError. `notes`: what the log should say of the items. `image_bits`: as `read_image`.
    `skips_bad`: samples with such mistakes are left out of training and scores, and counted.
    """

    items: Sequence[Item]
    spec: DatasetSpec
    transform: Callable[[Sample, random.Random], Sample] = Pipeline()
    filter_pseudo_labels: PseudoLabelFilter | None = None
    notes: tuple[str, ...] = ()
    image_bits: int = WHOLE
    skips_bad: bool = False
    bad_labels: dict[str, str] = field(default_factory=dict, init=False, repr=False)  # {file: why}, of `label_if_good`
    _reader: ItemReader = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._reader = ItemReader(self.spec, self.image_bits)

    @property
    def conditions(self) -> dict[str, str]:
        """{name: condition} of the items that have one."""
        return {item.name: item.condition for item in self.items if item.condition}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, draw: CropRequest | tuple[int, tuple[int, int] | None] | int) -> Sample:
        index, crop_center, seed, short = as_request(draw)
        item = self.items[index]
        (image, turned), label = self.image(index), self.label(index)
        check_size(item, image, label)
        sample = Sample(image, label, item.name, (image.shape[0], image.shape[1]), crop_center, short)
        sample = self.transform(sample, random.Random(seed))
        kept.own(sample)
        sample.turned = turned
        return sample

    def image(self, index: int) -> tuple[np.ndarray, bool]:
        """Read the (H, W, 3) uint8 RGB of an item, perhaps a map, and whether its file asks for a turn."""
        item = self.items[index]
        if item.kept is not None and item.kept.image:
            return kept.image(item.kept.image, item.image), item.kept.turned
        return self._reader.image(item)

    def file_of(self, index: int) -> str:
        """Name the image of an item."""
        return self.items[index].image

    def label(self, index: int) -> np.ndarray | None:
        """Read the (H, W) uint8 train ids of an item, cleaned if it is a pseudo-label; None without a label."""
        item = self.items[index]
        if item.label is None:
            return None
        if item.kept is not None and item.kept.label:
            return kept.label(item.kept.label, item.label)
        label = self._reader.label(item)
        if self.filter_pseudo_labels is not None and item.pseudo_label:
            place = item.pseudo_label_confidence
            confidence = read_label(place) if place else None
            coarse = self._reader.mapped(item, item.coarse_label, False) if item.coarse_label else None
            for other, path in ((confidence, place), (coarse, item.coarse_label)):
                if other is not None and other.shape != label.shape:
                    raise UserError(f"{path} and {item.label} differ in size")
            self.filter_pseudo_labels(label, confidence, coarse, self.spec.ignore_label)
        return label

    def label_if_good(self, index: int) -> np.ndarray | None:
        """As `label`; where bad samples are left out also None for a label that cannot be read, which is noted."""
        try:
            return self.label(index)
        except MachineError:
            raise
        except UserError as error:
            if not self.skips_bad:
                raise
            self.bad_labels[str(self.items[index].label)] = str(error)
            return None


def as_request(draw: CropRequest | tuple[int, tuple[int, int] | None] | int) -> CropRequest:
    """Complete a draw that is only an index, or that and a center: its index is its seed then."""
    if isinstance(draw, CropRequest):
        return draw
    index, crop_center = draw if isinstance(draw, tuple) else (draw, None)
    return CropRequest(index, crop_center, index)
