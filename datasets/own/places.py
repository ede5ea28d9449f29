"""Paths of a dataset's file: where they start from, and which files folders, globs and lists stand for."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.own.contract import Picture
from media.files import EXTENSIONS, is_hidden, listing_for_message, search
from utils import textfile
from utils.errors import UserError, nearest

_LISTS = (".txt", ".lst")
_WILD = "*?["


@dataclass
class Listed:
    """Images of `images`; `labels`: {image: its label} of those whose list has a second column."""

    pictures: list[Picture]
    labels: dict[str, str]
    notes: list[str]


def placed(base: Path, text: str) -> str:
    """Give the absolute path of a text of the file; `base`: the folder that its paths start from."""
    return os.path.normpath(base / Path(text).expanduser())


def is_glob(text: str) -> bool:
    """Say whether a text names files by wildcards."""
    return any(c in text for c in _WILD)


def is_list(text: str) -> bool:
    """Say whether a text names a list of files."""
    return Path(text).suffix.lower() in _LISTS


def not_there(path: str, where: str) -> UserError:
    """Make the line about a path that is not there: the nearest name, and what is there instead."""
    parent = Path(path).parent
    while not parent.is_dir():
        path, parent = str(parent), parent.parent
    near = nearest(Path(path).name, [entry.name for entry in parent.iterdir()])
    return UserError(f"{where}: {path} is not there{near or f'; in {parent} there is {listing_for_message(parent)}'}")


def fixed_part(pattern: str) -> Path:
    """Give the folder of a glob or a pattern in front of its first wildcard or {field}."""
    parts = Path(pattern).parts
    count = next((i for i, part in enumerate(parts) if is_glob(part) or "{" in part), len(parts))
    return Path(*parts[: min(count, len(parts) - 1)])


def globbed(pattern: str) -> list[Path]:
    """List the files of a glob that are not hidden, by path."""
    found = (Path(path) for path in glob.iglob(pattern, recursive=True))
    home = fixed_part(pattern)
    return sorted(p for p in found if p.is_file() and not any(is_hidden(part) for part in p.relative_to(home).parts))


def pictures(texts: Sequence[str], base: Path, where: str, without: Iterable[str | Path] = ()) -> Listed:
    """Find the images of folders, globs and lists, each once, in the order in which they are named.

    `where`: file and key for messages. `without`: folders that hold no images, and files that are none. UserError for
    what is not there, and where there is none.
    """
    found, without, homes = Listed([], {}, []), [*without], list[str]()
    files = {os.path.normpath(path) for path in without}
    for text in texts:
        path = placed(base, text)
        if is_list(path):
            _add_list(found, path, base, where)
            continue
        if os.path.isdir(path):
            seen = search(Path(path), without)
            home, paths = Path(path), seen.paths
            found.notes += [seen.note] if seen.note else []
        elif is_glob(path):
            home = fixed_part(path)
            paths = [p for p in globbed(path) if p.suffix.lower() in EXTENSIONS]
        elif os.path.isfile(path) and Path(path).suffix.lower() in EXTENSIONS:
            home, paths = Path(path).parent, [Path(path)]
        elif os.path.isfile(path):
            raise UserError(f"{where}: {path} is no picture, and no list ({', '.join(_LISTS)})")
        else:
            raise not_there(path, where)
        paths = [p for p in paths if os.path.normpath(p) not in files]
        if not paths:
            raise UserError(f"{where}: no images ({', '.join(EXTENSIONS)}) in {path}{_instead(home)}")
        homes.append(str(home))
        found.pictures += [Picture(str(p), p.relative_to(home).as_posix()) for p in paths]
    found.pictures = _apart(list({picture.path: picture for picture in found.pictures}.values()), homes)
    return found


def _apart(found: list[Picture], homes: Sequence[str]) -> list[Picture]:
    """Give images of several folders their paths below what these have in common, where two would have the same."""
    if len(homes) < 2 or len({picture.place for picture in found}) == len(found):
        return found
    home = os.path.commonpath(homes)
    return [
        Picture(p.path, _below(p.path, Path(home)) if Path(p.path).is_relative_to(home) else p.place) for p in found
    ]


def _instead(folder: Path) -> str:
    return f"; found there: {listing_for_message(folder)}" if folder.is_dir() else f"; {folder} is not there"


def _add_list(found: Listed, path: str, base: Path, where: str) -> None:
    """Add the images of a list, and the labels of its second column."""
    if not os.path.isfile(path):
        raise not_there(path, where)
    first: dict[str, int] = {}
    for number, columns in rows(path, base):
        files = [placed(base, column) for column in columns]
        for file in files:
            if not os.path.isfile(file):
                raise UserError(
                    f"{path}, line {number}: {file} is not there; is {base} the folder that its paths start from?"
                )
        image = files[0]
        if len(files) > 1 and found.labels.setdefault(image, files[1]) != files[1]:
            raise UserError(f"{path}, line {number}: {image} has another label in line {first.get(image, '?')}")
        if image not in first:
            found.pictures.append(Picture(image, _below(image, base)))
        first.setdefault(image, number)


def _below(path: str, base: Path) -> str:
    return Path(path).relative_to(base).as_posix() if Path(path).is_relative_to(base) else Path(path).name


def rows(path: str, base: Path) -> list[tuple[int, list[str]]]:
    """Read the (line number, columns) of a list: an image, or an image and its label, parted by a tab or blanks.

    A line that is the name of a file is one column, blanks and all. UserError for more than two, and for none.
    """
    found = []
    for number, line in enumerate(textfile.lines(path, f"the list {path}", names=True), 1):
        line = line.strip(" \t")
        if not line or line.startswith("#"):
            continue
        if "\t" in line:
            columns = [part.strip() for part in line.split("\t") if part.strip()]
        else:
            columns = [line] if os.path.isfile(placed(base, line)) else line.split(" ")
        columns = [column for column in columns if column]
        if len(columns) > 2:
            raise UserError(
                f"{path}, line {number}: {len(columns)} columns; an image and its label are 2 (a tab parts names that "
                "have blanks)"
            )
        found.append((number, columns))
    if not found:
        raise UserError(f"the list {path} is empty")
    return found


class Index:
    """Finds an image by what lists and label files call it: its path below `images`, its path from `base`, its file's
    name, each with or without suffix. A name alone that several images have finds none of them.
    """

    def __init__(self, found: Sequence[Picture], base: Path = Path()) -> None:
        self.base = base
        self._places: dict[str, Picture | None] = {}
        self._names: dict[str, Picture | None] = {}
        self._alike: dict[str, list[Picture]] = {}
        for picture in found:
            path, place = Path(picture.path), Path(picture.place)
            for known, paths in ((self._places, (path, place)), (self._names, (Path(place.name),))):
                for name in {str(way) for one in paths for way in (one, one.with_suffix(""))}:
                    known[name] = None if name in known else picture
            self._alike.setdefault(Path(place.name).stem, []).append(picture)

    def get(self, name: str) -> Picture | None:
        """Find the image of a name, None where there is none or more than one."""
        path = os.path.normpath(name)
        for known, way in ((self._places, path), (self._places, placed(self.base, path)), (self._names, path)):
            if (picture := known.get(way)) is not None:
                return picture
        return None

    def near(self, stem: str, file: str) -> Picture | None:
        """Find the one of several images of a name with which a file has most folders in common."""
        folders = {*Path(file).parent.parts}
        common = {one: len(folders & {*Path(one.path).parent.parts}) for one in self._alike.get(stem, ())}
        most = max(common.values(), default=0)
        best = [one for one, count in common.items() if count == most]
        return best[0] if len(best) == 1 else None

    def is_of_several(self, name: str) -> bool:
        """Say whether a name is that of several images."""
        path = os.path.normpath(name)
        return any(path in known and known[path] is None for known in (self._places, self._names))

    def close(self, name: str) -> str:
        """Suggest the nearest name for a message."""
        return nearest(name, [place for place in self._places if not os.path.isabs(place)])
