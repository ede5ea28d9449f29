"""What the names of files tell: those that some disks take for one, labels without images, pictures nobody reads."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from datasets.checking.faults import Fault
from datasets.checking.look import Subject
from datasets.own.cache import RECORDS
from media.files import EXTENSIONS, is_hidden

# Pictures that cameras and programs write, and that no reader here decodes.
_OTHERS = (".heic", ".heif", ".avif", ".jp2", ".gif", ".jfif", ".tga", ".dng", ".cr2", ".nef", ".arw", ".raw", ".jxl")
# Files beside labels that are no labels by themselves.
_BESIDE = ("color", "instanceIds", "labelIds", "labelTrainIds", "polygons", "prob", "instances")


def faults(subjects: Sequence[Subject]) -> Iterator[Fault]:
    """Tell all that the names of listed files, and of those beside them, have to say."""
    yield from alike(subjects)
    yield from unread(subjects)
    yield from without_image(subjects)


def alike(subjects: Iterable[Subject]) -> Iterator[Fault]:
    """Find images whose paths differ only in case."""
    first: dict[str, str] = {}
    for subject in subjects:
        path = subject.item.image
        other = first.setdefault(path.casefold(), path)
        if other != path:
            yield Fault("alike-names", subject.where, path, f"differs from {os.path.basename(other)} only in case")


def unread(subjects: Iterable[Subject]) -> Iterator[Fault]:
    """Find pictures beside the images, in formats that are not read."""
    for folder, where in _folders((s.item.image, s.where) for s in subjects).items():
        for name in _names(folder):
            if Path(name).suffix.lower() in _OTHERS:
                yield Fault("unread-picture", where, str(folder / name), f"{Path(name).suffix} files are not read")


def without_image(subjects: Sequence[Subject]) -> Iterator[Fault]:
    """Find files in the folders of labels that are the labels of nothing that is listed, and have no image."""
    pairs = [(str(s.item.label), s) for s in subjects if s.item.label]
    used = {label for label, _ in pairs}
    images = _stems_beside(subjects)
    for folder, where in _folders((label, s.where) for label, s in pairs).items():
        names = [] if _is_cache(folder) else _names(folder)
        kinds = {_ending(name) for name in names if str(folder / name) in used}
        for name in names:
            own = str(folder / name) not in used and Path(name).suffix.lower() in EXTENSIONS
            if own and _ending(name) in kinds and _stem(name) not in images[folder]:
                yield Fault("label-without-image", where, str(folder / name), "has no image of its name")


def _stems_beside(subjects: Iterable[Subject]) -> dict[Path, set[str]]:
    """Give, for each folder of labels, the stems in the folders of their images, be they listed or not."""
    found: dict[Path, set[Path]] = defaultdict(set)
    for subject in subjects:
        if subject.item.label:
            found[Path(subject.item.label).parent].add(Path(subject.item.image).parent)
    return {labels: {_stem(name) for folder in folders for name in _names(folder)} for labels, folders in found.items()}


def _folders(files: Iterable[tuple[str, str]]) -> dict[Path, str]:
    """Give the folders of files, each with where its first file belongs."""
    found: dict[Path, str] = {}
    for file, where in files:
        found.setdefault(Path(file).parent, where)
    return found


def _is_cache(folder: Path) -> bool:
    """Say whether labels were drawn into a folder from files of objects: older ones stay there."""
    return any(any(place.glob(RECORDS)) for place in (folder, folder.parent))


def _names(folder: Path) -> list[str]:
    """List a folder's visible files by name; none where it cannot be looked into."""
    try:
        return sorted(entry.name for entry in os.scandir(folder) if not is_hidden(entry.name))
    except OSError:
        return []


def _ending(name: str) -> str:
    """Tell what a label's name says of its kind: "labelIds" of x_gtFine_labelIds.png, "" for most."""
    last = Path(name).stem.rpartition("_")[2]
    return last if last in _BESIDE else ""


def _stem(name: str) -> str:
    """Give what an image and its label have in common: the name without the usual endings."""
    stem = Path(name).stem
    for ending in ("_leftImg8bit", "_rgb_anon", "_rgb", "_L", *(f"_{kind}" for kind in _BESIDE)):
        stem = stem.removesuffix(ending)
    for ending in ("_gtFine", "_gtCoarse", "_gt"):
        stem = stem.removesuffix(ending)
    return stem
