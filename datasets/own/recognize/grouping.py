"""Sequences and places that names and folders show, and a division by percent that parts none of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from datasets.own.recognize.draft import Seed
from datasets.own.recognize.tree import named
from utils.plural import counted

SHARES = {"train": 80, "val": 20}
NO_GROUPS = "names and folders show no sequences or places that would have to stay together"
# Tiles "place_3_7", frames "drive_0012" and "drive-a0012"; what is in front of the number is the group. Numbers alone
# have nothing in front.
_TILES = (r"([^/]+)[_-][0-9]+[_-][0-9]+$", "names end in two numbers, as tiles of one picture do")
_FRAMES = (r"(?![0-9]+$)([^/]+?)[_-]?(?:frame|f)?[0-9]+$", "names are a sequence and a number")
_FOLDERS = (r"([^/]+)/[^/]+$", "images lie in a folder for each sequence or place")
_MOST = 0.9  # share of all images in one group, above which too few are left to validate
_FEWEST, _EVEN = 4, 0.6  # groups, and share of the largest, by which a division comes near to 80 and 20
_AS_MANY = 0.9  # of the images that the best pattern puts into groups


class _Groups(NamedTuple):
    """What a pattern shows: `together`, groups of two images and more, and `alone`, the number of other images."""

    pattern: str
    reason: str
    together: Mapping[str, int]
    alone: int

    @property
    def inside(self) -> int:
        """The number of images in groups."""
        return sum(self.together.values())

    @property
    def largest(self) -> float:
        """The share of all images that the largest group has."""
        return max(self.together.values()) / (self.inside + self.alone)

    @property
    def are_few(self) -> bool:
        """Whether groups and single images are too few, or too uneven, to come near the shares."""
        return len(self.together) + self.alone < _FEWEST or self.largest > _EVEN

    def shown(self) -> str:
        """List the groups and count their images."""
        of = f"{counted(len(self.together), 'group')} of {counted(self.inside, 'image')}"
        return f"{self.reason}: {of} ({named(self.together)})"


def group_of(paths: Sequence[str]) -> tuple[str, str]:
    """Guess what keeps images of one drive or place together: (regular expression or "", why).

    Frames of one sequence are nearly alike: parted, they would validate what was learned by heart. An image that stands
    alone is a group by itself; a pattern is passed over only where one group has nearly all images.
    """
    stems = [str(PurePosixPath(path).with_suffix("")) for path in paths]
    found = [_shown_by(pattern, reason, stems) for pattern, reason in (_TILES, _FRAMES, _FOLDERS)]
    found = [one for one in found if one.together and (one.pattern != _FOLDERS[0] or len(one.together) > 1)]
    if not found:
        numbers = sum(PurePosixPath(stem).name.isdecimal() for stem in stems) > _MOST * len(stems)
        return "", NO_GROUPS + "; names are numbers: as frames of one drive they make scores too high" * numbers
    fit = [one for one in found if one.largest <= _MOST]
    if not fit:
        one = max(found, key=lambda one: one.inside)
        why = "one has too many to leave enough for val: images of it are in both splits, which makes scores too high"
        return "", f"{one.shown()}; {why} where neighbors are alike, as frames of one drive are"
    fit = [one for one in fit if not one.are_few] or fit
    most = max(one.inside for one in fit)
    one = next(one for one in fit if one.inside >= _AS_MANY * most)
    more = f", and {counted(one.alone, 'single image')}" if one.alone else ""
    few = "; val may be far from 20 %: where these are no sequences or places, take `group` out" * one.are_few
    return one.pattern, f"{one.shown()}, each kept together{more}{few}"


def _shown_by(pattern: str, reason: str, stems: Sequence[str]) -> _Groups:
    """Count the images of each group that a pattern finds."""
    groups = Counter(found[1] for stem in stems if (found := re.search(pattern, stem)))
    together = {group: count for group, count in groups.items() if count > 1}
    return _Groups(pattern, reason, together, len(stems) - sum(together.values()))


def by_percent(group: str, why: str, paths: Sequence[str]) -> tuple[object, tuple[str, ...]]:
    """Divide images by percent: the value of `splits`, and its comments."""
    comment = f"No folders and no lists divide the images: 80 % train, 20 % validate; {why}."
    splits = {"percent": SHARES, "seed": Seed(paths, group) if group else 0, **({"group": group} if group else {})}
    return splits, (comment,)
