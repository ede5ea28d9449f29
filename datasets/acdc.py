"""ACDC (Sakaridis, Dai, Van Gool 2021, arXiv:2104.13395): Cityscapes' classes in fog, at night, in rain and in snow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import cityscapes
from datasets.base import Item
from datasets.entry import DatasetEntry
from datasets.reading import find_folder, require_label
from media.files import images_in, listing_for_message, unique_names
from utils.contracts import DatasetSpec
from utils.errors import UserError, nearest

CONDITIONS = ("fog", "night", "rain", "snow")
# Its labels are read with Cityscapes' own ids, its submissions written with train ids.
SPEC: DatasetSpec = replace(cityscapes.SPEC, name="acdc", train_to_id=())

_IMAGE = "_rgb_anon"


def items(root: str, mode: str, cfg: Any) -> list[Item]:
    """List the items of `mode` (train, val or test), condition by condition as --conditions has them, by path.

    `<root>/rgb_anon/<condition>/<mode>/<sequence>/*_rgb_anon.png` with labels `<root>/gt/..._gt_labelIds.png`; test
    images have none. UserError names a condition that is unknown, or whose folder is not there.
    """
    conditions = cfg.DATASET.CONDITIONS or CONDITIONS
    for condition in conditions:
        if condition not in CONDITIONS:
            near = nearest(condition, CONDITIONS)
            raise UserError(f"unknown condition {condition!r} of ACDC{near}; known: {', '.join(CONDITIONS)}")
    images = find_folder(root, ("rgb_anon",), "ACDC images")
    paired = [
        (condition, path, _label(path, images, labeled=mode != "test"))
        for condition in conditions
        for path in _frames(images, condition, mode)
    ]
    stems = [path.stem for _, path, _ in paired]
    names = unique_names(
        [[stem, f"{condition}__{stem}"] for (condition, _, _), stem in zip(paired, stems, strict=True)]
    )
    return [
        Item(str(path), label, name, condition=condition)
        for (condition, path, label), name in zip(paired, names, strict=True)
    ]


def _frames(images: Path, condition: str, mode: str) -> Iterator[Path]:
    folder = images / condition / mode
    if not folder.is_dir():
        there = listing_for_message(folder.parent if folder.parent.is_dir() else images)
        advice = "complete it, or name those that are there with --conditions"
        raise UserError(f"ACDC: the folder {folder} does not exist (found there: {there}); {advice}")
    paths = [path for path in images_in(folder, recursive=True) if path.stem.endswith(_IMAGE)]
    if not paths:
        raise UserError(f"ACDC: no images *{_IMAGE}.png in the folders of sequences of {folder}")
    yield from paths


def with_condition(item: Item) -> Item:
    """Give an item of a list the condition that a folder on the way to its image is called by, if there is one."""
    folders = Path(item.image).parts
    return item._replace(condition=next((name for name in CONDITIONS if name in folders), ""))


def _label(image: Path, images: Path, labeled: bool) -> str | None:
    if not labeled:
        return None
    place = images.parent / "gt" / image.parent.relative_to(images)
    return require_label(place / f"{image.stem.removesuffix(_IMAGE)}_gt_labelIds.png", image)


DATASET = DatasetEntry(SPEC, items, root="ACDC_DIR", complete=with_condition, reads=("CONDITIONS",))
