"""Describes classes as a DatasetSpec, and says where those that a file names differ from a dataset's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from datasets.palette import distinct
from utils.contracts import DatasetSpec

Color = tuple[int, int, int]


def ids_of(spec: DatasetSpec) -> list[int]:
    """List the label value of each class."""
    return list(spec.train_to_id or range(spec.num_classes))


def of_table(
    name: str, table: Iterable[tuple[str, Color]], ids: Iterable[int], ignored: Iterable[int] = (255,), **more: Any
) -> DatasetSpec:
    """Describe the classes of a table of names and colors, with the label value of each, and the values `ignored`."""
    (names, palette), ids = zip(*table, strict=True), tuple(ids)
    of_values = {**dict.fromkeys(ignored, 255), **{value: train for train, value in enumerate(ids)}}
    return DatasetSpec(name, names, palette, id_to_train=of_values, train_to_id=ids, **more)


def spec_of(name: str, names: Sequence[str], ids: Sequence[int], given: Sequence[Color] = ()) -> DatasetSpec:
    """Describe classes that a file names, in the colors `given` or, where they are not as many, in some unlike each
    other; without `ids` their labels hold train ids.
    """
    colors = tuple(given) if len(given) == len(names) else distinct(len(names))
    if not ids:
        return DatasetSpec(name, tuple(names), colors)
    return of_table(name, zip(names, colors, strict=True), ids)


def other_count(names: Sequence[str], spec: DatasetSpec) -> str:
    """Say how many classes a file names, where they are not as many as in `spec`; empty where they are, or unnamed."""
    as_many = len(names) in (0, spec.num_classes)
    return "" if as_many else f"{len(names)} there, {spec.num_classes} in {spec.name} here"


def other_names(names: Sequence[str], spec: DatasetSpec) -> str:
    """Name the first class that is called otherwise in `spec`; empty where all agree, or are not as many."""
    differ = [(theirs, ours) for theirs, ours in zip(names, spec.classes, strict=False) if theirs != ours]
    if len(names) != spec.num_classes or not differ:
        return ""
    theirs, ours = differ[0]
    return f"{theirs!r} there is {ours!r} in {spec.name} here"


def other_ids(ids: Sequence[int], spec: DatasetSpec) -> str:
    """Name the first class of another label value than in `spec`; empty where all agree, or are not as many."""
    differ = [(name, *both) for name, *both in zip(spec.classes, ids, ids_of(spec), strict=False) if both[0] != both[1]]
    if len(ids) != spec.num_classes or not differ:
        return ""
    name, theirs, ours = differ[0]
    return f"{name!r} was {theirs} in the labels, in {spec.name} it is {ours}"
