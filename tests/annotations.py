"""Exports of annotation tools, drawn by their rows of the table of kinds as a run would draw them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pictures import write_image

from datasets.own.contract import LabelRules, OwnClass, Picture, Sources
from datasets.own.kinds import KINDS
from datasets.own.objects import ClassFound, Export
from datasets.own.shapes import Remarks
from datasets.reading import size_of

HEIGHT, WIDTH = 6, 8
NAMES = ("road", "car")


def classes(*names: str, ids: Sequence[int] = ()) -> tuple[OwnClass, ...]:
    """Classes of these names, with ids where they are given."""
    numbers = [(number,) for number in ids] or [()] * len(names)
    return tuple(OwnClass(name, number, (0, 0, 0)) for name, number in zip(names, numbers, strict=True))


def rules(kind: str, *paths: Path, own: Sequence[OwnClass] = (), **more: Any) -> LabelRules:
    """What a dataset's file says; classes road and car by name, where no others are given."""
    return LabelRules(kind, tuple(map(str, paths)), tuple(own) or classes(*NAMES), **more)


def image(folder: Path, place: str, height: int = HEIGHT, width: int = WIDTH) -> Picture:
    """Write a picture; gives it as `find` wants it."""
    path = folder / place
    write_image(path, np.zeros((height, width, 3), np.uint8))
    return Picture(str(path), place)


def found(given: LabelRules, *pictures: Picture) -> Sources:
    """The sources of pictures."""
    find = KINDS[given.kind].find
    assert find is not None
    sources = find(pictures, given, "my.yaml, labels")
    assert isinstance(sources, Sources)
    return sources


def labels(given: LabelRules, *pictures: Picture) -> list[np.ndarray]:
    """The labels of pictures."""
    draw, sources = KINDS[given.kind].draw, found(given, *pictures)
    assert draw is not None
    return [draw(sources[picture.path], size_of(picture.path), given) for picture in pictures]


def label(given: LabelRules, picture: Picture) -> np.ndarray:
    """The label of one picture."""
    return labels(given, picture)[0]


def box(top: int, left: int, bottom: int, right: int, value: int = 1, around: int = 255) -> np.ndarray:
    """A label with one rectangle."""
    made = np.full((HEIGHT, WIDTH), around, np.uint8)
    made[top:bottom, left:right] = value
    return made


def brush(mask: np.ndarray) -> list[int]:
    """Pack a mask as Label Studio does a brush, all values one by one, in runs of two."""
    values = np.stack([mask * 9] * 3 + [mask * 255], -1).ravel()
    bits = f"{len(values):032b}{7:05b}" + "0000" * 4
    bits += "".join(f"0001{a:08b}{b:08b}" for a, b in values.reshape(-1, 2).tolist())
    return [int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8)]


def write_json(path: Path, value: Any) -> Path:
    """Write a JSON file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def classes_of(export: Export, path: str) -> list[ClassFound]:
    """Read the classes of files of a format."""
    return export.classes_of(export.read([path], path), Remarks())
