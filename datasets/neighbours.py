"""Frames around the labelled ones, with labels that video propagation made (Zhu et al. 2019, section 3.2).

`scripts/propagate_labels.py` writes such folders.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from datasets.base import Item
from utils.errors import UserError


class Neighbours(NamedTuple):
    """`items` and, of each, the place of the frame that it was made from; `missing`: how many are not there."""

    items: list[Item]
    origins: tuple[int, ...]
    missing: int


# (item, frames later) -> (image, label) that belong there, or None for a name that tells no frame.
Place = Callable[[Item, int], "tuple[Path, Path] | None"]


def around(items: Sequence[Item], skip: int, place: Place, where: str) -> Neighbours:
    """The frames exactly `skip` before and after each item, of which image and label are there.

    UserError if there is none at all; `where` says what was looked for. UserError for one without the other.
    """
    near: list[Item] = []
    origins: list[int] = []
    for origin, item in enumerate(items):
        for shift in (-skip, skip):
            files = place(item, shift)
            if files is None or not any(path.is_file() for path in files):
                continue
            for path, other in (files, files[::-1]):
                if not path.is_file():
                    raise UserError(f"--maxSkip {skip}: {other} needs {path}, which is not there")
            near.append(Item(str(files[0]), str(files[1]), files[0].stem, item.train_ids))
            origins.append(origin)
    if not near:
        raise UserError(f"--maxSkip {skip}: no frame {skip} before or after any of {len(items)} images: {where}")
    return Neighbours(near, tuple(origins), 2 * len(items) - len(near))


_CITY_FRAME = re.compile(r"(.+_\d+_)(\d{6})(_leftImg8bit)?")


def of_cityscapes(images: Path, labels: Path) -> Place:
    """Frames <city>_<sequence>_<frame> in the city's folder below `images` and `labels`, raw ids as ever."""

    def place(item: Item, shift: int) -> tuple[Path, Path] | None:
        name = _CITY_FRAME.fullmatch(item.name)
        if name is None or int(name[2]) + shift < 0:
            return None
        city, stem = Path(item.image).parent.name, f"{name[1]}{int(name[2]) + shift:06d}"
        kind = "labelTrainIds" if item.train_ids else "labelIds"
        return images / city / f"{stem}_leftImg8bit.png", labels / city / f"{stem}_gtFine_{kind}.png"

    return place


_CAMVID_FRAME = re.compile(r"(.+_)(f?)(\d+)")


def of_camvid(root: Path) -> Place:
    """Frames <sequence>_<frame> of any number of digits, as each sequence has them, below <split> and <split>annot."""

    def place(item: Item, shift: int) -> tuple[Path, Path] | None:
        name = _CAMVID_FRAME.fullmatch(item.name)
        if name is None or int(name[3]) + shift < 0:
            return None
        split, stem = Path(item.image).parent.name, f"{name[1]}{name[2]}{int(name[3]) + shift:0{len(name[3])}d}"
        return root / split / f"{stem}.png", root / f"{split}annot" / f"{stem}.png"

    return place
