"""What lies in a folder: every picture and every other file, by path, read once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TypeVar

from media.files import EXTENSIONS, is_hidden
from media.results import is_results
from utils.errors import UserError
from utils.plural import counted

T = TypeVar("T")


@dataclass(frozen=True)
class Tree:
    """Files below `root`, by their paths from there ("train/images/a.jpg"), sorted.

    `pictures`: those with a suffix of pictures. `files`: all others. `results`: folders of runs, which were left out.
    """

    root: Path
    pictures: tuple[str, ...]
    files: tuple[str, ...]
    results: tuple[str, ...] = ()
    _texts: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, root: Path) -> Tree:
        """Look into a folder of any depth, without what is hidden. UserError where there is none, or it is closed."""
        if not root.is_dir():
            raise UserError(f"{root} is {'a file' if root.exists() else 'not there'}: give the folder of a data set")
        pictures: list[str] = []
        files: list[str] = []
        results: list[str] = []
        home = os.path.realpath(root)
        seen = {home}
        for folder, folders, names in os.walk(root, onerror=_closed, followlinks=True):
            here = Path(folder).relative_to(root).as_posix()
            if here != "." and is_results(Path(folder)):
                results.append(here)
                folders.clear()
                continue
            folders[:] = _once(folder, folders, seen, home)
            for name in names:
                if not is_hidden(name):
                    into = pictures if PurePosixPath(name).suffix.lower() in EXTENSIONS else files
                    into.append(name if here == "." else f"{here}/{name}")
        return cls(root, tuple(sorted(pictures)), tuple(sorted(files)), tuple(sorted(results)))

    def path(self, place: str) -> Path:
        """Give the whole path of a file or folder here."""
        return self.root / place

    def with_suffix(self, *suffixes: str) -> list[str]:
        """List the other files that end so, in small letters or capital ones."""
        return [file for file in self.files if file.lower().endswith(suffixes)]

    @cached_property
    def folders(self) -> Mapping[str, int]:
        """Count the files of each folder, those in folders below it too; "" is the root."""
        found: Counter[str] = Counter()
        for place in (*self.pictures, *self.files):
            for folder in PurePosixPath(place).parents:
                found["" if str(folder) == "." else str(folder)] += 1
        return found

    def summary(self) -> str:
        """Say in short what is here: pictures and other files by suffix, and the folders at the top."""
        suffixes = Counter(
            PurePosixPath(place).suffix.lower() or "no suffix" for place in (*self.pictures, *self.files)
        )
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(5))
        tops = sorted(folder for folder in self.folders if folder and "/" not in folder)
        shown = ", ".join(tops[:6]) + (f" and {len(tops) - 6} more" if len(tops) > 6 else "")
        return f"{kinds or 'no file'}; {f'folders {shown}' if tops else 'no folder'}"


def _closed(error: OSError) -> None:
    raise UserError(f"cannot look into the folder {error.filename}: {error.strerror}") from None


def _once(folder: str, names: Iterable[str], seen: set[str], root: str) -> list[str]:
    """Keep folders that are not hidden; of links those that lead to what is not `seen`, and not above the `root`."""
    kept = []
    for name in sorted(names):
        path = os.path.join(folder, name)
        if is_hidden(name):
            continue
        if os.path.islink(path):
            real = os.path.realpath(path)
            if real in seen or root.startswith(real.rstrip(os.sep) + os.sep):
                continue
            seen.add(real)
        kept.append(name)
    return kept


def common_folder(places: Iterable[str]) -> str:
    """Find the deepest folder that all of some files lie in, "" for the root."""
    folders = [PurePosixPath(place).parent.parts for place in places]
    shared = os.path.commonprefix(folders) if folders else ()
    return "/".join(shared)


def some(things: Sequence[T], count: int) -> Sequence[T]:
    """Take `count` of a list, evenly; all of a shorter one."""
    if len(things) <= count:
        return things
    return [things[i * len(things) // count] for i in range(count)]


def named(things: Iterable[str], most: int = 3) -> str:
    """List the first few of some names, with the number of the others."""
    every = list(things)
    more = f" and {counted(len(every) - most, 'more', 'more')}" if len(every) > most else ""
    return ", ".join(every[:most]) + more
