"""Which files of a folder are pictures. What is hidden is none, nor what a run of ours has left below the folder."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from datasets.results import is_results
from utils.errors import UserError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp", ".tif", ".tiff")

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
