"""The classes of a dataset's file, and what merging makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import classfile
from datasets.classes import ids_of
from datasets.own.contract import IGNORED, Color, OwnClass
from datasets.own.parts import Part
from datasets.palette import distinct
from datasets.registry import DATASETS
from utils.contracts import DatasetSpec
from utils.errors import UserError, nearest

LARGEST = (1 << 16) - 1  # value of a label file
_KEYS = ("name", "id", "color", "aliases")


def read(part: Part, base: Path) -> tuple[tuple[OwnClass, ...], tuple[int, ...]]:
    """Read `classes`: (the classes, further label values to ignore that a published table has)."""
    if isinstance(part.value, str):
        return _published(part, base)
    entries = part.entries()
    colors = distinct(len(entries))
    found = tuple(_one(entry, color) for entry, color in zip(entries, colors, strict=True))
    _check_once(entries, found)
    with_ids = [bool(one.ids) for one in found]
    if any(with_ids) and not all(with_ids):
        lacks = entries[with_ids.index(False)]
        raise lacks.wrong("id is missing, which other classes have: give it for all of them, or for none")
    return found, ()


def _published(part: Part, base: Path) -> tuple[tuple[OwnClass, ...], tuple[int, ...]]:
    """Take the classes of a published dataset, or of a file of --classes."""
    name = part.text()
    if name in DATASETS and DATASETS[name].spec.classes:
        spec = DATASETS[name].spec
    elif Path(name).suffix in (".yaml", ".yml"):
        try:
            spec = classfile.read(str(base / Path(name).expanduser()))
        except UserError as error:
            raise part.wrong(str(error)) from None
    else:
        known = [name for name, entry in DATASETS.items() if entry.spec.classes]
        cure = f"a list of classes, a FILE.yaml of --classes, or one of {', '.join(known)}"
        raise part.wrong(f"{name!r} is unknown{nearest(name, known)}; give {cure}")
    return of_spec(spec)


def of_spec(spec: DatasetSpec) -> tuple[tuple[OwnClass, ...], tuple[int, ...]]:
    """Give the classes of a description, and the label values that it ignores."""
    values = spec.values()
    found = [
        OwnClass(name, tuple(v for v, train in values.items() if train == k) or (first,), color)
        for k, (name, first, color) in enumerate(zip(spec.classes, ids_of(spec), spec.palette, strict=True))
    ]
    return tuple(found), tuple(value for value, train in values.items() if train == spec.ignore_label)


def _one(entry: Part, color: Color) -> OwnClass:
    """Read a class: its name alone, or its keys."""
    if isinstance(entry.value, str):
        return OwnClass(entry.text(), (), color)
    parts = entry.parts(_KEYS, ["name"])
    ids = [part.whole(0, LARGEST) for part in parts["id"].one_or_more()] if "id" in parts else []
    own = parts["color"].color() if "color" in parts else color
    aliases = parts["aliases"].texts() if "aliases" in parts else ()
    return OwnClass(parts["name"].text(), tuple(ids), own, aliases)


def _check_once(entries: Sequence[Part], found: Sequence[OwnClass]) -> None:
    """Raise UserError for a name, an alias or an id that stands twice: nobody could tell what it means."""
    owner: dict[object, Part] = {}
    for entry, one in zip(entries, found, strict=True):
        for what, values in (("name", (one.name, *one.aliases)), ("id", one.ids)):
            for value in values:
                if (other := owner.setdefault((what, value), entry)) is not entry or values.count(value) > 1:
                    twice = f"also in {other.key}" if other is not entry else "twice here"
                    raise entry.wrong(f"the {what} {value!r} stands {twice}: each may stand once")


@dataclass(frozen=True)
class Merged:
    """Classes after merging; `table`: the train id of each class before."""

    names: tuple[str, ...]
    colors: tuple[Color, ...]
    table: tuple[int, ...]

    @property
    def firsts(self) -> list[int]:
        """Give the place of each class's first member before merging."""
        return [self.table.index(train) for train in range(len(self.names))]


def merge_table(part: Part | None) -> dict[str, tuple[str, ...]]:
    """Read `merge`: {the new class: the classes that it is made of}."""
    if part is None:
        return {}
    if not isinstance(part.value, Mapping) or not part.value:
        raise part.wrong("it takes keys and values, {vehicle: [car, bus]}")
    return {name: part.below(name).texts() for name in part.value}


def merged(names: Sequence[str], colors: Sequence[Color], part: Part | None, ignored: Sequence[str] = ()) -> Merged:
    """Merge classes as `part`, the value of `merge`, says; those of `ignored` get IGNORED.

    UserError for a class that is none, is merged twice, or whose new name another class has.
    """
    target = dict.fromkeys(names, "")
    for new, members in merge_table(part).items():
        assert part is not None
        place = part.below(new)
        for member in members:
            if member not in target:
                raise place.wrong(f"{member!r} is no class{nearest(member, names)}; classes: {', '.join(names)}")
            if target[member]:
                raise place.wrong(f"{member!r} is merged into {target[member]!r} already: leave one of them out")
            target[member] = new
    for new in merge_table(part):
        if new in target and target[new] != new and new not in ignored:
            assert part is not None
            raise part.below(new).wrong(f"{new!r} is a class itself: add it to the list, or choose another name")
    kept: dict[str, Color] = {}
    for name, color in zip(names, colors, strict=True):
        if name not in ignored:
            kept.setdefault(target[name] or name, color)
    order = list(kept)
    table = tuple(IGNORED if name in ignored else order.index(target[name] or name) for name in names)
    return Merged(tuple(order), tuple(kept.values()), table)
