"""Which images train and which validate: by folders, by lists that lie there, or by percent, groups together."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from datasets.own.recognize.pairs import Picture
from datasets.own.recognize.tree import Tree, named
from datasets.own.recognize.vocabulary import split_of_list, stem_of
from utils import textfile
from utils.errors import UserError
from utils.plural import counted

_LISTS = (".txt", ".lst", ".csv")
_LARGEST = 1 << 24
_MOST_LISTS = 60
# Tiles "place_3_7", frames "drive_0012" and "drive-a0012"; what is in front of the number is the group.
_NAMED_GROUPS = (
    (r"([^/]+)[_-][0-9]+[_-][0-9]+$", "names end in two numbers, as tiles of one picture do"),
    (r"([^/]+?)[_-]?(?:frame|f)?[0-9]+$", "names are a sequence and a number"),
)
_FOLDER_GROUP = (r"([^/]+)/[^/]+$", "images lie in a folder for each sequence or place")
_FEWEST = 4  # groups, below which a division by groups could not be near 80 to 20


class Division(NamedTuple):
    """How images are divided: "folders", "lists" or "percent". `why`: the evidence, a comment.

    `lists`: {split: file}. `group`: a regular expression, "" for none. `val`: the split that validates.
    """

    kind: str
    why: str
    lists: Mapping[str, str] = {}  # noqa: RUF012
    group: str = ""
    val: str = "val"


def divide(tree: Tree, images: Sequence[Picture], labeled: Iterable[str]) -> Division:
    """Find the splits of images that are there; without any make one by percent."""
    having = {*labeled}
    found = Counter(picture.split for picture in images if picture.path in having)
    counts = ", ".join(
        f"{counted(found[split], 'image')} of {split}" for split in ("train", "val", "test") if found[split]
    )
    if found["train"] and found["val"]:
        return Division("folders", f"the folders name them: {counts}")
    if lists := split_lists(tree, images, having):
        files = ", ".join(f"{file} ({split})" for split, file in lists.items())
        return Division(
            "lists", f"lists that lie there name them: {files}", lists, val="val" if "val" in lists else "test"
        )
    if found["train"] and found["test"]:
        why = f"the folders name them: {counts}. No folder is called val: the labeled test images validate"
        return Division("folders", why, val="test")
    group, reason = group_of([picture.path for picture in images if picture.path in having])
    return Division("percent", reason, group=group)


def split_lists(tree: Tree, images: Sequence[Picture], labeled: set[str]) -> dict[str, str]:
    """Find lists of images for training and validation (or test), in one folder: {split: file}, or nothing.

    Of several folders with lists the one whose images have labels: VOC's ImageSets hold others too.
    """
    by_folder: dict[str, dict[str, str]] = defaultdict(dict)
    for file in tree.with_suffix(*_LISTS)[: _MOST_LISTS * 50]:
        where = PurePosixPath(file)
        if split := split_of_list(where.stem):
            by_folder[str(where.parent)].setdefault(split, file)
    best: tuple[float, dict[str, str]] = (0.0, {})
    for lists in [found for found in by_folder.values() if "train" in found and len(found) > 1][:_MOST_LISTS]:
        known = {split: _share_known(tree, file, images, labeled) for split, file in lists.items()}
        kept = {split: lists[split] for split in ("train", "val", "test") if known.get(split, 0) > 0.9}
        score = min((known[split] for split in kept), default=0)
        if "train" in kept and len(kept) > 1 and score > best[0]:
            best = score, kept
    return best[1]


def _share_known(tree: Tree, file: str, images: Sequence[Picture], labeled: set[str]) -> float:
    """Give the share of a list's lines that name an image with a label."""
    try:
        if tree.path(file).stat().st_size > _LARGEST:
            return 0.0
        lines = textfile.lines(tree.path(file), names=True)
    except (UserError, OSError):
        return 0.0
    named_there = [words[0] for line in lines if (words := re.split(r"[\s,]+", line.strip())) and words[0]]
    stems = {_plain(picture.path) for picture in images if picture.path in labeled}
    known = [name for name in named_there if _plain(name) in stems]
    return len(known) / len(named_there) if named_there else 0.0


def _plain(path: str) -> str:
    """Name an image by its stem, without the folders of whoever wrote the list."""
    name = path.replace("\\", "/").rpartition("/")[2]
    stem = name.rpartition(".")[0] if re.search(r"\.[A-Za-z]{3,4}$", name) else name
    return stem_of(stem).key


def group_of(paths: Sequence[str]) -> tuple[str, str]:
    """Guess what keeps images of one drive or place together: (regular expression or "", why).

    Frames of one sequence are nearly alike: parted, they would validate what was learned by heart.
    """
    stems = [str(PurePosixPath(path).with_suffix("")) for path in paths]
    for pattern, reason in (*_NAMED_GROUPS, _FOLDER_GROUP):
        groups = Counter(found[1] for stem in stems if (found := re.search(pattern, stem)))
        inside = sum(groups.values())
        if len(groups) >= _FEWEST and inside >= 0.9 * len(paths) and len(groups) <= inside / 2:
            if max(groups.values()) <= 0.6 * len(paths):
                return pattern, f"{reason}: {len(groups)} groups ({named(groups, 3)}), which stay together"
    return "", "names and folders show no sequences or places that would have to stay together"
