"""What an exported file says of itself: the export writes it, who runs the file reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.contracts import DatasetSpec
from utils.errors import UserError, in_short
from utils.names import shown

SMALLEST, LARGEST = 64, 8192  # sides that a file for any size takes
_LONGEST = 1 << 16  # sides that one of a single size may have
_MOST_CLASSES = 256
OUTPUTS = {"argmax": "classes", "softmax": "probabilities", "logits": "scores"}  # and their names in the file
LISTS = ("mean", "std", "classes", "palette", "label_ids", "size")  # which are written as JSON
_PICTURES, _NORMALIZED = "uint8 RGB (N, H, W, 3)", "float32 RGB (N, 3, H, W), (image / 255 - mean) / std"


@dataclass(frozen=True)
class Facts:
    """Classes, input and output of a file.

    `output`: "argmax" for classes, "softmax" for probabilities, "logits". `raw`: it takes (N, H, W, 3) uint8 RGB; else
    (N, 3, H, W) float32, from which `mean` and `std` of RGB in 0..1 are taken out. `size`: the (H, W) that it takes
    alone; None: any.
    """

    spec: DatasetSpec
    output: str
    raw: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None
    precision: str = "fp32"

    def written(self) -> dict[str, str]:
        """Write them as a file holds them, {key: text}, LISTS as JSON."""
        spec = self.spec
        values = (self.mean, self.std, spec.classes, spec.palette, spec.train_to_id, self.size)
        return {
            "output": self.output,
            "precision": self.precision,
            "input": _PICTURES if self.raw else _NORMALIZED,
            "size_rule": "size alone" if self.size else f"any, sides from {SMALLEST} to {LARGEST}",
            "dataset": spec.name,
            "ignore_label": str(spec.ignore_label),
            **{name: json.dumps(value) for name, value in zip(LISTS, values, strict=True)},
        }


def read(path: Path, found: Mapping[str, str]) -> Facts:
    """Read what the metadata {key: text} of a file says; UserError where it does not say all of it."""
    try:
        lists = {name: json.loads(found[name]) for name in LISTS}
        palette = tuple(_numbers(color, int, 0, 255, 3) for color in _list(lists["palette"]))
        ids = _numbers(lists["label_ids"], int, 0, 65535)
        names = tuple(shown(str(name)) for name in _list(lists["classes"]))
        spec = DatasetSpec(shown(found["dataset"]), names, palette, int(found["ignore_label"]), train_to_id=ids)
        mean, std = _numbers(lists["mean"], float, -1e6, 1e6, 3), _numbers(lists["std"], float, 1e-6, 1e6, 3)
        fixed = None if lists["size"] is None else _numbers(lists["size"], int, SMALLEST, _LONGEST, 2)
        raw = {_PICTURES: True, _NORMALIZED: False}[found["input"]]
        if not 1 <= spec.num_classes <= _MOST_CLASSES:
            raise ValueError(f"{spec.num_classes} classes")
        if len({*ids}) < len(ids):
            raise ValueError("two classes of the same label value")
        if found["output"] not in OUTPUTS:
            raise ValueError(f"output {found['output']}")
        if len(palette) != spec.num_classes or len(ids) not in (0, spec.num_classes):
            raise ValueError(f"{spec.num_classes} classes, {len(palette)} colors, {len(ids)} label values")
        return Facts(spec, found["output"], raw, mean, std, fixed, shown(found["precision"]))
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(
            f"{path} does not say what it takes and gives ({shown(in_short(error))}): write it by scripts/export.py"
        ) from None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _numbers(
    values: Any, kind: type[int] | type[float], least: float, most: float, count: int | None = None
) -> tuple[Any, ...]:
    """Read a list of numbers between bounds, of `count` where that is given; ValueError, TypeError for another one."""
    found = tuple(map(kind, _list(values)))
    if not all(least <= value <= most for value in found) or (count is not None and len(found) != count):
        raise ValueError(f"{values!r}: {f'{count} ' * bool(count)}numbers from {least:g} to {most:g}")
    return found
