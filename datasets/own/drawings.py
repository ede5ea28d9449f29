"""Draws labels that are polygons or masks of objects, once, as PNG files of train ids that are named by their content.

Every file appears whole or not at all, and two processes that draw the same write the same: a start that was cut off
goes on where it was, and several may start together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets.collecting import Collected, collected, take, tolerated
from datasets.own import cache
from datasets.own.contract import LabelKind, LabelRules, Picture, Source, Sources
from datasets.own.kinds import KINDS
from datasets.own.stored import label_files
from datasets.reading import size_of
from media.exif import SIDES_EXCHANGED
from media.reading import orientation_of
from utils.errors import UserError
from utils.files import cannot_write, whole
from utils.plural import counted
from utils.progress import progress
from utils.visualize import encode_png

_VERSION = 2  # to be raised when keys or files change
_MEMORY = 1 << 31  # bytes of labels that are drawn at once, at most
_PER_PIXEL = 8  # bytes of a label's pixel while it is drawn, about


class Drawn(NamedTuple):
    """{image: its drawing}, and what the log should say."""

    labels: dict[str, str]
    notes: list[str]


class Job(NamedTuple):
    """A drawing that is not there yet; `source` None: of an image without label, all background."""

    target: Path
    source: Source | None
    size: tuple[int, int]


def drawn(pictures: Sequence[Picture], rules: LabelRules, missing: str, home: Path, where: str) -> Drawn:
    """Give the drawing of each image, made where it is not there; images without label have none.

    Where faults are gathered, images that have one have none either, and the next start looks at all of it again.
    `missing`: "background" draws these as background. `home`: the cache's folder; `where`: file and key for messages.
    """
    kind = KINDS[rules.kind]
    head = [_VERSION, kind.version, *_rules(rules, kind)]
    inputs = [path for place in rules.paths for path in label_files(place, kind.suffixes, where)[1]]
    stamps = [[str(path), cache.stamp(path)] for path in (*inputs, *(picture.path for picture in pictures))]
    record = home / f"drawn-{cache.key_of([rules.kind, rules.paths, missing])[:12]}.json"
    key, known = cache.key_of([head, missing, stamps]), cache.load(record)
    folder, gathered = home / "labels", collected() or Collected()
    if known.get("key") == key and _all_there(known, folder) and _same(known["files"]):
        labels = {image: str(folder / name) for image, name in known["labels"].items()}
        gathered.drawn |= {label: (image, known.get("named", {}).get(image, "")) for image, label in labels.items()}
        return Drawn(labels, known["notes"])
    assert kind.find is not None
    before = gathered.taken
    sources = kind.find(pictures, rules, where)
    jobs = _jobs(pictures, sources, rules, missing, head, home)
    made = _draw({job.target: (image, job) for image, job in jobs.items()}, rules)
    jobs = {image: job for image, job in jobs.items() if image not in gathered.images}
    notes = getattr(sources, "notes", []) if isinstance(sources, Sources) else []
    notes = [*notes, f"{len(jobs)} labels of kind {rules.kind} are drawn in {folder}"]
    if empty := sum(job.source is None for job in jobs.values()):
        notes.insert(0, f"{counted(empty, 'image')} without label drawn as background (missing: background)")
    names = {image: job.target.name for image, job in jobs.items()}
    files = {path: cache.stamp(path) for source in sources.values() for path in source.files}
    named = {image: job.source.named for image, job in jobs.items() if job.source is not None}
    sound = gathered.taken == before and gathered.images.isdisjoint(picture.path for picture in pictures)
    key = key if sound else ""  # of a record that the next start, which may be a training, does not take
    cache.save(record, {"key": key, "labels": names, "notes": notes, "files": files, "named": named})
    gathered.drawn |= {str(job.target): (image, named.get(image, "")) for image, job in jobs.items()}
    now = [f"{made} of the {len(jobs)} labels of kind {rules.kind} were drawn now"] if made else []
    return Drawn({image: str(job.target) for image, job in jobs.items()}, [*notes, *now])


def _rules(rules: LabelRules, kind: LabelKind) -> list[Any]:
    """List what of the rules decides a drawing."""
    color = (lambda one: one.color) if "color" in kind.by else lambda _: None
    own = [[one.name, one.ids, one.aliases, color(one)] for one in rules.classes]
    rest = [rules.kind, rules.ignored, rules.background, rules.overlap, rules.unknown, dict(rules.options)]
    return [own, *rest]


def _same(files: Mapping[str, list[int]]) -> bool:
    """Say whether files that drawings were made of, also those that no place of labels names, are as they were."""
    return all(cache.stamp(path) == stamp for path, stamp in files.items())


def _all_there(known: Mapping[str, Any], folder: Path) -> bool:
    """Say whether all drawings of a record are there."""
    try:
        there = {entry.name for entry in os.scandir(folder)}
    except OSError:
        return False
    return there.issuperset(known["labels"].values())


def _jobs(
    pictures: Sequence[Picture],
    sources: Mapping[str, Source],
    rules: LabelRules,
    missing: str,
    head: list[Any],
    home: Path,
) -> dict[str, Job]:
    """Name the drawing of each image by its content."""
    gathered = collected()
    every = (path for source in sources.values() for path in source.files)
    sums = cache.checksums(every, home, skips_bad=gathered is not None)
    found = {}
    for picture in pictures:
        source = sources.get(picture.path)
        left_out = gathered is not None and picture.path in gathered.images
        if left_out or (source is None and missing != "background"):
            continue
        with tolerated(picture.path, picture.path, "unreadable-image"):
            size = stored_size(picture.path, KINDS[rules.kind].upright)
            parts = [source.content.hex(), [sums[path] for path in source.files]] if source else ["no label"]
            name = f"{Path(picture.path).stem[:80]}-{cache.key_of([head, size, parts])[:16]}.png"
            found[picture.path] = Job(home / "labels" / name, source, size)
    return found


def stored_size(path: str, upright: bool) -> tuple[int, int]:
    """Read (H, W) of an image as it is stored or, `upright`, turned by its EXIF tag."""
    height, width = size_of(path)
    return (width, height) if upright and orientation_of(path) in SIDES_EXCHANGED else (height, width)


def _draw(jobs: Mapping[Path, tuple[str, Job]], rules: LabelRules) -> int:
    """Draw what is not there, in threads: drawing and compressing release the interpreter's lock; gives how many.

    `jobs`: {target: (an image, its job)}.
    """
    left = [(image, job) for image, job in jobs.values() if not job.target.is_file()]
    if not left:
        return 0
    largest = max(job.size[0] * job.size[1] for _, job in left) * _PER_PIXEL
    workers = max(1, min(os.cpu_count() or 1, 8, _MEMORY // largest))
    with ThreadPoolExecutor(workers) as pool:
        try:
            done = pool.map(lambda one: _fault_of(one[1], rules), left)
            shown = progress(done, f"{rules.kind} labels drawn", len(left), shown=len(left) > 50)
            for (image, job), error in zip(left, shown, strict=True):
                if error is not None:
                    take(error, _file_of(job, str(error)) or image, image)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return len(left)


def _fault_of(job: Job, rules: LabelRules) -> UserError | None:
    """Draw and write one label; gives what is wrong with it, since threads gather nothing."""
    try:
        _one(job, rules)
    except UserError as error:
        return error
    return None


def _file_of(job: Job, text: str) -> str:
    """Find the file that a message is about, among those that a label is drawn of."""
    files = (*job.source.files, job.source.file) if job.source is not None else ()
    return next((file for file in files if file and file in text), "")


def _one(job: Job, rules: LabelRules) -> None:
    """Draw one label and write it, whole or not at all."""
    draw = KINDS[rules.kind].draw
    assert draw is not None
    label = rules.blank(job.size) if job.source is None else draw(job.source, job.size, rules)
    if label.shape != job.size or label.dtype != rules.dtype:
        raise AssertionError(f"{rules.kind}: a drawing of {label.shape} {label.dtype}, not {job.size} {rules.dtype}")
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        with whole(job.target, shared=True) as stream:
            stream.write(encode_png(np.ascontiguousarray(label)))
    except OSError as error:
        raise cannot_write(job.target, error) from error


def with_paths(rules: LabelRules, paths: Sequence[str]) -> LabelRules:
    """Give the rules with the places of a split's labels."""
    return replace(rules, paths=tuple(paths))
