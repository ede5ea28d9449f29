"""The classes of a dataset's file as the rest of the code knows them: of the network, and of the label files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from datasets.own.classes import Merged
from datasets.own.contract import IGNORED
from datasets.own.schema import OwnSet
from utils.contracts import DatasetSpec


def spec(own: OwnSet) -> DatasetSpec:
    """Describe the classes after merging. Labels hold what the file says, those that are drawn train ids."""
    plain = DatasetSpec(own.name, own.merged.names, own.merged.colors)
    rules, table = own.rules, own.merged.table
    if own.row.drawn:
        return plain
    ignores_rest = rules.unknown == "ignore"
    if own.row.by == "color":
        colors = {one.color: train for train, one in enumerate(rules.classes)}
        colors |= dict.fromkeys(rules.ignored, len(rules.classes))
        values = {**dict(enumerate(table)), len(rules.classes): IGNORED}
        return replace(plain, id_to_train=values, color_to_id=colors, ignores_rest=ignores_rest)
    of_values = dict.fromkeys((IGNORED, *rules.ignored), IGNORED)
    for train, one in enumerate(rules.classes):
        of_values |= dict.fromkeys(one.ids or (train,), table[train])
    ids = tuple((rules.classes[first].ids or (first,))[0] for first in own.merged.firsts)
    return replace(plain, id_to_train=of_values, train_to_id=ids, ignores_rest=ignores_rest)


def label_spec(own: OwnSet) -> DatasetSpec | None:
    """Describe what drawn labels hold, where these are not train ids already: the classes before merging."""
    if not own.row.drawn or own.merged.table == tuple(range(len(own.merged.names))):
        return None
    values = {**dict(enumerate(own.merged.table)), own.rules.ignored_id: IGNORED}
    return replace(spec(own), id_to_train=values)


def through(part: DatasetSpec, train_ids: bool, table: Sequence[int], whole: DatasetSpec, name: str) -> DatasetSpec:
    """Describe labels of a part of several sets: their values stand for the classes of `whole`.

    `table`: of each class of the part its train id in `whole`, or IGNORED.
    """
    values: Mapping[int, int] = part.values(train_ids)
    mapped = {value: IGNORED if train == part.ignore_label else table[train] for value, train in values.items()}
    return replace(
        whole,
        name=name,
        id_to_train=mapped,
        train_to_id=(),
        color_to_id=part.color_to_id,
        ignores_rest=part.ignores_rest,
    )


def joined(name: str, merged: Merged) -> DatasetSpec:
    """Describe the classes of several sets; labels that nobody describes hold train ids."""
    return DatasetSpec(name, merged.names, merged.colors)
