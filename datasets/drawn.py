"""The embedded scenes on disk: drawn where they are asked for and not there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_FOLDERS = {"fine": "gtFine/train", "coarse": "gtCoarse/train_extra", "test": "leftImg8bit/test"}


def write(root: Path, wanted: Sequence[str]) -> None:
    """Draw the parts of the embedded scenes that are not there; what somebody put or drew there himself stays.

    Coarse images bring fine ones along: beside somebody's own they are drawn as those were.
    """
    from datasets import toy  # it brings the renderer, which nothing else needs
    from toyworld import parts

    default = {"seed": 0, "size": list(toy.SIZE), "counts": parts.COUNTS}
    as_fine: dict[str, Any] = {}
    for part in wanted:
        marker = root / f"toy_{part}.json"
        try:
            found = json.loads(marker.read_text())
            own = bool(found["complete"]) and any(found[key] != value for key, value in default.items())
            if part == "fine" and own:
                as_fine = {"seed": found["seed"], "counts": found["counts"], "size": tuple(found["size"])}
        except (OSError, ValueError, KeyError):
            own = not marker.exists() and (root / _FOLDERS[part]).exists()
        if not own:
            toy.generate(root, parts=(part,), **(as_fine if part == "coarse" else {}))
