"""Splits by percent: images of one group stay together, and files that come later move no other."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datasets.own.parts import Part
from utils.errors import UserError
from utils.plural import counted

_SEEDS, _HASHES = 200, 1_000_000  # seeds that are tried, and numbers that are made for that


@dataclass(frozen=True)
class Percent:
    """Shares of splits in percent, which add up to 100; `group`: a regular expression, empty: each image by itself."""

    shares: Mapping[str, int]
    seed: int
    group: str


@dataclass(frozen=True)
class Shared:
    """The split of each image, and the line about it for the log."""

    modes: list[str]
    note: str


def read(part: Part, modes: Sequence[str]) -> Percent:
    """Read {percent: {train: 80, val: 20}, seed: 0, group: REGEX}."""
    found = part.parts(("percent", "seed", "group"))
    shares = {mode: one.whole(0, 100) for mode, one in found["percent"].parts(modes).items()}
    if sum(shares.values()) != 100:
        raise found["percent"].wrong(f"{' + '.join(map(str, shares.values()))} is {sum(shares.values())}, not 100")
    seed = found["seed"].whole(0, (1 << 31) - 1) if "seed" in found else 0
    group = found["group"].text() if "group" in found else ""
    try:
        re.compile(group)
    except re.error as error:
        raise found["group"].wrong(f"{group!r} is no regular expression: {error}") from None
    return Percent({mode: share for mode, share in shares.items() if share}, seed, group)


def share(places: Sequence[str], percent: Percent, name: str, where: str = "") -> Shared:
    """Choose a split for each of the images, by their paths without suffix. `where`: file and key for messages.

    UserError for fewer groups than splits. Each group falls by a hash of its name and the seed alone; only where a
    split would be empty it gets the group nearest to it.
    """
    groups = [_group(place, percent.group) for place in places]
    number = {group: _number(group, percent.seed) for group in groups}
    modes = [*percent.shares]
    if len(number) < len(modes):
        what = counted(len(number), "group") + f" of {counted(len(places), 'image')}" if percent.group else "image"
        what = what if percent.group else counted(len(places), "image")
        raise UserError(f"{where or name}: {what} cannot make {len(modes)} splits ({', '.join(modes)})")
    chosen = _chosen(number, percent.shares)
    found = [modes[chosen[group]] for group in groups]
    return Shared(found, _note(found, groups, percent, name, places))


def even_seed(places: Sequence[str], shares: Mapping[str, int], group: str) -> int:
    """Choose the first seed by which each split gets half to double its share of images, else the nearest one tried.

    Groups may be uneven: by another seed the largest one could validate what the few others taught. `places`: as in
    `share`; `shares`: in percent.
    """
    sizes = Counter(_group(place, group) for place in places)
    if len(sizes) < len(shares):
        return 0  # `share` says so
    best = (float("inf"), 0)
    for seed in range(max(1, min(_SEEDS, _HASHES // len(sizes)))):
        chosen = _chosen({group: _number(group, seed) for group in sizes}, shares)
        counts = [0] * len(shares)
        for one, size in sizes.items():
            counts[chosen[one]] += size
        found = [100 * count / len(places) for count in counts]
        if all(share / 2 <= one <= 2 * share for share, one in zip(shares.values(), found, strict=True)):
            return seed
        best = min(best, (sum(abs(share - one) for share, one in zip(shares.values(), found, strict=True)), seed))
    return best[1]


def _chosen(number: Mapping[str, float], shares: Mapping[str, int]) -> dict[str, int]:
    """Choose the place of a split for each group, by the group's number in [0, 100)."""
    ends = [sum(list(shares.values())[: i + 1]) for i in range(len(shares))]
    chosen = {group: next(i for i, end in enumerate(ends) if value < end) for group, value in number.items()}
    _fill(chosen, number, ends)
    return chosen


def _group(place: str, pattern: str) -> str:
    """Name an image's group: what the brackets find, or all that is found; its own path where nothing is."""
    match = re.search(pattern, place) if pattern else None
    if match is None:
        return f"image {place}"
    return "group " + "/".join(part or "" for part in match.groups() or (match[0],))


def _number(group: str, seed: int) -> float:
    """Make a number in [0, 100) of a group's name and the seed."""
    digest = hashlib.sha256(f"{seed}\n{group}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:6], "big") * 100 / (1 << 48)


def _fill(chosen: dict[str, int], number: Mapping[str, float], ends: Sequence[int]) -> None:
    """Give each empty split the group nearest to its interval, of a split that has others."""
    for empty in range(len(ends)):
        counts = Counter(chosen.values())
        if counts[empty]:
            continue
        low, high = ([0, *ends])[empty], ends[empty]
        free = [group for group, i in chosen.items() if counts[i] > 1]
        chosen[min(free, key=lambda group: (max(low - number[group], number[group] - high), group))] = empty


def _note(found: Sequence[str], groups: Sequence[str], percent: Percent, name: str, places: Sequence[str]) -> str:
    """Say how many images and groups each split has."""
    parts = []
    for mode, share in percent.shares.items():
        own = [group for group, one in zip(groups, found, strict=True) if one == mode]
        within = f" in {counted(len({*own}), 'group')}" if percent.group else ""
        parts.append(
            f"{mode} {counted(len(own), 'image')}{within} ({100 * len(own) / len(places):.0f} % of {share} % asked for)"
        )
    alone = sum(group.startswith("image ") for group in groups) if percent.group else 0
    without = f"; group finds nothing in {counted(alone, 'image')}, each a group by itself" if alone else ""
    return f"{name}: {', '.join(parts)}, by seed {percent.seed}{without}"
