"""Images and what files of annotations call them: by as much of the path as both have, the suffix last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from datasets.collecting import take, tolerated
from datasets.own.contract import Picture
from datasets.own.shapes import Remarks
from media.files import EXTENSIONS
from utils.errors import UserError
from utils.names import shown

# Endings that a label file has beside its image's name, and that an image has beside its label's.
_ENDINGS = ("_gtFine_polygons", "_gtCoarse_polygons", "_polygons", "_leftImg8bit")
Fit = tuple[int, int, int]  # how well an annotation fits a picture, the first number before the others
_NO_IMAGE = "annotations have no image here: left out"


def matched(found: Sequence[Any], pictures: Sequence[Picture], remarks: Remarks) -> dict[str, Any]:
    """Give {picture's path: its annotation}, each with `name`, `where` and `file`; those without an image are noted.

    A name fits pictures of the same last part; where there are several, those with which it has most folders in
    common, from the last one on, then those that its file has most folders in common with (site_a/labels/1.txt and
    site_a/images/1.jpg), then one of the same suffix. UserError where more than one is left, and for two annotations of
    one picture.
    """
    index: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        index[key_of(picture.place)].append(picture)
    taken: dict[str, list[tuple[Fit, Any]]] = defaultdict(list)
    for one in found:
        fit, best = _best(one, index.get(key_of(one.name), ()))
        if not best:
            remarks.add(_NO_IMAGE, f"{shown(one.name)}, {one.where}")
        elif len(best) > 1:
            both = " or ".join(shown(picture.place) for picture in best[:3])
            said = f"{one.where}: {shown(one.name)!r} may be {both}: write the folder in front of the name"
            take(UserError(said), one.file)
        else:
            taken[best[0].path].append((fit, one))
            ours = {*_folders(one.name)}
            if ours and _folders(best[0].place) and not ours & {*_folders(best[0].path)}:
                remarks.add(
                    "annotations fit an image of another folder, by its name alone", f"{shown(one.name)}, {one.where}"
                )
    found_of = dict[str, Any]()
    for path, ones in taken.items():
        with tolerated(ones[0][1].file, path):
            found_of[path] = _only(path, ones, remarks)
    return found_of


def _only(path: str, ones: list[tuple[Fit, Any]], remarks: Remarks) -> Any:
    """Choose the annotation whose name fits a picture best; the others are noted. UserError where there are two."""
    best = max(fit for fit, _ in ones)
    first, *others = [one for fit, one in ones if fit == best]
    if others:
        both = f"{first.where} and {others[0].where}"
        raise UserError(f"{shown(path)} is annotated twice: {both}: leave one out")
    for fit, one in ones:
        if fit < best:
            remarks.add(_NO_IMAGE, f"{shown(one.name)}, {one.where}")
    return first


def _best(one: Any, choices: Iterable[Picture]) -> tuple[Fit, list[Picture]]:
    """Find the pictures that fit an annotation best, and how well."""
    best, found = (-1, 0, 0), []
    for picture in choices:
        fit = _fit(one.name, one.file, picture)
        if fit > best:
            best, found = fit, []
        if fit == best:
            found.append(picture)
    return best, found


def _fit(name: str, file: str, picture: Picture) -> Fit:
    """Count the folders that a name and a picture have in common at their ends, then those that the file which has the
    name has in common with the picture, anywhere; then whether suffixes agree.
    """
    ours, theirs = _folders(name), _folders(picture.path)
    common = 0
    while common < min(len(ours), len(theirs)) and ours[-1 - common] == theirs[-1 - common]:
        common += 1
    # A name without folders fits the picture without folders.
    at_end = common + (not ours and not _folders(picture.place))
    around = len({*_folders(file), *ours} & {*theirs})
    return at_end, around, int(_suffix(name) == _suffix(picture.place))


def _folders(name: str) -> tuple[str, ...]:
    return tuple(part for part in _path(name).parts[:-1] if part not in (".", "/"))


def _path(name: str) -> PurePosixPath:
    """Read a path as any system writes it."""
    return PurePosixPath(PureWindowsPath(name).as_posix()) if "\\" in name else PurePosixPath(name)


def _suffix(name: str) -> str:
    return _path(name).suffix.lower()


def key_of(name: str) -> str:
    """Give the last part of a path without suffix and without the endings that images and labels do not share."""
    last = _path(name).name
    stem = last[: -len(_suffix(last))] if _suffix(last) in EXTENSIONS else last
    return next((stem[: -len(end)] for end in _ENDINGS if stem.endswith(end)), stem)
