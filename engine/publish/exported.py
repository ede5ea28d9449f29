"""Exported files beside a run, with their proofs; and whether a file names a place of this machine."""

from __future__ import annotations

import json
import math
import mmap
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engine.publish.record import base_name, is_place
from utils import digest, textfile
from utils.files import write_file

_HOMES = re.compile(rb"(?:/home/|/Users/|[A-Za-z]:\\+Users\\+)[\w.-]+[/\\]")
_LEAST_HOST = 6  # letters: shorter names of a machine are words


class Exported(NamedTuple):
    """A file for another runtime: its name, its precision, of int8 with its count of layers, what the gate measured."""

    name: str
    precision: str
    proof: dict[str, Any]


def copy(run: Path, checkpoint: Path, out: Path) -> tuple[list[Exported], list[str]]:
    """Copy the exported files of `checkpoint` that lie in `run`; gives them, and lines on those that are left out."""
    found, lines, sha = list[Exported](), list[str](), digest.sha256([checkpoint])
    for record in sorted(run.glob("*.json")):
        file = record.with_suffix("")
        if not file.is_file() or not (about := _read(record)):
            continue
        if about.get("source_sha256") != sha:
            lines.append(f"left out: {file.name} was exported from another checkpoint: export it anew")
            continue
        if not (parts := _parts(file, about)):
            lines.append(f"left out: {file.name} is not what {record.name} was measured on: export it anew")
            continue
        if not _is_whole(about):
            lines.append(f"left out: {file.name}: what {record.name} says was measured is damaged: export it anew")
            continue
        place = next(filter(None, (place_in(path) for path in parts)), "")
        if place:
            lines.append(f"left out: {file.name} names a place of this machine ({place}): export it anew, or as .onnx")
            continue
        for path in parts:
            shutil.copyfile(path, out / path.name)
        cleaned = without_places(about)
        write_file(out / record.name, f"{json.dumps(cleaned, indent=1)}\n".encode())
        counted = f": {about['int8']}" if "int8" in about else ""
        found.append(Exported(file.name, f"{about['precision']}{counted}", cleaned["proof"]))
    return found, lines


def _parts(file: Path, about: dict[str, Any]) -> list[Path]:
    """Give a file and what belongs to it; empty where one is not there, or not that of which the sum was taken."""
    sums = about.get("files")
    if not isinstance(sums, dict) or file.name not in sums:  # an export of before there were sums
        return []
    parts = {file.with_name(Path(name).name): sha for name, sha in sums.items()}
    return [*parts] if all(path.is_file() and digest.sha256([path]) == sha for path, sha in parts.items()) else []


def _is_whole(about: dict[str, Any]) -> bool:
    """Tell whether a precision stands there, and numbers where the card shows some."""
    try:
        proof = about["proof"]
        shares = [found["same"] for found in proof["pictures"].values()]
        scores = [proof["labeled"][key] for key in ("mean_iou", "network", "pictures")] if "labeled" in proof else []
    except (KeyError, TypeError, AttributeError):
        return False
    numbers = all(isinstance(value, (int, float)) and math.isfinite(value) for value in (*shares, *scores))
    return bool(shares) and numbers and about.get("precision") in ("fp32", "fp16", "int8")


def _read(record: Path) -> dict[str, Any]:
    """Read what stands beside an exported file; empty where this is none."""
    try:
        about = textfile.read_json(record)
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) and isinstance(about.get("proof"), dict) else {}


def without_places(value: Any) -> Any:
    """Give the same lists and objects with the last part in place of each path in them."""
    if isinstance(value, dict):
        return {without_places(key): without_places(one) for key, one in value.items()}
    if isinstance(value, list):
        return [without_places(one) for one in value]
    return base_name(value) if isinstance(value, str) and is_place(value) else value


def place_in(path: Path) -> str:
    """Find a place of this machine, or its name, in the bytes of a file; empty where there is none."""
    if path.stat().st_size == 0:
        return ""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if match := _HOMES.search(data):
            return match[0].decode(errors="replace")
        return next((word for word in _places() if data.find(word.encode()) >= 0), "")


def _places() -> Iterator[str]:
    """Name the folders that paths of this machine begin with, and the machine."""
    folders = (Path.home(), Path(__file__).resolve().parents[2], Path.cwd(), Path(sys.prefix))
    yield from {f"{folder}/" for folder in folders if len(folder.parts) > 1}
    host = socket.gethostname()
    if len(host) >= _LEAST_HOST and host != "localhost":
        yield host
