"""ADE20K scene parsing (Zhou et al., arXiv:1608.05442): 150 classes, 0 = other; the plain folder, or .odgt lists."""

from __future__ import annotations

import os
from pathlib import Path

from datasets.ade20k_classes import CLASSES
from datasets.base import Item, Split
from datasets.files import some_images
from datasets.reading import find_folder, require_label
from datasets.repeated import once
from utils import textfile
from utils.contracts import DatasetSpec
from utils.errors import UserError

SPEC = DatasetSpec(
    name="ade20k",
    classes=tuple(name for name, _ in CLASSES),
    palette=tuple(colour for _, colour in CLASSES),
    id_to_train={0: 255, **{value: value - 1 for value in range(1, len(CLASSES) + 1)}},
    train_to_id=tuple(range(1, len(CLASSES) + 1)),
)

_TREES = ("ADEChallengeData2016", ".")
_SPLITS = {"train": "training", "val": "validation"}
_TESTS = ("release_test/testing", "ADEChallengeData2016/images/testing", "images/testing")
_NEEDED = ("fpath_img", "fpath_segm", "width", "height")


def items(root: str, mode: str) -> list[Item]:
    """Items of `mode` (train, val, trainval or test) of the plain folder, by name."""
    if mode == "trainval":
        return items(root, "train") + items(root, "val")
    if mode == "test":
        return [
            Item(str(path), None, path.stem) for path in some_images(find_folder(root, _TESTS, "ADE20K test images"))
        ]
    folders = [f"{tree}/images/{_SPLITS[mode]}" for tree in _TREES]
    images = find_folder(root, folders, f"ADE20K {mode} images")
    labels = images.parents[1] / "annotations" / _SPLITS[mode]
    paths = some_images(images)
    return [Item(str(path), require_label(labels / f"{path.stem}.png", path), path.stem) for path in paths]


def listed(path: str, root: str) -> Split:
    """Items of an .odgt list, each once: a JSON object a line, its paths below `root`.

    UserError names the line that is wrong.
    """
    told = [(number, line) for number, line in enumerate(textfile.lines(path, f"the list {path}"), 1) if line.strip()]
    found, notes = once(((number, _entry(f"{path}, line {number}", line, Path(root))) for number, line in told), path)
    if not found:
        raise UserError(f"the list {path} is empty")
    return Split.plain(found, notes)


def _entry(place: str, line: str, root: Path) -> Item:
    try:
        told = textfile.parse_json(line)
        lacking = [key for key in _NEEDED if key not in told]
        size = (int(told["height"]), int(told["width"])) if not lacking else (0, 0)
    except UserError as error:
        raise UserError(f"{place}: {error}") from None
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise UserError(f"{place}: no JSON object with {', '.join(_NEEDED)}: {line.strip()[:60]!r}") from None
    if lacking:
        raise UserError(f"{place}: {' and '.join(lacking)} missing")
    if min(size) < 1:
        raise UserError(f"{place}: width {size[1]} and height {size[0]} are no size of an image")
    image, label = root / str(told["fpath_img"]), root / str(told["fpath_segm"])
    for file in (image, label):
        if not os.path.isfile(file):  # pathlib's raises for a name that is too long
            raise UserError(f"{place}: {file} is not there; is {root} the folder that its paths start from?")
    return Item(str(image), str(label), image.stem, size=size)
