"""Which images and labels a dataset's file stands for, and which split each image is in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from datasets.collecting import collected, take
from datasets.own import cache, drawings, percent, stored
from datasets.own.contract import LabelRules, Picture, Source
from datasets.own.percent import Percent
from datasets.own.places import Index, Listed, is_list, not_there, pictures, placed, rows
from datasets.own.schema import Files, OwnSet
from datasets.reading import absent_label
from utils import textfile
from utils.errors import UserError
from utils.plural import counted

_TRIED = 3  # labels of objects that are drawn where they are only looked for


class Part(NamedTuple):
    """Images of one split, before their labels are found; `paths`: where these lie, `listed`: what lists say."""

    pictures: list[Picture]
    paths: tuple[str, ...]
    listed: Mapping[str, str]
    key: str


@dataclass
class Found:
    """{split: its (image, label) pairs}, and what the log should say."""

    pairs: dict[str, list[tuple[Picture, str | None]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find(own: OwnSet, base: Path, draw: bool = True) -> Found:
    """Find the images and labels of all splits. `base`: where paths start from.

    Labels of objects are drawn, or, without `draw`, only looked for, and a few tried: what they are drawn of stands in
    their place.
    """
    notes: list[str] = []
    split = _by_percent if isinstance(own.splits, Percent) else _by_files
    parts = split(own, base, notes)
    labels = _labels(own, parts, notes, draw)
    found = Found(notes=notes)
    for mode, part in parts.items():
        found.pairs[mode] = _paired(own, mode, part, labels[mode], notes)
    if own.rules.unknown == "ignore":
        notes.append(f"{own.name}: what labels hold that is no class is ignored, whatever it is (unknown: ignore)")
    if not isinstance(own.splits, Percent):
        notes.insert(0, f"{own.name}: " + ", ".join(f"{m} {counted(len(p), 'image')}" for m, p in found.pairs.items()))
    return found


def _without(own: OwnSet, base: Path) -> list[str]:
    """List the folders that hold no images although they may lie among them: labels' that are pictures, the cache's."""
    pictures = ".png" in own.row.suffixes
    labels = [*own.paths] if pictures else []
    if isinstance(own.splits, dict) and pictures:
        labels += [path for files in own.splits.values() if isinstance(files, Files) for path in files.labels]
    found = [str(path) for path in Path(own.file).parent.glob("*.cache")]
    for text in labels:
        path = placed(base, text)
        if stored.is_pattern(path) or not os.path.isdir(path):
            found += map(str, stored.listed_by(path))
        else:
            found.append(path)
    return found


def _pictures(own: OwnSet, texts: Sequence[str], base: Path, key: str) -> Listed:
    """Find the images of some texts. UserError for a folder in which images cannot be told from labels."""
    folders = {placed(base, text) for text in texts} & {*_without(own, base)}
    if folders and ".png" in own.row.suffixes:
        cure = "give images as a glob (data/*.jpg), or labels as a pattern ({stem}_mask.png)"
        raise UserError(f"{own.file}: {key}: {min(folders)} is also the folder of the labels: {cure}")
    return pictures(texts, base, f"{own.file}: {key}", _without(own, base))


def _by_percent(own: OwnSet, base: Path, notes: list[str]) -> dict[str, Part]:
    """Part the images by shares."""
    assert isinstance(own.splits, Percent)
    found = _pictures(own, own.images, base, "images")
    places = [_path_without_suffix(picture, base) for picture in found.pictures]
    name = own.name if own.given else f"{own.name}, without splits"
    shared = percent.share(places, own.splits, name, f"{own.file}: splits")
    notes += [shared.note, *found.notes]
    paths = tuple(placed(base, text) for text in own.paths)
    return {
        mode: Part(
            [p for p, m in zip(found.pictures, shared.modes, strict=True) if m == mode], paths, found.labels, "labels"
        )
        for mode in own.splits.shares
    }


def _path_without_suffix(picture: Picture, base: Path) -> str:
    """Name an image by its path from `base` where it lies below, else by its place."""
    path = Path(picture.path)
    place = path.relative_to(base) if path.is_relative_to(base) else Path(picture.place)
    return place.with_suffix("").as_posix()


def _by_files(own: OwnSet, base: Path, notes: list[str]) -> dict[str, Part]:
    """Take each split's images from its folders or its list."""
    assert isinstance(own.splits, dict)
    every = _pictures(own, own.images, base, "images") if own.images else None
    index = Index(every.pictures, base) if every else None
    found = {}
    for mode, files in own.splits.items():
        key = f"splits.{mode}"
        if isinstance(files, Files):
            listed = _pictures(own, files.images, base, f"{key}.images")
            texts, key = (files.labels, f"{key}.labels") if files.labels else (own.paths, "labels")
        elif every is None or index is None:
            if not is_list(files):
                raise UserError(f"{own.file}: {key}: {files!r} is no list (.txt, .lst); {_FORMS.format(mode)}")
            listed, texts, key = _pictures(own, [files], base, key), own.paths, "labels"
        else:
            listed, texts, key = _named(own, mode, files, base, index), own.paths, "labels"
            listed.labels = {**every.labels, **listed.labels}
        notes += [note for note in listed.notes if note not in notes]
        found[mode] = Part(listed.pictures, tuple(placed(base, text) for text in texts), listed.labels, key)
    return found


_FORMS = "a folder is given as {0}: {{images: ..., labels: ...}}"


def _named(own: OwnSet, mode: str, text: str, base: Path, index: Index) -> Listed:
    """Find the images that a split's list names among those of `images`."""
    path, where = placed(base, text), f"{own.file}: splits.{mode}"
    if os.path.isdir(path):
        raise UserError(f"{where}: {path} is a folder, not a list; {_FORMS.format(mode)}")
    if not os.path.isfile(path):
        raise not_there(path, where)
    found = Listed([], {}, [])
    for number, columns in _lines(path, base, index):
        picture = index.get(columns[0])
        if picture is None:
            several = (
                "is the name of several images: give its path" if index.is_of_several(columns[0]) else "is no image"
            )
            raise UserError(f"{path}, line {number}: {columns[0]} {several} of images{index.close(columns[0])}")
        found.pictures.append(picture)
        if len(columns) > 1:
            label = placed(base, columns[1])
            if not os.path.isfile(label):
                raise UserError(f"{path}, line {number}: {label} is not there")
            found.labels[picture.path] = label
    found.pictures = list(dict.fromkeys(found.pictures))
    return found


def _lines(path: str, base: Path, index: Index) -> list[tuple[int, list[str]]]:
    """Read the lines of a list; one that is an image's name is one column, blanks and all."""
    lines = [line.strip(" \t") for line in textfile.lines(path, f"the list {path}", names=True)]
    whole = {number: [line] for number, line in enumerate(lines, 1) if line and index.get(line)}
    if len(whole) == sum(bool(line) and not line.startswith("#") for line in lines) > 0:
        return [*whole.items()]
    return [(number, whole.get(number, columns)) for number, columns in rows(path, base)]


def _labels(own: OwnSet, parts: Mapping[str, Part], notes: list[str], draw: bool) -> dict[str, Mapping[str, str]]:
    """Find {image: label} of each split; splits that share their labels' places are looked for together."""
    found: dict[str, Mapping[str, str]] = {}
    for mode, part in parts.items():
        # Test images need no label, and are not all background where they have none.
        missing = "skip" if mode == "test" else own.missing
        together = [m for m, p in parts.items() if p.paths == part.paths and (m == "test") == (mode == "test")]
        if mode in found:
            continue
        images = list({p.path: p for m in together for p in parts[m].pictures}.values())
        listed = {image: label for m in together for image, label in parts[m].listed.items()}
        labels = _of_places(own, images, part, listed, missing, notes, draw)
        found |= dict.fromkeys(together, labels)
    return found


def _of_places(
    own: OwnSet,
    images: Sequence[Picture],
    part: Part,
    listed: Mapping[str, str],
    missing: str,
    notes: list[str],
    draw: bool,
) -> Mapping[str, str]:
    """Find the labels of some images in their places; those of objects are drawn."""
    where = f"{own.file}: {part.key}"
    if not own.row.drawn:
        return stored.find(images, part.paths, listed, where)
    if listed:
        raise UserError(
            f"{where}: labels of kind {own.rules.kind} stand in no list: give their path ({next(iter(listed))})"
        )
    if not part.paths:
        if missing == "skip":
            return {}
        raise UserError(f"{where}: path is missing: where the labels are")
    rules = replace(own.rules, paths=part.paths)
    if not draw:
        assert own.row.find is not None
        sources = own.row.find(images, rules, where)
        _try(own, {image: sources[image] for image in [*sources][:_TRIED]}, rules)
        return {image: source.where for image, source in sources.items()}
    home, note = cache.folder(own.file)
    drawn = drawings.drawn(images, rules, missing, home, where)
    notes += [line for line in (note, *drawn.notes) if line and line not in notes]
    return drawn.labels


def _try(own: OwnSet, sources: Mapping[str, Source], rules: LabelRules) -> None:
    """Draw some labels; where faults are gathered, a bad one among good ones is no reason to stop."""
    assert own.row.draw is not None
    bad: dict[str, UserError] = {}
    for image, source in sources.items():
        try:
            own.row.draw(source, drawings.stored_size(image, own.row.upright), rules)
        except UserError as error:
            bad[image] = error
    for image, error in bad.items():
        if len(bad) == len(sources):
            raise error
        take(error, image, image)


def _paired(
    own: OwnSet, mode: str, part: Part, labels: Mapping[str, str | None], notes: list[str]
) -> list[tuple[Picture, str | None]]:
    """Put images and labels together; UserError for images without label, unless they may be left out.

    Where faults are gathered, images whose label has one have none, and are looked at all the same.
    """
    bad = gathered.images if (gathered := collected()) else ()
    labels = {**dict.fromkeys(p.path for p in part.pictures if p.path in bad), **labels}
    without = [picture for picture in part.pictures if picture.path not in labels]
    if mode == "test":
        return [(picture, labels.get(picture.path)) for picture in part.pictures]
    if without and (own.missing != "skip" or len(without) == len(part.pictures)):
        looked = f"looked in {', '.join(part.paths)}" if part.paths else "labels has no path, and no list names one"
        count = f"{len(without)} of {counted(len(part.pictures), 'image')} of {mode}"
        message = (
            f"{own.file}: {part.key}: image without label: {count} {'has' if len(without) == 1 else 'have'} none, "
            f"{without[0].path} first ({looked}); missing: skip leaves such images out"
        )
        place = Path(part.paths[0] if part.paths else ".")
        labels = {**labels, **{p.path: absent_label(place / f"{Path(p.path).stem}.png", message) for p in without}}
    elif without:
        notes.append(f"{own.name}: {counted(len(without), 'image')} of {mode} without label left out (missing: skip)")
    return [(picture, labels[picture.path]) for picture in part.pictures if picture.path in labels]
