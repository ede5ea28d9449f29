"""Images that are frames of sequences, told by their names: what differs in the last number alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

LEAST = 5  # frames of a sequence
_NUMBER = re.compile(r"^(.*\D|)(\d+)((?:[^A-Za-z0-9].*)?)$")  # the last one that no letter follows


def sequences(names: Sequence[str]) -> Mapping[str, list[tuple[int, int]]]:
    """Give (frame, place in `names`) of each sequence, in the order of frames; none where most images are in none.

    "city/seq1_000_000294_leftImg8bit" is frame 294 of "city/seq1_000_".
    """
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for place, name in enumerate(names):
        if match := _NUMBER.match(name):
            found.setdefault((match[1], match[3]), []).append((int(match[2]), place))
    kept = {prefix.rstrip("_-") or "frames": sorted(frames) for (prefix, _), frames in found.items()
            if len(frames) >= LEAST}  # fmt: skip
    return kept if 2 * sum(map(len, kept.values())) > len(names) else {}
