"""What is told of a run: its options without anything of the machine, its score, and what that includes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import config
from engine import recipes
from engine.log import RunLog
from network.weights import Weights, parse, safe_load
from network.weights.metadata import WEIGHT_FILES
from utils.errors import UserError

# Texts that anybody chooses may be a place of a machine, so that these alone are told, and those of a list of choices.
_TOLD = ("MODEL.ARCH", "MODEL.ENCODER", "MODEL.DECODER", "PUBLISHED", "DATASET.CONDITIONS")
_FROM_ANYWHERE = ("pip:", "hf:")


@dataclass(frozen=True)
class Record:
    """A checkpoint of a finished epoch. `score`: mean IoU of its epoch's validation, in [0, 1], None: it has none.

    `options`: {key: value} as records have them, nothing of the machine among them. `start`: where the trunk's weights
    were from; `note`: on the choice of the file.
    """

    checkpoint: Path
    weights: Weights
    options: Mapping[str, Any]
    score: float | None
    averaged: bool
    start: str
    note: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """Tell what stands beside the weights, as in a checkpoint."""
        found = self.weights
        return {
            "arch": found.arch,
            "num_classes": len(found.class_names),
            "class_names": [*found.class_names],
            "class_ids": [*found.class_ids],
            "class_colors": [[*color] for color in found.class_colors],
            "mean_iu": self.score or 0.0,
            "epoch": found.epoch,
            "config": dict(self.options),
        }

    def recipe(self) -> list[tuple[str, str]]:
        """Give (option, value) of what the training was told otherwise than by default."""
        known, left_out = config.OPTIONS, ("MODEL.ARCH", "DATASET.NAME")
        rest = {key: value for key, value in self.options.items() if key not in left_out}
        found = [
            (known[k].name, str(value)) for k, value in rest.items() if value != known[k].written(known[k].default)
        ]
        return [*found, *([("weights that the trunk started from", self.start)] if self.start else [])]


def read(place: Path) -> Record:
    """Read a run by its folder, or one of its checkpoints. UserError for what is none, or has no finished epoch."""
    run = recipes.read(place)
    content = safe_load.read(run.checkpoint)
    weights = parse(content, run.checkpoint)
    if content.get("iteration", 0) or weights.epoch < 0 or "optimizer" not in content:
        raise UserError(
            f"{run.checkpoint} is no checkpoint of a finished epoch: let the training go on, or give another one"
        )
    if not weights.class_names or "DATASET.NAME" not in run.options:
        raise UserError(
            f"{run.checkpoint} does not name its data and classes: it was written by an older state of the code"
        )
    start = next((str(run.options[key]) for key in WEIGHT_FILES if _is_given(key, run.options)), "")
    named = start if start.startswith(_FROM_ANYWHERE) else "a file" if start else ""
    score = _score(run.folder, content, weights.epoch)
    return Record(run.checkpoint, weights, told(run.options), score, bool(content.get("ema")), named, run.note)


def told(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give those options of a record that say nothing of a machine; a dataset's file by its name alone."""
    return dict(_told(options))


def _told(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key in [key for key in config.OPTIONS if key in options]:
        option = config.OPTIONS[key]
        try:
            value = option.written(option.coerce(options[key], key))
        except UserError:  # of an older state of the code
            continue
        if key == "DATASET.NAME":
            yield key, base_name(value)
        elif not option.free or (key in _TOLD and not is_place(str(value))):
            yield key, value


def _is_given(key: str, options: Mapping[str, Any]) -> bool:
    return options.get(key, "") not in ("", None) and config.OPTIONS[key].default == ""


def _score(folder: Path, content: Mapping[str, Any], epoch: int) -> float | None:
    """Find the mean IoU of an epoch; of a last checkpoint `mean_iu` is that of the best one."""
    rows = {int(row["epoch"]): row["mean_iu"] for row in RunLog(folder, False).history("val") if "mean_iu" in row}
    scores = (content.get("spent") or {}).get("scores") or {}
    found = rows.get(epoch, scores.get(epoch))
    return None if found is None else float(found)


def base_name(text: str) -> str:
    """Give the last part of a path of any system; another text as it is."""
    return PureWindowsPath(text).name or text


def is_place(text: str) -> bool:
    """Tell whether a text is a path, and not a name that has slashes, as far as that can be told."""
    return os.path.isabs(text) or text.startswith(("~", "./", "../", "\\")) or bool(PureWindowsPath(text).drive)
