"""A folder that is written once: locked while it is written, marked when it is complete."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from utils import textfile
from utils.errors import UserError
from utils.files import write_file


def _marker(root: Path, part: str) -> Path:
    return root / f"toy_{part}.json"


def is_complete(root: Path, part: str, key: Mapping[str, object], files: Sequence[str]) -> bool:
    """Whether the part was finished with the same `key` and all of its `files` are there."""
    try:
        found = textfile.read_json(_marker(root, part))
    except (OSError, ValueError):
        return False
    return found == {**key, "complete": True} and all((root / name).is_file() for name in files)


def publish(staged: Path, root: Path, part: str, key: Mapping[str, object], folders: Sequence[str]) -> None:
    """Move the finished `folders` of `staged` into `root`, then write the marker.

    Raises UserError when one of them is there already and was not written by us.
    """
    check_ours(root, part, folders)
    _mark(root, part, key, complete=False)
    for name in folders:
        target = root / name
        if target.exists():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staged / name, target)
    _mark(root, part, key, complete=True)


def check_ours(root: Path, part: str, folders: Sequence[str]) -> None:
    """Refuse to replace somebody's real data."""
    if _marker(root, part).exists():
        return
    for name in folders:
        if (root / name).exists():
            raise UserError(f"{root / name} exists and does not hold generated scenes; choose another folder for them")


def _mark(root: Path, part: str, key: Mapping[str, object], complete: bool) -> None:
    write_file(_marker(root, part), json.dumps({**key, "complete": complete}, indent=1, sort_keys=True).encode())
