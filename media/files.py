"""Which files of a folder are pictures, what they are called, and their bytes.

What is hidden is no picture, nor what a run of ours has left below the folder.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from media import intact
from media.results import is_results
from utils.digest import mark
from utils.errors import MachineError, UserError
from utils.files import opened

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp", ".tif", ".tiff")

_TOO_MANY = (errno.EMFILE, errno.ENFILE)  # open files

# Folders that systems put beside pictures, in which they keep small copies or halves of files.
_OF_SYSTEMS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN")


@dataclass
class Found:
    """Pictures of a folder, by path, and the folders of results in it that were left out."""

    paths: list[Path] = field(default_factory=list)
    results: list[Path] = field(default_factory=list)

    @property
    def note(self) -> str:
        """What the log should say of folders that were left out; empty if there are none."""
        if not self.results:
            return ""
        more = f" and {len(self.results) - 1} more" if len(self.results) > 1 else ""
        return f"not taken for pictures: results of a run in {self.results[0]}{more}"


def is_hidden(name: str) -> bool:
    """Say whether the name of a file or folder hides it."""
    return name.startswith(".") or name in _OF_SYSTEMS


def visible(paths: Iterable[Path]) -> list[Path]:
    """Sort the paths of one folder by name, without the hidden ones."""
    return sorted(path for path in paths if not is_hidden(path.name))


def images_in(folder: Path, recursive: bool = False) -> list[Path]:
    """List image files in `folder` by name, as `search` finds them; `recursive`: in any depth."""
    return search(folder).paths if recursive else sorted(_entries(folder)[0])


def search(folder: Path, without: Iterable[str | Path] = (), results: bool = False) -> Found:
    """Find pictures in any depth of a folder. `results`: also those in which runs have left their results.

    Hidden ones and all that lies in hidden folders are left out, and so are the folders `without` and the results.
    Linked folders are followed, each folder once: under its own path where it has one here.
    """
    apart = {identity for path in without if (identity := _identity(Path(path))) and identity != _identity(folder)}
    found, seen = Found(), {_identity(folder)}
    queue, links = deque([folder]), deque[Path]()
    while queue or links:
        here = queue.popleft() if queue else links.popleft()
        if here.is_symlink() and here != folder:  # a link waits until all real folders are known
            if (identity := _identity(here)) in seen:
                continue
            seen.add(identity)
        if here != folder and _identity(here) in apart:
            continue
        if here != folder and not results and is_results(here):
            found.results.append(here)
            continue
        images, real, linked = _entries(here)
        found.paths += images
        seen.update(map(_identity, real))
        queue.extend(real)
        links.extend(linked)
    found.paths.sort()
    found.results.sort()
    return found


def _entries(folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """List pictures, folders and linked folders of a folder, none of them hidden. UserError if it is closed to us."""
    images, real, linked = [], [], []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"cannot look into the folder {folder}: {error.strerror}") from None
    for entry in entries:
        if is_hidden(entry.name):
            continue
        if _is_folder(entry):
            (linked if entry.is_symlink() else real).append(Path(entry.path))
        elif Path(entry.name).suffix.lower() in EXTENSIONS:
            images.append(Path(entry.path))
    return images, real, linked


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links: who reads it is told
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    """Identify a folder, whichever way leads to it; None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def some_images(folder: Path) -> list[Path]:
    """List image files in `folder` by name; UserError if there are none."""
    paths = images_in(folder)
    if not paths:
        raise UserError(f"no images in {folder}")
    return paths


def read_complete(path: str) -> bytes:
    """Read the bytes of a file that is whole."""
    try:
        with opened(path) as file:
            data = file.read()
    except OSError as error:
        if error.errno in _TOO_MANY:
            cure = "raise `ulimit -n`, or lower --num_workers"
            raise MachineError(f"cannot read {path}: {error.strerror}; {cure}") from None
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    return complete(path, data)


def complete(path: str, data: bytes) -> bytes:
    """Give the bytes of a file; UserError for one that was cut off or damaged, as far as its bytes tell."""
    if why := intact.fault(data):
        raise UserError(f"{path} {why}")
    return data


def listing_for_message(folder: Path, limit: int = 8) -> str:
    """List names in `folder` for an error message."""
    names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    more = f", ... ({len(names)} in all)" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more if names else "nothing"


def unique_names(choices: Iterable[Sequence[str]]) -> Iterator[str]:
    """Choose a file name for each image that no other has: the first of its choices that no other image has.

    `choices`: of each image its stem and its path, suffix and all ("a__x_jpg"), since x.png and x.jpg may lie side by
    side. Where another image could also have all of them, the place in the list is appended to the last. `choices` are
    read twice; what is kept of a million of them is a few bytes each.
    """
    marks, times = np.unique(np.fromiter((mark(one) for own in choices for one in own), np.int64), return_counts=True)
    several = {*marks[times > 1].tolist()}
    for place, own in enumerate(choices):
        yield next((choice for choice in own if mark(choice) not in several), f"{own[-1]}_{place:06d}")


def existing(path: str, what: str) -> Path:
    """Give a folder that is there; UserError, with what lies beside it, for another."""
    folder = Path(path)
    if folder.is_dir():
        return folder
    parent = folder.parent
    around = f"; in {parent} there is {listing_for_message(parent)}" if parent.is_dir() else ""
    raise UserError(f"the folder of {what} {path} does not exist{around}")


def some(images: str, *without: str | Path) -> Found:
    """Find the images in any depth of a folder but below `without` ("": none); UserError if there are none."""
    root = existing(images, "images")
    seen = search(root, [path for path in without if str(path)])
    if not seen.paths:
        raise UserError(f"no images ({', '.join(EXTENSIONS)}) under {images}; found there: {listing_for_message(root)}")
    return seen


def named(images: str, *without: str | Path) -> list[tuple[Path, str]]:
    """List (image, its name) as `some`, each called as its path says, without suffix.

    Where two would be called the same the suffix is part of the name ("a/x_jpg"), and in names that end as those of
    probability maps do.
    """
    root, choices = Path(images), []
    paths = some(images, *without).paths
    for path in paths:
        place = path.relative_to(root)
        short, long = str(place.with_suffix("")), str(place.with_name(f"{place.stem}_{place.suffix[1:]}"))
        choices.append([long] if short.endswith("_prob") else [short, long])
    return list(zip(paths, unique_names(choices), strict=True))
