"""The entry of a dataset's file, as `datasets.registry` has one for each published dataset."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from datasets import labelids
from datasets.base import Item, Split
from datasets.collecting import tolerated
from datasets.entry import DatasetEntry
from datasets.folder import name_choices
from datasets.own import cache, cut, describe, found, joined, schema, shared
from datasets.own.found import Found
from datasets.own.places import not_there, placed
from datasets.own.schema import MODES, OwnSet, OwnSets, Use
from datasets.registry import DATASETS
from media.files import unique_names
from utils.contracts import DatasetSpec
from utils.errors import UserError

SUFFIXES = (".yaml", ".yml")


class Part(NamedTuple):
    """One of several sets: its entry and its folder, the options as it reads them, and the splits it takes part in."""

    name: str
    entry: DatasetEntry
    root: str
    options: Any
    modes: tuple[str, ...]


def is_file(name: str) -> bool:
    """Say whether --dataset names a file."""
    return name.lower().endswith(SUFFIXES)


def of(name: str, above: tuple[str, ...] = ()) -> DatasetEntry:
    """Give the entry of a dataset's file, read anew where it has changed. UserError for what does not fit in it.

    `above`: files of several sets through which one has come to it.
    """
    path = os.path.abspath(os.path.expanduser(name))
    if not os.path.isfile(path):
        raise not_there(path, "--dataset")
    return _of(path, tuple(cache.stamp(path)), above)


@lru_cache(maxsize=16)
def _of(path: str, stamp: tuple[int, ...], above: tuple[str, ...]) -> DatasetEntry:  # noqa: ARG001
    own = schema.read(path)
    return _one_set(own) if isinstance(own, OwnSet) else _several(own, (*above, os.path.realpath(path)))


def _resolve(root: str, cfg: Any, takes_cv: bool = False) -> None:  # noqa: ARG001
    """Raise UserError for lists, and for --cv, beside a file that says its splits itself.

    `takes_cv`: it has a published set, whose splits --cv chooses.
    """
    lists = {"--list_train": cfg.DATASET.LIST_TRAIN, "--list_val": cfg.DATASET.LIST_VAL}
    for flag in [flag for flag, value in {**lists, "--list_test": cfg.DATASET.LIST_TEST}.items() if value]:
        raise UserError(f"{flag}: {cfg.DATASET.NAME} says its splits itself: name the list there, or leave it out")
    if cfg.DATASET.CV and not takes_cv:
        raise UserError(f"--cv {cfg.DATASET.CV}: {cfg.DATASET.NAME} says its splits itself: leave it out")


def _one_set(own: OwnSet) -> DatasetEntry:
    """Make the entry of one set. What `prepare` finds, on one process of a machine, `items` need not find again."""
    ready: dict[str, Found] = {}

    def prepare(root: str, mode: str, cfg: Any) -> None:  # noqa: ARG001
        ready[root] = found.find(own, Path(root))
        if mode in own.modes and own.cut:
            _items(own, mode, ready[root])

    def items(root: str, mode: str, cfg: Any) -> Split:
        return _about_crops(_items(own, mode, ready.pop(root, None) or found.find(own, Path(root))), own, mode, cfg)

    home, spec = str(Path(own.file).parent), describe.spec(own)
    return DatasetEntry(spec, items, prepare=prepare, resolve=_resolve, home=home, modes=own.modes)


def _items(own: OwnSet, mode: str, content: Found) -> Split:
    """Make items of the images of a split."""
    if mode not in own.modes:
        cure = "; train with --do_eval false, or add it" if mode == "val" else ": add it"
        raise UserError(f"{own.file}: splits: there is no {mode}, only {', '.join(own.modes)}{cure}")
    pairs, values = content.pairs[mode], describe.label_spec(own)
    names = unique_names([name_choices(Path(picture.place)) for picture, _ in pairs])
    split = [
        Item(picture.path, label, name, exif_turned=label is None or own.row.upright, spec=values if label else None)
        for (picture, label), name in zip(pairs, names, strict=True)
    ]
    return _cut(split, own, describe.spec(own), content.notes)


def _cut(items: Sequence[Item], own: OwnSet | OwnSets, spec: DatasetSpec, notes: Sequence[str]) -> Split:
    """Make a split of items, huge ones in pieces."""
    if not own.cut:
        return Split.plain(items, tuple(notes))
    home, elsewhere = cache.folder(own.file)
    pieces, more = cut.cut(items, own.cut, spec, home, own.name)
    return Split.plain(pieces, tuple(dict.fromkeys((*notes, *filter(None, [elsewhere]), *more))))


def _about_crops(split: Split, own: OwnSet | OwnSets, mode: str, cfg: Any) -> Split:
    """Add a line where training crops are larger than the pieces that they are cut from."""
    if cfg is None or mode != "train" or all(item.piece is None for item in split.items):
        return split
    height, width = cfg.DATASET.CROP_SIZE
    if own.cut >= max(height, width):
        return split
    note = (
        f"{own.name}: cut: {own.cut} is smaller than crops of {height}x{width}, so that a crop may show no more than a "
        "piece, with a border of ignored pixels: give a larger cut, or a smaller --crop_size"
    )
    return replace(split, notes=(note, *split.notes))


def _several(own: OwnSets, above: tuple[str, ...]) -> DatasetEntry:
    """Make the entry of several sets."""
    home = str(Path(own.file).parent)
    entries = [_entry(own, use, above) for use in own.sets]
    modes = tuple(
        mode for mode in MODES if any(mode in _modes(use, e) for use, e in zip(own.sets, entries, strict=True))
    )

    def prepare(root: str, mode: str, cfg: Any) -> None:
        for part in _parts(own, root, cfg):
            if part.entry.prepare is not None and mode in part.modes:
                with tolerated(_file_of(part), kind="not-listed"):
                    part.entry.prepare(part.root, mode, part.options)
        if own.cut and mode in modes:
            _joined_items(own, _parts(own, root, cfg), mode)

    return DatasetEntry(
        joined.join(own, [entry.spec for entry in entries]).spec,
        lambda root, mode, cfg: _about_crops(_joined_items(own, _parts(own, root, cfg), mode), own, mode, cfg),
        read_spec=lambda root, cfg: _join(own, _parts(own, root, cfg)).spec,
        prepare=prepare,
        resolve=lambda root, cfg: _resolve(root, cfg, any(use.dataset for use in own.sets)),
        home=home,
        modes=modes,
    )


def _entry(own: OwnSets, use: Use, above: tuple[str, ...] = ()) -> DatasetEntry:
    """Find the entry of one of several sets. UserError for a file that is one of those `above`."""
    if use.dataset:
        return DATASETS[use.dataset]
    path = placed(Path(own.file).parent, use.file)
    if not os.path.isfile(path):
        raise not_there(path, f"{own.file}: {use.part.key}")
    if os.path.samefile(path, own.file):
        raise use.part.wrong(f"{use.file} is this file itself")
    if (real := os.path.realpath(path)) in above:
        way = " -> ".join(os.path.basename(file) for file in (*above[above.index(real) :], real))
        raise use.part.wrong(f"{use.file} has this file among its own sets: {way}; take one of them out")
    return of(path, above)


def _modes(use: Use, entry: DatasetEntry) -> tuple[str, ...]:
    return tuple(mode for mode in use.modes if mode in entry.modes)


def _parts(own: OwnSets, root: str, cfg: Any) -> list[Part]:
    """Complete each of several sets: its folder and its options."""
    found, base = list[Part](), Path(root or Path(own.file).parent)
    for use in own.sets:
        entry, options = _entry(own, use), cfg.clone()
        options.defrost()
        options.DATASET.NAME = use.dataset or placed(Path(own.file).parent, use.file)
        options.DATASET.ROOT = placed(base, use.root) if use.root else ""
        if not use.dataset:
            options.DATASET.CV = 0  # it is about the published ones beside it
        folder = options.DATASET.ROOT or options.DATASET.get(entry.root or "ROOT") or entry.home or "."
        if entry.resolve is not None:
            entry.resolve(folder, options)
        part = Part("", entry, folder, options, _modes(use, entry))
        _check_once(use, part, found)
        found.append(part._replace(name=_name_unlike(_plain_name(part), {one.name for one in found})))
    return found


def _check_once(use: Use, part: Part, before: Sequence[Part]) -> None:
    """Raise UserError for a set that an earlier one is, in the same folder and for the same split."""
    for other in before:
        same = other.options.DATASET.NAME == part.options.DATASET.NAME
        both = [mode for mode in part.modes if mode in other.modes]
        if same and both and os.path.realpath(other.root) == os.path.realpath(part.root):
            where = f"{part.options.DATASET.NAME} in {part.root}"
            raise use.part.wrong(f"{where} is given twice for {both[0]}: leave it out, or give another root or use")


def _file_of(part: Part) -> str:
    return part.options.DATASET.NAME if is_file(part.options.DATASET.NAME) else part.root


def _plain_name(part: Part) -> str:
    """Name a set as it would be called by itself."""
    return part.entry.spec.name if is_file(part.options.DATASET.NAME) else part.options.DATASET.NAME


def _name_unlike(name: str, others: Collection[str]) -> str:
    """Give a name that no other set has: name_2, name_3."""
    ways = (name, *(f"{name}_{number}" for number in range(2, len(others) + 2)))
    return next(way for way in ways if way not in others)


def _spec(part: Part) -> DatasetSpec:
    return part.entry.read_spec(part.root, part.options) if part.entry.read_spec else part.entry.spec


def _join(own: OwnSets, parts: Sequence[Part]) -> joined.Joined:
    return joined.join(own, [_spec(part) for part in parts])


def _joined_items(own: OwnSets, parts: Sequence[Part], mode: str) -> Split:
    """Put the items of all sets together that take part in a split."""
    whole, notes, used = _join(own, parts), list[str](), list[joined.Part]()
    for part, table in zip(parts, whole.tables, strict=True):
        if mode in part.modes:
            with tolerated(_file_of(part), kind="not-listed"):
                split = _decided(part, part.entry.items(part.root, mode, part.options))
                used.append(joined.Part(part.name, split.items[: split.fine], _spec(part), table))
                notes += split.notes
    if not used:
        raise UserError(f"{own.file}: sets: none of them has {mode}")
    counts = {part.name: len(part.items) for part in used}
    notes += [f"{own.name}: {part.name} is that in {part.root}" for part in parts if part.name != _plain_name(part)]
    notes += [joined.count_note(own, mode, counts), *shared.lines(own.name, mode, used)]
    notes += joined.lacking(own, whole, [part.name for part in parts])
    return _cut(joined.items(used, whole.spec), own, whole.spec, notes)


def _decided(part: Part, items: Sequence[Item] | Split) -> Split:
    """Say which of Cityscapes' ids labels of a published set hold, where nobody says it."""
    split = items if isinstance(items, Split) else Split.plain(items)
    undecided, given = labelids.undecided(split.items), part.options.EVAL.LABEL_IDS
    if not undecided:
        return split
    if given != "auto":
        return labelids.resolve(split, labelids.Guess(given == "train", ""))
    files = part.entry.label_files(part.root, part.options) if part.entry.label_files else {}
    return labelids.resolve(split, labelids.look(labelids.places(files, undecided, _spec(part)), _spec(part)))
