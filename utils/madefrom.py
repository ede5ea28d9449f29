"""What the files of a folder were made from, so that a second start does anew what has changed since."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from utils import textfile
from utils.files import write_file

NAME = "made_from.json"
_SHOWN = 3
_PNG = (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")  # begin and end of every whole one


def remove_stale(folder: Path, made: Mapping[Path, Sequence[Path]], name: str = NAME) -> str:
    """Remove files of `folder` that are damaged, or whose inputs have changed since they were made. Gives a line.

    `made`: {file: what it is made from}, of files that are there or will be. `name`: of the record in `folder`, which
    then knows these inputs; a file that it does not know of has to be younger than its inputs.
    """
    known = _read(folder / name)
    now = {str(file.relative_to(folder)): _stamp(inputs) for file, inputs in made.items()}
    there = {place: file for place, file in zip(now, made, strict=True) if file.is_file()}
    damaged = [file for file in there.values() if not is_whole(file)]
    changed = [file for place, file in there.items() if not _is_same(known.get(place), now[place], file, made[file])]
    for file in {*damaged, *changed}:
        file.unlink(missing_ok=True)
    if now.items() - known.items():
        write_file(folder / name, json.dumps(known | now, indent=0).encode() + b"\n")
    kinds = {"damaged": damaged, "whose input has changed": [file for file in changed if file not in damaged]}
    parts = [f"{len(files)} {kind} ({_shown(files)})" for kind, files in kinds.items() if files]
    return f"made anew in {folder}: {', '.join(parts)}" if parts else ""


def is_whole(file: Path) -> bool:
    """Tell whether a PNG has its beginning and its end, another file any content."""
    with open(file, "rb") as stream:
        head = stream.read(len(_PNG[0]))
        if file.suffix.lower() != ".png":
            return bool(head)
        stream.seek(max(0, file.stat().st_size - len(_PNG[1])))
        return (head, stream.read()) == _PNG


def _is_same(before: str | None, now: str, file: Path, inputs: Sequence[Path]) -> bool:
    if before is not None:
        return before == now
    made = file.stat().st_mtime_ns
    return all(made >= source.stat().st_mtime_ns for source in inputs if source.exists())


def _stamp(inputs: Sequence[Path]) -> str:
    """Tells names, sizes and times of the inputs from others; their folder may have moved."""
    sha = hashlib.sha256()
    for path in inputs:
        try:
            stat = path.stat()
            sha.update(f"{path.name}/{stat.st_size}/{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
        except OSError:
            sha.update(b"none\n")  # reading it gives the error that names it
    return sha.hexdigest()[:16]


def _read(path: Path) -> dict[str, str]:
    """Read the record; a damaged one knows nothing."""
    try:
        content = textfile.read_json(path)
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in content.items()} if isinstance(content, dict) else {}


def _shown(files: Sequence[Path]) -> str:
    names = ", ".join(os.fsencode(file.name).decode(errors="replace") for file in files[:_SHOWN])
    return names + (", ..." if len(files) > _SHOWN else "")
