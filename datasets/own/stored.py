"""Finds the label file of each image: by a folder, a glob, a pattern with {stem}, or the list that names both."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from datasets.folder import ENDINGS
from datasets.own.contract import Picture
from datasets.own.places import fixed_part, globbed, is_glob, not_there
from media.files import EXTENSIONS, search
from utils.errors import UserError, nearest

# What the names of an image and of its label end in, and do not share.
_ENDINGS = tuple(
    sorted(
        {
            *ENDINGS, "_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation", "_annotation", "-mask",
            "-label", "_sat", "_image", "_img", "_rgb", "_color", "_groundtruth", "_gtFine_labellevel3Ids", "_train_id",
        },
        key=len,
        reverse=True,
    )
)  # fmt: skip


def find(pictures: Sequence[Picture], paths: Sequence[str], listed: Mapping[str, str], where: str) -> dict[str, str]:
    """Find {image: its label}; images that have none are not in it.

    `paths`: absolute folders, globs and patterns; `listed`: what lists say, which comes first. `where`: file and key.
    UserError for a place that is not there, and for a label that two images would have.
    """
    index: dict[str, str | None] = {}
    patterns = [path for path in paths if is_pattern(path)]
    for path in paths:
        if not is_pattern(path):
            add(index, path, where)
    for pattern in patterns:
        check_fields(pattern, ("stem", "dir"), where)
    found: dict[str, str] = {}
    for picture in pictures:
        label = listed.get(picture.path) or _by_pattern(picture, patterns) or _by_index(picture, index)
        if label and label != picture.path:
            found[picture.path] = label
    _check_once(found, where)
    return found


def is_pattern(path: str) -> bool:
    """Say whether a path has {fields} that each image fills."""
    return "{" in path


def check_fields(pattern: str, known: Sequence[str], where: str) -> None:
    """Raise UserError for a pattern with other fields than `known`, or without {stem}."""
    try:
        fields = [name for _, name, form, change in string.Formatter().parse(pattern) if name is not None]
        odd = next((name for name in fields if name not in known), None)
    except ValueError as error:
        raise UserError(f"{where}: {pattern!r}: {error}") from None
    names = ", ".join(f"{{{name}}}" for name in known)
    if odd is not None:
        raise UserError(f"{where}: {pattern!r}: there is no {{{odd}}}{nearest(odd, known)}; known: {names}")
    if "stem" not in fields:
        raise UserError(f"{where}: {pattern!r} has no {{stem}}: all images would have one label; known: {names}")


def filled(pattern: str, picture: Picture, **more: str) -> str:
    """Fill a pattern's fields for an image."""
    place = Path(picture.place)
    folder = "" if place.parent == Path() else place.parent.as_posix()
    return os.path.normpath(pattern.format(stem=place.stem, dir=folder, **more))


def key(stem: str) -> str:
    """Take from a name what images and labels do not share."""
    return next((stem[: -len(end)] for end in _ENDINGS if stem.endswith(end) and len(stem) > len(end)), stem)


def label_files(path: str, suffixes: Sequence[str], where: str) -> tuple[Path, list[Path]]:
    """List the files of a folder (in any depth), a glob, a pattern or a file's name, and the folder that they lie in.

    UserError where the place is not there.
    """
    if is_pattern(path):
        home = fixed_part(path)
        return home, [*_below(home, suffixes)] if home.is_dir() else []
    if os.path.isdir(path):
        return Path(path), [*_below(Path(path), suffixes)]
    if is_glob(path):
        return fixed_part(path), [p for p in globbed(path) if p.suffix.lower() in suffixes]
    if os.path.isfile(path):
        return Path(path).parent, [Path(path)]
    raise not_there(path, where)


def _below(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """List files in any depth of a folder that are not hidden, by path."""
    seen = set[str]()
    for place, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:  # a link into a folder above itself
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (
            Path(place, name)
            for name in sorted(files)
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes
        )


def add(index: dict[str, str | None], path: str, where: str) -> None:
    """Add the label files of a folder or a glob to an index by place and by name; None: several have the name."""
    if os.path.isfile(path):
        raise UserError(f"{where}: {path} is a file: give the folder of the labels, or a glob")
    if os.path.isdir(path):
        home, files = Path(path), search(Path(path), results=True).paths
    else:
        home, files = label_files(path, EXTENSIONS, where)
    if not files:
        raise UserError(f"{where}: no label images ({', '.join(EXTENSIONS)}) in {path}")
    by_name: dict[str, set[str]] = {}
    # Of several files of an image's name, those of ids come first: pictures of them are no labels.
    for file in sorted(files, key=lambda file: (file.stem.endswith(("_color", "_instanceIds")), file.suffix != ".png")):
        place = file.relative_to(home).parent
        for name in dict.fromkeys((file.stem, key(file.stem))):
            by_name.setdefault(name, set()).add(index.setdefault(str(place / name), str(file)) or "")
    for name, labels in by_name.items():
        index.setdefault(f"/{name}", labels.pop() if len(labels) == 1 else None)


def _by_pattern(picture: Picture, patterns: Sequence[str]) -> str | None:
    return next((path for pattern in patterns if os.path.isfile(path := filled(pattern, picture))), None)


def _by_index(picture: Picture, index: Mapping[str, str | None]) -> str | None:
    """Find a label by the image's path, then by its name alone; with its ending first."""
    place = Path(picture.place)
    names = dict.fromkeys((place.stem, key(place.stem)))
    ways = [*(str(place.parent / name) for name in names), *(f"/{name}" for name in names)]
    return next((label for way in ways if (label := index.get(way))), None)


def _check_once(found: Mapping[str, str], where: str) -> None:
    """Raise UserError where two images would have the same label."""
    owner: dict[str, str] = {}
    for image, label in found.items():
        if (other := owner.setdefault(label, image)) != image:
            cure = "give labels the paths of their images, or a pattern with {dir}/{stem}"
            raise UserError(f"{where}: {other} and {image} would both have the label {label}: {cure}")


def listed_by(path: str) -> list[Path]:
    """List the files that a glob or a pattern of labels may mean, so that they are taken for no images."""
    if is_pattern(path):
        regex = re.compile(re.sub(r"\\\{[a-z]*\\\}/?", ".*", re.escape(path)))
        return [file for file in label_files(path, EXTENSIONS, "")[1] if regex.fullmatch(str(file))]
    return [file for file in globbed(path) if is_glob(path)]
