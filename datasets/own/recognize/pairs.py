"""Which pictures are images, which are labels, and which belong together: by names first, then by their pixels."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import NamedTuple

from datasets.own.recognize.looks import look
from datasets.own.recognize.tree import Tree, some
from datasets.own.recognize.vocabulary import part_of, stem_of
from utils.errors import UserError

_LOOKED_AT = 3  # pictures of a stream whose name says nothing
_MOST_STREAMS = 40
_MOST_CHOICES = 12  # streams of images, and of labels, that are compared, the largest


class Picture(NamedTuple):
    """One picture by its name. `stream`: what it has in common with others of its kind; `place`: the other folders."""

    path: str
    split: str
    role: str
    stream: str
    place: tuple[str, ...]
    key: str
    ending: str


Key = Callable[[Picture], tuple[str, ...]]
# From the strictest to the loosest way in which an image and its label may be called alike.
_KEYS: tuple[Key, ...] = (
    lambda p: (p.split, *p.place, p.key),
    lambda p: (*p.place, p.key),
    lambda p: (p.split, p.key),
    lambda p: (p.key,),
)


@dataclass(frozen=True)
class Stream:
    """Pictures of one kind, such as those of all folders `masks`."""

    name: str
    pictures: tuple[Picture, ...]

    @property
    def split_names(self) -> set[str]:
        """The splits that its folders name."""
        return {picture.split for picture in self.pictures}


@dataclass(frozen=True)
class Pairing:
    """Images with their labels. `labels`: of each image's path the paths of its labels, none of a few.

    `unused`: the names of streams that are neither. `spare`: labels that belong to no image.
    """

    images: Stream
    labels: Stream | None
    of: Mapping[str, tuple[str, ...]]
    spare: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    others: tuple[Stream, ...] = ()

    @property
    def paired(self) -> list[Picture]:
        """The images that have a label."""
        return [picture for picture in self.images.pictures if self.of.get(picture.path)]

    @property
    def pictures_alone(self) -> list[Picture]:
        """The images of splits in which none has a label, as a test's."""
        labeled = {picture.split for picture in self.paired}
        return [picture for picture in self.images.pictures if picture.split not in labeled]

    @property
    def unlabeled(self) -> list[Picture]:
        """The images that have none."""
        return [picture for picture in self.images.pictures if not self.of.get(picture.path)]


def read_name(path: str) -> Picture:
    """Read what the path of a picture says."""
    where = PurePosixPath(path)
    split = role = ""
    stream, place = [], []
    for name in where.parts[:-1]:
        part = part_of(name)
        split = part.split or split
        # The innermost says it, as in "segmentation_set/images"; a folder of other things is one at any depth.
        role = "other" if "other" in (part.role, role) else part.role or role
        if part.role:
            stream.append(_without_split(name) if part.split else name)
        elif not part.split:
            place.append(name)
    stem = stem_of(where.stem)
    if stem.role == "other" or not role:
        role = stem.role or role
    elif role == "image" and stem.role == "label":
        role = "label"
    return Picture(path, split, role, "/".join(stream), tuple(place), stem.key, stem.ending)


def _without_split(name: str) -> str:
    """Name a folder by what it holds: "train_masks" and "val_masks" are one stream."""
    known = ("train", "training", "validation", "valid", "val", "testing", "test")
    lower = name.lower()
    for word in known:
        if lower.startswith(word):
            return lower.removeprefix(word).strip("_- ") or lower
        if lower.endswith(word):
            return lower.removesuffix(word).strip("_- ") or lower
    return lower


def streams(pictures: Iterable[Picture]) -> list[Stream]:
    """Group pictures by role, by the words of their folders, and by the end of their names; the largest first."""
    groups: dict[tuple[str, str, str], list[Picture]] = defaultdict(list)
    for picture in pictures:
        by_end = picture.ending if picture.role != "image" or not picture.stream else ""
        groups[picture.role, picture.stream, by_end].append(picture)
    found = [Stream(_named(stream, end), tuple(members)) for (_, stream, end), members in groups.items()]
    return sorted(found, key=lambda stream: (-len(stream.pictures), stream.name))


def _named(stream: str, end: str) -> str:
    """Name a stream as people would: "masks", "masks/*_L", "*_mask"."""
    return "/".join(part for part in (stream, f"*{end}" if end else "") if part) or "."


def pair(tree: Tree) -> Pairing | None:
    """Find images and the labels that are drawn over them; None where there are no two kinds of pictures."""
    pictures = _with_roles(tree, [read_name(path) for path in tree.pictures])
    by_role = {role: [p for p in pictures if p.role == role] for role in ("image", "label", "other", "")}
    images, labels = streams(by_role["image"]), streams(by_role["label"])
    if not images:
        return None
    best: Pairing | None = None
    for image in images[:_MOST_CHOICES]:
        for label in labels[:_MOST_CHOICES]:
            found = match(image, label)
            if best is None or _score(found) > _score(best):
                best = found
    if best is None or not best.paired:
        return Pairing(images[0], None, {}, (), tuple(s.name for s in (*images[1:], *labels)))
    others = tuple(label for label in labels if label is not best.labels and match(best.images, label).paired)
    left = [s.name for s in (*images, *labels, *streams(by_role["other"])) if s not in (best.images, best.labels)]
    silent = dict.fromkeys(str(PurePosixPath(picture.path).parent) for picture in by_role[""])
    return replace(best, unused=(*left, *silent), others=others)


def _score(pairing: Pairing) -> tuple[int, int, int]:
    """Rate a pairing: many images with a label, few labels without an image; one label for each."""
    count = len(pairing.paired)
    alone = sum(len(pairing.of[picture.path]) == 1 for picture in pairing.paired)
    return (count, alone, -len(pairing.spare))


def match(images: Stream, labels: Stream) -> Pairing:
    """Join each image with its labels, by the strictest way of comparing names that finds the most.

    Where names find none they are compared without what all of a stream have in common: "image_7", "mask_7".
    """
    best = Pairing(images, labels, {}, tuple(label.path for label in labels.pictures))
    for change in (lambda pictures: pictures, _without_common):
        for key in _KEYS:
            of, spare = _joined(change(images.pictures), change(labels.pictures), key)
            if len(of) > len(best.of):
                best = Pairing(images, labels, of, spare)
        if best.of:
            break
    return best


def _without_common(pictures: Sequence[Picture]) -> list[Picture]:
    """Cut from the keys of pictures what all of them begin and end with, but for the numbers in it."""
    keys = [picture.key for picture in pictures]
    head = re.sub(r"[0-9]+$", "", os.path.commonprefix(keys))
    tail = re.sub(r"^[0-9]+", "", os.path.commonprefix([key[::-1] for key in keys])[::-1])
    cut = [key[len(head) : len(key) - len(tail)] for key in keys]
    if not all(cut):
        return list(pictures)
    return [picture._replace(key=key) for picture, key in zip(pictures, cut, strict=True)]


def _joined(
    images: Sequence[Picture], labels: Sequence[Picture], key: Key
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Join by a key; two images of one key have no label, for nobody knows whose it would be."""
    under: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for label in labels:
        under[key(label)].append(label.path)
    owners = Counter(key(image) for image in images)
    of = {image.path: tuple(under[key(image)]) for image in images if key(image) in under and owners[key(image)] == 1}
    used = {path for paths in of.values() for path in paths}
    return of, tuple(label.path for label in labels if label.path not in used)


def _with_roles(tree: Tree, pictures: list[Picture]) -> list[Picture]:
    """Give each picture whose name says nothing a role: what the others lack, else what its pixels say."""
    roles = {picture.role for picture in pictures}
    silent = [picture for picture in pictures if not picture.role]
    if not silent:
        return pictures
    if "label" in roles:
        # Beside labels the others are images, where there is no folder of images.
        return [p if p.role else p._replace(role="" if "image" in roles else "image") for p in pictures]
    groups: dict[tuple[str, ...], list[Picture]] = defaultdict(list)
    for picture in silent:
        groups[(*picture.place, PurePosixPath(picture.path).suffix.lower())].append(picture)
    shown = some(sorted(groups), _MOST_STREAMS)
    kinds = {group: _looks_like(tree, groups[group]) for group in shown}
    common = Counter(kinds.values()).most_common(1)[0][0]
    told = [p._replace(role=kinds.get(group, common)) for group, members in groups.items() for p in members]
    return [*(p for p in pictures if p.role), *_streamed(told)]


def _streamed(pictures: Sequence[Picture]) -> list[Picture]:
    """Tell folders that part images from labels, whose names become the stream, from sequences that both have.

    Such a name is of one role alone, and of more than half of its pictures.
    """
    count, of = Counter(p.role for p in pictures), Counter((name, p.role) for p in pictures for name in {*p.place})
    roles: dict[str, set[str]] = defaultdict(set)
    for name, role in of:
        roles[name].add(role)
    parting = {name for (name, role), n in of.items() if len(roles[name]) == 1 and 2 * n > count[role]}
    return [
        p._replace(
            stream="/".join(name for name in p.place if name in parting),
            place=tuple(name for name in p.place if name not in parting),
        )
        for p in pictures
    ]


def _looks_like(tree: Tree, pictures: Sequence[Picture]) -> str:
    """Say by the pixels of some whether pictures are images or labels."""
    votes: Counter[str] = Counter()
    for picture in some(list(pictures), _LOOKED_AT):
        try:
            kind = look(tree.path(picture.path)).kind
        except UserError:
            continue
        votes["image" if kind == "photo" else "label"] += 1
    return votes.most_common(1)[0][0] if votes else "image"
