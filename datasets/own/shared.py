"""Images that several sets of one training have: each set draws its own, so that such an image counts several times."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import NamedTuple

from datasets.own.joined import Part
from utils.files import opened
from utils.names import shown
from utils.plural import counted

_READ = 1 << 16  # bytes at the beginning, in the middle and at the end, which tell images of one size apart


class _File(NamedTuple):
    """An image of a set; `identity`: the file on the disk, by whatever path one comes to it."""

    owner: str
    path: str
    identity: tuple[int, int]


def lines(name: str, mode: str, parts: Sequence[Part]) -> list[str]:
    """Say of each two sets how many images they share, by path or by content. Files that are not there are no such."""
    by_size: dict[int, list[_File]] = defaultdict(list)
    for part in parts if len(parts) > 1 else ():
        for path in dict.fromkeys(item.image for item in part.items):
            with suppress(OSError):
                status = os.stat(path)
                by_size[status.st_size].append(_File(part.name, path, (status.st_dev, status.st_ino)))
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for size, files in by_size.items():
        if len({file.owner for file in files}) > 1:
            _compare(files, size, pairs)
    return [f"{name}: {mode}: {one} and {other} share {_count(found)}" for (one, other), found in pairs.items()]


def _compare(files: Sequence[_File], size: int, pairs: dict[tuple[str, str], list[tuple[str, str]]]) -> None:
    """Add to `pairs` of sets the files of one size that an earlier set has as well."""
    same = len({file.identity for file in files}) == 1
    first: dict[bytes, _File] = {}
    for file in files:
        with suppress(OSError):
            before = first.setdefault(b"" if same else _content(file.path, size), file)
            if before.owner != file.owner:
                pairs[before.owner, file.owner].append((before.path, file.path))


def _content(path: str, size: int) -> bytes:
    digest = blake2b(digest_size=16)
    with opened(path) as stream:
        for at in (0, size // 2, max(0, size - _READ)):
            stream.seek(at)
            digest.update(stream.read(_READ))
    return digest.digest()


def _count(found: Sequence[tuple[str, str]]) -> str:
    paths = " and ".join(map(shown, dict.fromkeys(found[0])))
    first = "" if len(found) == 1 else " first"
    return f"{counted(len(found), 'image')}, drawn from both: {paths}{first}"
