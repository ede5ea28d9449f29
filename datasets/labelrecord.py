"""What a folder of pseudo-labels says of itself: `autolabels.json`, written with them, read before training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from datasets.classes import ids_of
from utils import textfile
from utils.contracts import DatasetSpec
from utils.errors import UserError
from utils.files import write_file

NAME = "autolabels.json"


class Record(NamedTuple):
    """Names of the classes, the value that stands for each in the files, and how they were made."""

    classes: tuple[str, ...]
    ids: tuple[int, ...]
    made: dict[str, Any]

    @property
    def upright(self) -> bool:
        """Whether they lie over pictures that were turned by their EXIF tags, not over the stored pixels."""
        return bool(self.made.get("upright"))

    def holds_train_ids(self, spec: DatasetSpec) -> bool:
        """Whether the files hold train ids in place of the values of `spec`; UserError where they hold neither."""
        if all(spec.values().get(value) == train for train, value in enumerate(self.ids)):
            return False
        if self.ids == tuple(range(spec.num_classes)):
            return True
        first, value = next((k, v) for k, v in enumerate(self.ids) if spec.values().get(v) != k)
        raise UserError(
            f"pseudo-labels hold {value} for {spec.classes[first]!r}, which is another value in {spec.name} now: "
            "label again, or give the classes that they were made with"
        )


def write(folder: Path, spec: DatasetSpec, made: Mapping[str, Any]) -> None:
    """Say in `folder` that its labels have the classes of `spec`, and how they were made."""
    text = json.dumps({"classes": list(spec.classes), "ids": ids_of(spec), "made": dict(made)}, indent=1)
    write_file(folder / NAME, text.encode() + b"\n")


def read(folder: Path) -> Record | None:
    """Read the record of a folder, None if it has none (labels of other origin). UserError for a damaged one."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        content = textfile.read_json(path)
        return Record(tuple(map(str, content["classes"])), tuple(map(int, content["ids"])), dict(content["made"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}): make the labels again") from None


def check(folder: Path, spec: DatasetSpec) -> Record | None:
    """Read the record of a folder, None without one; UserError unless its classes are those of `spec`."""
    record = read(folder)
    if record is None or record.classes == spec.classes:
        return record
    theirs, ours = len(record.classes), spec.num_classes
    differ = [name for name in record.classes if name not in spec.classes][:1]
    example = f", {differ[0]!r} among them" if differ else " in another order" if theirs == ours else ""
    raise UserError(
        f"{folder} has pseudo-labels for {theirs} other classes{example}; {spec.name} has {ours}: "
        "label with a teacher of the same classes"
    )
