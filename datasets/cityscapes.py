"""Cityscapes (Cordts et al. 2016): 19 classes, fine and coarse labels, published cross-validation splits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import labelrecord
from datasets.adjacent import FrameLocator, shifted
from datasets.base import Item, PseudoLabelFilter, Split
from datasets.classes import of_table
from datasets.entry import DatasetEntry
from datasets.reading import find_folder, require_label
from media.files import listing_for_message, visible
from utils.errors import UserError

# name, raw id, category, color; the train id is the position.
_CLASSES = (
    ("road", 7, "flat", (128, 64, 128)),
    ("sidewalk", 8, "flat", (244, 35, 232)),
    ("building", 11, "construction", (70, 70, 70)),
    ("wall", 12, "construction", (102, 102, 156)),
    ("fence", 13, "construction", (190, 153, 153)),
    ("pole", 17, "object", (153, 153, 153)),
    ("traffic light", 19, "object", (250, 170, 30)),
    ("traffic sign", 20, "object", (220, 220, 0)),
    ("vegetation", 21, "nature", (107, 142, 35)),
    ("terrain", 22, "nature", (152, 251, 152)),
    ("sky", 23, "sky", (70, 130, 180)),
    ("person", 24, "human", (220, 20, 60)),
    ("rider", 25, "human", (255, 0, 0)),
    ("car", 26, "vehicle", (0, 0, 142)),
    ("truck", 27, "vehicle", (0, 0, 70)),
    ("bus", 28, "vehicle", (0, 60, 100)),
    ("train", 31, "vehicle", (0, 80, 100)),
    ("motorcycle", 32, "vehicle", (0, 0, 230)),
    ("bicycle", 33, "vehicle", (119, 11, 32)),
)
_RAW_IDS = range(-1, 34)  # -1, the license plate, is stored as 255

SPEC = of_table(
    "cityscapes",
    [(name, color) for name, _, _, color in _CLASSES],
    ids=[raw for _, raw, _, _ in _CLASSES],
    ignored=_RAW_IDS,
    also_train_ids=True,
    categories=tuple(category for _, _, category, _ in _CLASSES),
)

VAL_CITIES = ("frankfurt", "lindau", "munster")
TRAIN_CITIES = (
    "aachen", "bochum", "bremen", "cologne", "darmstadt", "dusseldorf", "erfurt", "hamburg", "hanover", "jena",
    "krefeld", "monchengladbach", "strasbourg", "stuttgart", "tubingen", "ulm", "weimar", "zurich",
)  # fmt: skip
# What --cv 0, 1, 2 hold out for validation: thirds of the val cities followed by the sorted train cities.
CV_VAL_CITIES = (VAL_CITIES, ("darmstadt", "dusseldorf", "erfurt"), ("monchengladbach", "strasbourg", "stuttgart"))
CV_ALL = 3  # --cv 3: train on train and val together

_IMAGE_END = "_leftImg8bit.png"
_IMAGE_TREES = ("leftImg8bit_trainvaltest/leftImg8bit", "leftImg8bit")
FINE_TREES = ("gtFine_trainvaltest/gtFine", "gtFine")
_EXTRA_TREES = ("leftImg8bit_trainextra/leftImg8bit/train_extra", "leftImg8bit/train_extra")
_COARSE_TREES = ("gtCoarse/gtCoarse/train_extra", "gtCoarse/train_extra")
_PSEUDO_TREES = ("train_extra", ".")  # in a folder of that name, or the cities at once

# Pseudo-labels are wrong where the car's hood and the rectified border are.
_MASK_ROWS, _MASK_COLUMNS = (15, 840), (14, 2030)


@dataclass(frozen=True)
class Coarse:
    """Coarse images beside the fine ones: whose centroids are boosted, and how pseudo-labels are filtered.

    `min_confidence` below 0: the coarse labels that people drew; otherwise the pseudo-labels in `pseudo_root`. `boost`
    empty: all classes.
    """

    boost: tuple[int, ...] = ()
    min_confidence: float = -1.0
    coarse_label_classes: tuple[int, ...] = ()
    mask_border: bool = False
    pseudo_root: str = ""

    @classmethod
    def of(cls, options: Any) -> Coarse | None:
        """Read what the options DATASET.* say of coarse images; None if they do not ask for them."""
        o = options
        if o.CUSTOM_COARSE_DROPOUT_CLASSES and o.CUSTOM_COARSE_PROB < 0:
            flag = "--custom_coarse_dropout_classes"
            raise UserError(f"{flag} is for pseudo-labels: add --custom_coarse_prob, or leave it out")
        if not (o.COARSE_BOOST_CLASSES or o.ONLY_COARSE or o.COARSE_MULTIPLE or o.CUSTOM_COARSE_PROB >= 0):
            return None
        return cls(
            _classes(o.COARSE_BOOST_CLASSES, "--coarse_boost_classes"),
            o.CUSTOM_COARSE_PROB,
            _classes(o.CUSTOM_COARSE_DROPOUT_CLASSES, "--custom_coarse_dropout_classes"),
            o.MASK_OUT_CITYSCAPES,
            o.CITYSCAPES_CUSTOMCOARSE,
        )

    def filter(self) -> PseudoLabelFilter:
        """Make the rule of what is left of a pseudo-label."""
        return PseudoLabelFilter(
            max(self.min_confidence, 0.0),
            self.coarse_label_classes,
            _MASK_ROWS if self.mask_border else None,
            _MASK_COLUMNS if self.mask_border else None,
        )


def _classes(classes: tuple[int, ...], flag: str) -> tuple[int, ...]:
    if any(not 0 <= c < SPEC.num_classes for c in classes):
        raise UserError(f"{flag} takes train ids 0 to 18, comma-separated, not {','.join(map(str, classes))!r}")
    return classes


def split_cities(cv: int, in_train: Sequence[str], in_val: Sequence[str], mode: str) -> list[str]:
    """List `"train/aachen"`-like folders of `mode` ("train", "val", "trainval") for a cross-validation split.

    Val cities come first, both groups sorted. Of cities that the published table knows, splits 1 and 2 hold out the
    published ones; of others, the rule behind the table is applied.
    """
    every = [f"val/{city}" for city in sorted(in_val)] + [f"train/{city}" for city in sorted(in_train)]
    if mode == "trainval" or (mode == "train" and cv == CV_ALL):
        return every
    if cv in (0, CV_ALL):
        held_out = {name for name in every if name.startswith("val/")}
    elif {*in_train, *in_val} <= {*TRAIN_CITIES, *VAL_CITIES}:
        held_out = {name for name in every if name.split("/")[1] in CV_VAL_CITIES[cv]}
    else:
        first = cv * len(every) // 3
        held_out = set(every[first : first + len(in_val)])
    return [name for name in every if (name in held_out) == (mode == "val")]


def items(root: str, mode: str, cfg: Any) -> Split:
    """List the files of `mode` (train, val or test) as --cv divides them, in training with coarse ones as asked."""
    return split(root, mode, cfg.DATASET.CV, Coarse.of(cfg.DATASET) if mode == "train" else None)


def split(root: str, mode: str, cv: int = 0, coarse: Coarse | None = None) -> Split:
    """List the items of `mode` (train, val, trainval, test) of either published tree; UserError if any is missing."""
    images = find_folder(root, _IMAGE_TREES, "Cityscapes images")
    if mode == "test":
        folders = [f"test/{city}" for city in _cities(images / "test")]
        return Split.plain(_pair(images, folders, None))
    what = "Cityscapes fine labels" + (", which coarse images only add to" if coarse else "")
    labels = find_folder(root, FINE_TREES, what)
    in_train, in_val = (_cities(images / part) for part in ("train", "val"))
    fine = _pair(images, split_cities(cv, in_train, in_val, mode), labels)
    if coarse is None:
        return Split.plain(fine)
    extra = _pseudo_items(root, coarse) if coarse.min_confidence >= 0 else _coarse_items(root)
    return Split(fine + extra, len(fine), coarse.filter(), coarse.boost or tuple(range(SPEC.num_classes)))


_FRAME = re.compile(r"(.+_\d+_)(\d{6})(_leftImg8bit)?")


def adjacent_frames(root: str, cfg: Any) -> FrameLocator:
    """Find frames <city>_<sequence>_<frame>, with the same kind of ids as their item, in --aug_dir or in cs_aug.

    UserError if neither published tree is there.
    """
    place = cfg.DATASET.AUG_DIR or str(Path(root) / "cs_aug")
    what = "frames with propagated labels (--aug_dir)"
    images, labels = (find_folder(place, trees, what) / "train" for trees in (_IMAGE_TREES, FINE_TREES))

    def files(item: Item, shift: int) -> tuple[Path, Path] | None:
        city, stem = Path(item.image).parent.name, shifted(item.name, _FRAME, shift)
        if stem is None:
            return None
        kind = "labelTrainIds" if item.train_ids else "labelIds"
        return images / city / f"{stem}_leftImg8bit.png", labels / city / f"{stem}_gtFine_{kind}.png"

    return FrameLocator(files, f"looked in {place}")


def _cities(folder: Path) -> list[str]:
    if not folder.is_dir():
        there = listing_for_message(folder.parent)
        raise UserError(f"Cityscapes images: no folder {folder.name} in {folder.parent}; found there: {there}")
    return [entry.name for entry in visible(folder.iterdir()) if entry.is_dir()]


def _frames(folder: Path) -> list[tuple[Path, str]]:
    """List the images of one city, each with the stem that its other files share."""
    return [(path, path.name[: -len(_IMAGE_END)]) for path in visible(folder.glob("*" + _IMAGE_END))]


def _pair(images: Path, folders: Sequence[str], labels: Path | None) -> list[Item]:
    items = []
    for folder in folders:
        for path, stem in _frames(images / folder):
            label = labels / folder / f"{stem}_gtFine_labelIds.png" if labels else None
            converted = label and label.with_name(f"{stem}_gtFine_labelTrainIds.png")
            train_ids = bool(label and converted and not label.is_file() and converted.is_file())
            chosen = converted if train_ids else label
            items.append(Item(str(path), require_label(chosen, path) if chosen else None, path.stem, train_ids))
    if not items:
        raise UserError(f"no images *{_IMAGE_END} in {images} (folders: {', '.join(folders) or 'none'})")
    return items


def _extra(root: str) -> tuple[Path, list[tuple[Path, str, str]]]:
    """Find the folder train_extra, and each of its images with its city and the stem that its other files share."""
    images = find_folder(root, _EXTRA_TREES, "Cityscapes coarse images")
    return images, [(path, city, stem) for city in _cities(images) for path, stem in _frames(images / city)]


def _coarse_label(labels: Path, city: str, stem: str) -> Path:
    return labels / city / f"{stem}_gtCoarse_labelIds.png"


def _coarse_items(root: str) -> list[Item]:
    """List the images of train_extra with the labels that people drew."""
    images, found = _extra(root)
    labels = find_folder(root, _COARSE_TREES, "Cityscapes coarse labels")
    items = [
        Item(str(path), require_label(_coarse_label(labels, city, stem), path), path.stem) for path, city, stem in found
    ]
    if not items:
        raise UserError(f"no images *{_IMAGE_END} in the folders of {images}")
    return items


def _pseudo_items(root: str, coarse: Coarse) -> list[Item]:
    """List the images of train_extra that have a pseudo-label. Without a record nobody knows yet what ids it holds."""
    images, found = _extra(root)
    pseudo = find_folder(coarse.pseudo_root, _PSEUDO_TREES, "pseudo-labels (DATASET.CITYSCAPES_CUSTOMCOARSE)")
    record = labelrecord.check(Path(coarse.pseudo_root), SPEC)
    drawn = find_folder(root, _COARSE_TREES, "Cityscapes coarse labels") if coarse.coarse_label_classes else None
    train_ids, turned = record.holds_train_ids(SPEC) if record else None, bool(record and record.upright)
    items = []
    for path, city, stem in found:
        label = pseudo / city / path.name
        if label.is_file():
            probabilities = label.with_name(f"{label.stem}_prob.png")
            prob = _beside(probabilities, label) if coarse.min_confidence > 0 else None
            by_hand = _beside(_coarse_label(drawn, city, stem), label) if drawn else None
            items.append(Item(str(path), str(label), path.stem, train_ids, prob, by_hand, True, exif_turned=turned))
    if not items:
        raise UserError(f"no pseudo-labels <city>/*{_IMAGE_END} in {pseudo} for the images in {images}")
    return items


def _beside(path: Path, label: Path) -> str:
    if not path.is_file():
        raise UserError(f"pseudo-label {label} needs {path}")
    return str(path)


# Options that datasets without coarse images do not have.
IN_TRAINING = (
    "COARSE_BOOST_CLASSES", "CUSTOM_COARSE_PROB", "CUSTOM_COARSE_DROPOUT_CLASSES", "ONLY_COARSE", "COARSE_MULTIPLE",
    "MASK_OUT_CITYSCAPES", "MAX_SKIP",
)  # fmt: skip

DATASET = DatasetEntry(
    SPEC, items, root="CITYSCAPES_DIR", adjacent_frames=adjacent_frames, reads_in_training=IN_TRAINING
)
