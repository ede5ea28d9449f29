"""Several sets as one: classes are joined by name, and each item says what the values of its label stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from datasets.base import Item
from datasets.own.classes import Merged, merged
from datasets.own.contract import IGNORED, Color
from datasets.own.describe import joined, through
from datasets.own.schema import OwnSets
from media.files import unique_names
from utils.contracts import DatasetSpec
from utils.errors import UserError, nearest

_SHOWN = 6  # classes that a set does not have, by name


@dataclass(frozen=True)
class Joined:
    """The classes of several sets; `tables`: of each set, the joint train id of each of its classes, or IGNORED."""

    spec: DatasetSpec
    tables: tuple[tuple[int, ...], ...]


def join(own: OwnSets, specs: Sequence[DatasetSpec]) -> Joined:
    """Join classes by name. UserError for a merge, an order or an ignored name that does not fit them."""
    colors: dict[str, Color] = {}
    for spec in specs:
        for name, color in zip(spec.classes, spec.palette, strict=True):
            colors.setdefault(name, color)
    for name in own.ignored:
        if name not in colors:
            raise UserError(f"{own.file}: ignore: no set has a class {name!r}{nearest(name, colors)}")
    all_of = merged([*colors], [*colors.values()], own.merge, own.ignored)
    of_name = dict(zip(colors, all_of.table, strict=True))
    if own.order:
        all_of, place = _ordered(own, all_of)
        of_name = {name: train if train == IGNORED else place[train] for name, train in of_name.items()}
    if len(all_of.names) > IGNORED:
        raise UserError(
            f"{own.file}: sets: {len(all_of.names)} classes are more than {IGNORED}: merge some, or ignore them"
        )
    tables = tuple(tuple(of_name[name] for name in spec.classes) for spec in specs)
    return Joined(joined(own.name, all_of), tables)


def _ordered(own: OwnSets, found: Merged) -> tuple[Merged, list[int]]:
    """Bring classes into the order that the file gives, and give the new train id of each.

    UserError for a class that no set has, and for one that the order lacks.
    """
    for name in own.order:
        if name not in found.names:
            raise UserError(f"{own.file}: classes: no set has a class {name!r}{nearest(name, found.names)}")
    for name in found.names:
        if name not in own.order:
            near = nearest(name, own.order)
            raise UserError(
                f"{own.file}: classes: the class {name!r} of the sets is missing{near}; add it, "
                "merge it into one of them, or ignore it"
            )
    color = dict(zip(found.names, found.colors, strict=True))
    place = [own.order.index(name) for name in found.names]
    return Merged(own.order, tuple(color[name] for name in own.order), ()), place


class Part(NamedTuple):
    """The items that a set gives; `spec`: its classes, `table`: their joint train ids."""

    name: str
    items: Sequence[Item]
    spec: DatasetSpec
    table: tuple[int, ...]


def items(parts: Sequence[Part], whole: DatasetSpec) -> list[Item]:
    """Put the items of sets together. Names become unlike each other, and scores are told apart by set."""
    found, names = [], []
    for part in parts:
        known: dict[tuple[int, bool], DatasetSpec] = {}
        for item in part.items:
            values, train_ids = item.spec or part.spec, bool(item.train_ids)
            if (key := (id(values), train_ids)) not in known:
                known[key] = through(values, train_ids, part.table, whole, part.name)
            condition = item.condition or (part.name if len(parts) > 1 else "")
            found.append(item._replace(spec=known[key], train_ids=False, condition=condition))
            names.append([item.name, f"{part.name}__{item.name}"])
    return [item._replace(name=name) for item, name in zip(found, unique_names(names), strict=True)]


def count_note(own: OwnSets, mode: str, counts: Mapping[str, int]) -> str:
    """Say how many images each set gives."""
    return f"{own.name}: {mode} " + ", ".join(f"{count} of {name}" for name, count in counts.items())


def lacking(own: OwnSets, whole: Joined, named: Sequence[str]) -> list[str]:
    """Say of each set which classes it does not have: their pixels are what it calls them, or ignored."""
    lines = []
    for name, table in zip(named, whole.tables, strict=True):
        absent = [one for train, one in enumerate(whole.spec.classes) if train not in table]
        if absent:
            shown = ", ".join(absent[:_SHOWN]) + (f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else "")
            lines.append(
                f"{own.name}: {name} does not have {len(absent)} of {len(whole.spec.classes)} classes: {shown}"
            )
    return lines
