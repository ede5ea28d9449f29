"""From the values that labels hold to classes: their names, and which values are no class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from datasets.own.recognize.looks import Looks, Value
from datasets.own.recognize.names import Table
from datasets.own.recognize.tree import named
from datasets.own.recognize.vocabulary import is_void
from datasets.registry import DATASETS
from utils.plural import counted

Color = tuple[int, int, int]

_TOP = (255, 65535, 254)  # values by which tools mark what is not labeled
_MOST_CLASSES = 255
_STRAY_PIXELS, _STRAY_FILES = 0.005, 0.1  # shares up to which values without a name are slips, not classes
VOC_BORDER = (224, 224, 192)
_PLAIN = ((0, 0, 0), (255, 255, 255), VOC_BORDER)


class Row(NamedTuple):
    """A class of the file to be written. `why`: its evidence, as a comment. `off`: it is a comment itself."""

    name: str
    id: int | Sequence[int] | None = None
    color: Sequence[int] | None = None
    why: str = ""
    off: bool = False
    aliases: tuple[str, ...] = ()


class Classes(NamedTuple):
    """Classes, what is left out, and where their names come from, in a sentence. `notes`: lines for the screen."""

    rows: tuple[Row, ...]
    ignore: tuple[Any, ...] = ()
    source: str = ""
    ignored_why: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def classes(looks: Looks, tables: Sequence[Table]) -> Classes:
    """Name the classes of labels by the table that fits their values best, by known colors, or by number."""
    if looks.kind == "rgb":
        return _of_colors(looks, tables)
    return _of_ids(looks, tables)


def _seen(looks: Looks, value: Value) -> str:
    share = looks.share(value)
    shown = f"{100 * share:.2g} %" if share >= 0.0001 else "under 0.01 %"
    return f"in {looks.files[value]} of {looks.count} labels, {shown} of the pixels"


# Ids -----------------------------------------------------------------------------------------------------------------


def _of_ids(looks: Looks, tables: Sequence[Table]) -> Classes:
    values = [value for value in looks.values if isinstance(value, int)]
    marked, why = unlabeled_value(values)
    if not marked:  # a slip among the others hides it
        marked, why = unlabeled_value([value for value in values if value in _TOP or not _are_slips(looks, [value])])
    inner = [value for value in values if value not in marked]
    colored = (found for table in tables if (found := _ids_by_color(looks, table, values)))
    choices = [(table, *choice) for table in tables for choice in _choices(table)]
    fit = next(colored, None) or next((one for one in choices if inner and {*inner} <= {*one[1]}), None)
    fit = fit or next((one for one in choices if _fits_but_for_slips(looks, inner, one[1])), None)
    if fit:
        return _named_ids(looks, values, marked, *fit)
    known = _by_palette(looks, inner)
    if known:
        names, source = known
    else:
        names = {value: f"class_{value}" for value in values}
        source = "no table of names fits the values: they are named by their numbers"
    rows = tuple(Row(names[value], value, looks.palette.get(value), _seen(looks, value)) for value in inner)
    ignored_why = tuple(f"{value}: {_seen(looks, value)}; {why}" for value in marked)
    return Classes(rows, tuple(marked), source, ignored_why, _unfit(looks, inner, choices))


def _are_slips(looks: Looks, values: Sequence[Value]) -> bool:
    """Tell whether values are so few in pixels, and each in so few files, that they can hardly be classes."""
    most = max(1, _STRAY_FILES * looks.count)
    return sum(map(looks.share, values)) <= _STRAY_PIXELS and all(looks.files[value] <= most for value in values)


def _fits_but_for_slips(looks: Looks, values: Sequence[int], names: Mapping[int, str]) -> bool:
    """Tell whether a table names two values or more, and leaves out nothing but slips."""
    left = [value for value in values if value not in names]
    return len(values) - len(left) >= 2 and _are_slips(looks, left)


def _unfit(
    looks: Looks, values: Sequence[int], choices: Sequence[tuple[Table, dict[int, str], str]]
) -> tuple[str, ...]:
    """Say of the table that comes nearest why it does not fit."""
    if not choices or not values:
        return ()
    table, names, _ = min(choices, key=lambda one: sum(value not in one[1] for value in values))
    left = [f"{value} ({_seen(looks, value)})" for value in values if value not in names]
    return (f"{table.file} is not used: its {counted(len(table.names), 'name')} leave out {named(left)}",)


def of_cityscapes(looks: Looks, called: str) -> Classes | None:
    """Name ids as Cityscapes does, where label files are `called` as its are and hold nothing else; else None."""
    spec, ending = DATASETS["cityscapes"].spec, called.lower().rpartition("_")[2]
    of = spec.values(ending == "labeltrainids")
    if ending not in ("labelids", "labeltrainids") or looks.kind == "rgb" or not {*looks.values} <= {*of}:
        return None
    ids = [value for value, train in of.items() if train != spec.ignore_label]
    if 2 * sum(looks.pixels[value] for value in ids) < sum(looks.pixels.values()):
        return None  # the layout alone is the same
    ids = list(range(spec.num_classes)) if ending == "labeltrainids" else list(spec.train_to_id)
    rows = tuple(
        Row(name, value, color, _seen(looks, value) if value in looks.files else "in none of those looked at")
        for name, value, color in zip(spec.classes, ids, spec.palette, strict=True)
    )
    ignored = tuple(value for value in of if value not in ids)
    return Classes(rows, ignored, f"Cityscapes', since label files are called {called}")


def unlabeled_value(values: Sequence[int]) -> tuple[list[int], str]:
    """Find a value that stands far above the others, which lie close to each other: no class, but "not labeled"."""
    if len(values) < 3:
        return [], ""  # {0, 255} are two classes
    *others, top = sorted(values)
    close = others[-1] - others[0] + 1 <= 4 * len(others) + 4
    steps = {b - a for a, b in zip(values, values[1:], strict=False)}
    if top not in _TOP or not close or top - others[-1] < 2 or len(steps) == 1:
        return [], ""
    return [top], f"it stands apart from the others, {others[0]} to {others[-1]}"


def _ids_by_color(looks: Looks, table: Table, values: Sequence[int]) -> tuple[Table, dict[int, str], str] | None:
    """Name the values of a palette by a table of colors, if that has most of them; else None."""
    of = dict(zip(table.colors, table.names, strict=False)) if not table.ids else {}
    names = {value: of[looks.palette[value]] for value in values if looks.palette.get(value) in of}
    if len(names) < 2 or 2 * len(names) < len(values) or len({*names.values()}) < len(names):
        return None
    return (
        replace(table, names=tuple(names.values()), colors=tuple(looks.palette[value] for value in names)),
        names,
        ", by their colors in the palette",
    )


def _choices(table: Table) -> list[tuple[dict[int, str], str]]:
    """List the ways in which a table may name values, {value: name}, each with a comment: by its ids, or by place."""
    if table.ids:
        return [(dict(zip(table.ids, table.names, strict=True)), "")]
    choices = [(dict(enumerate(table.names)), "")]
    if "background" not in table.names:
        one = {0: "background", **{i: name for i, name in enumerate(table.names, 1)}}
        choices.append((one, "; it names the values from 1 on, 0 is what is left"))
    return choices


def _named_ids(
    looks: Looks, values: Sequence[int], marked: Sequence[int], table: Table, names: dict[int, str], note: str
) -> Classes:
    """Name values by a table. Slips that it does not name are neither classes nor ignored: check_data shows them."""
    colors = dict(zip(names, table.colors, strict=False)) if table.colors else looks.palette
    if table.colors and len(names) > len(table.names):  # background before them
        colors = {i: color for i, color in enumerate(table.colors, 1)}
    void = [value for value, name in names.items() if is_void(name)]
    extra = [value for value in values if value not in names]
    slips = [value for value in extra if value not in marked and _are_slips(looks, [value])]
    extra = [value for value in extra if value not in slips]
    rows = tuple(
        Row(
            name,
            value,
            colors.get(value),
            _seen(looks, value) if value in looks.files else "in none of those looked at",
        )
        for value, name in names.items()
        if value not in void
    )
    why = [f"{value}: {names[value]!r} in {table.file}" for value in void]
    why += [f"{value}: {_seen(looks, value)}; {table.file} has no name for it" for value in extra]
    notes = tuple(
        f"{value} ({_seen(looks, value)}) has no name in {table.file}, and is no class: check_data shows where it is; "
        "training stops there until it is mended, or stands in `ignore`"
        for value in slips
    )
    return Classes(rows, (*void, *extra), "; ".join((f"names of {table.file}{note}", *notes)), tuple(why), notes)


def _by_palette(looks: Looks, values: Sequence[int]) -> tuple[dict[int, str], str] | None:
    """Name ids by the colors of their palette, where a published data set has these."""
    colors = {value: looks.palette[value] for value in values if value in looks.palette}
    if len(colors) < len(values):
        return None
    found = known_colors(colors.values())
    if not found:
        return None
    of, source = found
    names = {value: of.get(color, f"class_{value}") for value, color in colors.items()}
    return (names, source) if len({*names.values()}) == len(names) else None


# Colors --------------------------------------------------------------------------------------------------------------


def _of_colors(looks: Looks, tables: Sequence[Table]) -> Classes:
    colors = [value for value in looks.values if isinstance(value, tuple)]
    best = max((t for t in tables if t.colors), key=lambda t: len({*colors} & {*t.colors}), default=None)
    if best and len({*colors} & {*best.colors}) >= max(1, (len(colors) + 1) // 2):
        return _named_colors(looks, colors, best)
    known = known_colors(colors)
    of, source = known or ({}, "no table of names fits the colors: they are numbered, the most frequent first")
    ordered = sorted(colors, key=lambda color: (-looks.pixels[color], color))
    border = [color for color in ordered if color == VOC_BORDER or (known and color in _PLAIN and color not in of)]
    void = [color for color in ordered if color in of and is_void(of[color])] + border
    rest = [color for color in ordered if color not in void]
    rows = tuple(Row(of.get(c, f"class_{i}"), None, c, _seen(looks, c)) for i, c in enumerate(rest))
    why = tuple(f"{list(color)}: {_seen(looks, color)}; {_border(color)}" for color in border)
    left = f"{named(t.file for t in tables)} not used: "
    left += f"under half of {counted(len(colors), 'color')} stand in {best.file}" if best else "without colors"
    return Classes(rows, tuple(list(color) for color in void), source, why, (left,) if tables else ())


def _border(color: Color) -> str:
    return "the color of borders in Pascal VOC" if color == VOC_BORDER else "no class has it there"


def _named_colors(looks: Looks, colors: Iterable[Color], table: Table) -> Classes:
    pairs = list(zip(table.names, table.colors, strict=True))
    void = [(name, color) for name, color in pairs if is_void(name)]
    extra = sorted({*colors} - {*table.colors})
    rows = tuple(
        Row(name, None, color, _seen(looks, color) if color in looks.files else "in none of those looked at")
        for name, color in pairs
        if not is_void(name)
    )
    why = [f"{list(color)}: {name!r} in {table.file}" for name, color in void]
    why += [f"{list(color)}: {_seen(looks, color)}; {table.file} has no name for it" for color in extra]
    ignore = tuple(list(color) for color in (*(color for _, color in void), *extra))
    return Classes(rows, ignore, f"names and colors of {table.file}", tuple(why))


def known_colors(colors: Iterable[Color]) -> tuple[dict[Color, str], str] | None:
    """Name colors by the published data set that has them all; black, white and VOC's border need not be there."""
    asked = [color for color in colors if color not in _PLAIN]
    if len(asked) < 3:
        return None
    for name, entry in DATASETS.items():
        spec = entry.spec
        if name not in ("toy", "list", "folder", "kitti", "acdc") and {*asked} <= {*spec.palette}:
            table = dict(zip(spec.palette, spec.classes, strict=False))
            return table, f"names by color, as in {name}: {named(table[color] for color in asked)}"
    return None
