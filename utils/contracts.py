"""The few types that several packages share.

N batch, K classes, H x W image, h x w label (usually but not always H x W).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np

if TYPE_CHECKING:  # an exported file is run without torch
    from torch import Tensor

Outputs = dict[str, "Tensor"]
UNFLIPPED = "unflipped"  # extra of a prediction over mirror images: the scores of the image as it is


@dataclass(slots=True)
class Sample:
    """One image on its way through the transforms.

    `image`: (H, W, 3) uint8 RGB, or float32, which is taken as normalized already.
    `label`: (H, W) uint8 train ids with the dataset's ignore label, or None.
    `size`: (H, W) of the file. `crop_center`: (x, y) in pixels of the file that a crop has to cover, or None.
    `short`: the short side that its batch has in common, 0 where crops make it one size. `turned`: the file asks for a
    turn (EXIF). `instead_of`: why the samples that were asked for before it could not be read.
    """

    image: np.ndarray
    label: np.ndarray | None
    name: str
    size: tuple[int, int]
    crop_center: tuple[int, int] | None = None
    short: int = 0
    turned: bool = False
    instead_of: tuple[str, ...] = ()


class CropRequest(NamedTuple):
    """What a training sampler yields: which image, what its crop covers, the seed of its augmentation.

    `short`: see Sample.
    """

    index: int
    crop_center: tuple[int, int] | None
    seed: int
    short: int = 0


class Batch(TypedDict):
    """Training batch: `image` (N, 3, H, W) uint8 RGB, `label` (N, h, w) int64 train ids, `name`, `size` (H, W)."""

    image: Tensor
    label: Tensor
    name: list[str]
    size: list[tuple[int, int]]


class EvalBatch(TypedDict):
    """Evaluation batch as lists, since images may differ in size: (H, W, 3) uint8 and (H, W) uint8 or None."""

    image: list[np.ndarray]
    label: list[np.ndarray | None]
    name: list[str]
    size: list[tuple[int, int]]


@dataclass(slots=True)
class Prediction:
    """What the Predictor says of one image.

    `classes` (H, W) uint8; `max_prob` (H, W) float32, the largest probability; `scores` (K, H, W), the
    accumulated map before the argmax, only if asked; `extras` further maps by their output's name;
    `note` says what differs from a plain whole-image pass, for instance "tiles of 512x512".
    """

    classes: Tensor
    max_prob: Tensor
    scores: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)
    note: str = ""


def scale_name(scale: float) -> str:
    """Name of a scale in output keys: 0.5 -> "05x", 1.0 -> "10x", 0.25 -> "025x"."""
    return str(float(scale)).replace(".", "") + "x"


@dataclass(frozen=True)
class DatasetSpec:
    """Classes of a dataset. `id_to_train` maps label values to train ids; None: labels are train ids already.

    `also_train_ids`: files may hold train ids in place of these values, as Cityscapes' converted ones do.
    `train_to_id` is the way back for submissions, `categories` the category of each class (empty: none),
    `palette` an RGB color a class. `color_to_id`: labels are RGB-encoded, and which color stands for which label value.
    `ignores_rest`: values and colors that are none of these are ignored, not refused.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore_label: int = 255
    id_to_train: Mapping[int, int] | None = None
    also_train_ids: bool = False
    train_to_id: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()
    color_to_id: Mapping[tuple[int, int, int], int] = field(default_factory=dict)
    ignores_rest: bool = False

    @property
    def num_classes(self) -> int:
        """How many classes there are, K."""
        return len(self.classes)

    def values(self, train_ids: bool = False) -> dict[int, int]:
        """Give {label value in a file: its train id, or the ignore label}; `train_ids`: the files hold train ids.

        A negative id is stored as a byte, Cityscapes' -1 as 255. In train ids 255 is always ignored; otherwise what
        `id_to_train` says of it.
        """
        if train_ids or self.id_to_train is None:
            return {**{train: train for train in range(self.num_classes)}, self.ignore_label: self.ignore_label}
        return {
            value if value >= 0 else value % 256: train if 0 <= train < self.num_classes else self.ignore_label
            for value, train in self.id_to_train.items()
        }


def id_table(spec: DatasetSpec) -> np.ndarray:
    """(256,) from train ids to the dataset's own ids; unchanged where it has no others. uint16 if one is above 255."""
    table = np.arange(256, dtype=np.uint16 if max(spec.train_to_id, default=0) > 255 else np.uint8)
    table[: len(spec.train_to_id)] = spec.train_to_id
    return table
