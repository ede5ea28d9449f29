"""Whether two run folders hold the same: all files but what tells of times, and of what was killed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from engine import curves
from engine.checkpoint import load

# What a run may leave otherwise: its lines with their times, its lock, what a start that ended early has left.
OTHERWISE = re.compile(
    r"(.*/)?(train\.log|run\.lock|events\.out\.tfevents\..*|before-\d+-\d+.*|.*\.[0-9a-f]{8}\.part|\..*_[0-9a-f]{8}_\d)$"
)
TIMES = re.compile(r"\d+-\d+-\d+ \d+:\d+(:\d+)?|(?<=>)[\d.,]+ (s|min|h|GB|GiB|MB)\b|\d+:\d\d:\d\d")
# Of a checkpoint: seconds that were used.
SECONDS = re.compile(r"/spent/(seconds|took/.*)$")


def differences(one: Path, other: Path) -> list[str]:
    """Name what differs; empty where the folders are equal."""
    ours, theirs = (dict(_files(folder)) for folder in (one, other))
    found = [f"only in {one}: {name}" for name in sorted(ours.keys() - theirs.keys())]
    found += [f"only in {other}: {name}" for name in sorted(theirs.keys() - ours.keys())]
    for name in sorted(ours.keys() & theirs.keys()):
        found += [f"{name}: {what}" for what in _differ(ours[name], theirs[name], (one, other))]
    return found + [f"tensorboard: {what}" for what in _unlike(_points(one), _points(other))]


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_file() and not OTHERWISE.match(name):
            yield name, path


def _differ(one: Path, other: Path, places: tuple[Path, Path]) -> list[str]:
    if one.suffix == ".pth":
        return _unlike(dict(_leaves(load(one))), dict(_leaves(load(other))))
    if one.name == "metrics.csv":
        return _unlike(dict(enumerate(_rows(one.parent))), dict(enumerate(_rows(other.parent))))
    texts = [path.read_bytes().replace(bytes(root), b"") for path, root in zip((one, other), places, strict=True)]
    if one.suffix == ".html":
        texts = [TIMES.sub("", text.decode()).encode() for text in texts]
    if texts[0] == texts[1]:
        return []
    place = next((n for n, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    return [f"{[text[max(0, place - 60) : place + 60] for text in texts]}"]


def _unlike(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> list[str]:
    nothing = object()
    return [
        f"{name}: {str(one.get(name))[:80]} and {str(other.get(name))[:80]}"
        for name in [*one, *(name for name in other if name not in one)]
        if not _same(one.get(name, nothing), other.get(name, nothing))
    ]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return type(one) is type(other) and bool(one == other)


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        yield prefix, sorted(map(str, tree))
        for key, value in tree.items():
            yield from _leaves(value, f"{prefix}/{key}")
    elif isinstance(tree, (list, tuple)):
        yield prefix, len(tree)
        for index, value in enumerate(tree):
            yield from _leaves(value, f"{prefix}/{index}")
    elif not SECONDS.search(prefix):
        yield prefix, tree


def _rows(folder: Path) -> list[str]:
    """Rows of metrics.csv without their times; of what the steps took there is only the epoch."""
    rows = [(row.phase, {k: v for k, v in row.values.items() if k != "timestamp"}) for row in curves.rows(folder)]
    return [f"{phase} {values['epoch'] if phase == 'cost' else values}" for phase, values in rows]


def _points(folder: Path) -> dict[tuple[str, int], str]:
    """What tensorboard has of each curve and picture at each step; of figures of time only that they are there."""
    found: dict[tuple[str, int], Counter[str]] = {}
    for file in folder.rglob("events.out.tfevents.*"):
        for _, event in curves._records(file.read_bytes()) if "before-" not in file.parent.name else ():
            for value in event.summary.value:
                shown = "" if value.tag.startswith("cost/") else f"{value.simple_value} {value.image}"
                found.setdefault((value.tag, event.step), Counter())[shown] += 1
    return {key: str(sorted(seen.items())) for key, seen in found.items()}
