"""The folder in which drawings and raw pixels of a dataset are kept, and what files hold, by their stamps."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from utils import digest, textfile
from utils.errors import UserError
from utils.files import ADVICE, reason, whole
from utils.progress import progress

STAMPS = "checksums.json"
RECORDS = "drawn-*.json"  # one for all labels in some places
_MANY = 200  # files that take long enough to say how far they are


def folder(file: str) -> tuple[Path, str]:
    """Give the cache's folder of a dataset's file, made where it is not there, and a note if it lies elsewhere.

    UserError where neither the folder beside the file nor the one below the home can be written.
    """
    beside = Path(file).with_suffix(".cache")
    if _writable(beside) is None:
        return beside, ""
    name = f"{Path(file).stem}-{hashlib.sha256(os.path.abspath(file).encode(errors='surrogateescape')).hexdigest()[:8]}"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streetscale" / name
    if (error := _writable(home)) is not None:
        advice = ADVICE.get(error.errno or 0, "choose another folder")
        raise UserError(f"neither {beside} nor {home} can be written ({reason(error)}), for drawn labels: {advice}")
    return home, f"{beside} cannot be written: drawn labels are kept in {home}"


def _writable(place: Path) -> OSError | None:
    """Make a folder if it is not there; the error where files cannot be made in it."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not os.access(place, os.W_OK | os.X_OK):
            return PermissionError(13, "Permission denied")
    except OSError as error:
        return error
    return None


def stamp(path: str | Path) -> list[int]:
    """Give the size and the time of a file; none where it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return []  # reading it gives the error that names it
    return [status.st_size, status.st_mtime_ns]


def key_of(value: Any) -> str:
    """Make 32 letters of a value that JSON can hold."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def checksums(paths: Iterable[str], home: Path, skips_bad: bool = False) -> dict[str, str]:
    """Give {file: checksum of its bytes}; those with the size and time of before are not read again.

    UserError for a file that cannot be read; where bad samples are left out (`skips_bad`) its checksum is empty.
    """
    paths = list(dict.fromkeys(paths))
    known, now = _sums(home / STAMPS), {path: stamp(path) for path in paths}
    found = {path: str(known[path][1]) for path in paths if path in known and known[path][0] == now[path] != []}
    fresh = [path for path in paths if path not in found]
    with ThreadPoolExecutor(8) as pool:
        sums = pool.map(lambda path: _checksum(path, skips_bad), fresh)
        sums = progress(sums, "checksums", len(fresh), shown=len(fresh) > _MANY)
        found |= dict(zip(fresh, sums, strict=True))
    if fresh:
        save(home / STAMPS, {**known, **{path: [now[path], found[path]] for path in paths if found[path]}})
    return found


def _checksum(path: str, skips_bad: bool) -> str:
    try:
        return digest.of_files([Path(path)])
    except OSError as error:
        if skips_bad:
            return ""
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def load(path: Path) -> dict[str, Any]:
    """Read a record of the cache; one that is damaged or absent says nothing."""
    try:
        content = textfile.read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _sums(path: Path) -> dict[str, list[Any]]:
    """Read {file: [stamp, checksum]}; entries that are none say nothing."""
    return {file: one for file, one in load(path).items() if isinstance(one, list) and len(one) == 2}


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record, whole or not at all; where that fails, the next start finds out anew."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path, shared=True) as stream:
            stream.write(json.dumps(content).encode(errors="surrogateescape"))
