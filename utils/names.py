"""Names of files as text. A name is bytes, and need not be UTF-8: Python carries what is none as lone surrogates.

Files are opened and written by the name as it is; what is shown, and what is written into files, goes through here.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST = 255 - len(".part")  # bytes: what is written is called so until it is whole
_HEAD, _TAIL = 180, 48  # bytes that stay of a longer one


def valid(text: str) -> str:
    """Write `text` as UTF-8 can have it: what is no character becomes a replacement character; lines stay."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape" if _is_bytes(text) else "replace").decode("utf-8", "replace")
    return text


def shown(name: str) -> str:
    """Write a name on one line: as `valid`, and line breaks, tabs and the like by their escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in valid(name))


def fitting(name: str) -> str:
    """Shorten a file's name in its middle, by a mark of the whole, where it is longer than file systems take."""
    whole = os.fsencode(name)
    if len(whole) <= _LONGEST:
        return name
    head, tail = (part.decode(errors="ignore") for part in (whole[:_HEAD], whole[-_TAIL:]))
    return f"{head}~{zlib.crc32(whole):08x}~{tail}"


def _is_bytes(text: str) -> bool:
    """Tell whether every lone surrogate stands for a byte, as those of file names do."""
    return all(not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff" for c in text)


@contextmanager
def utf8_path(path: Path) -> Iterator[Path]:
    """Give a path for libraries that take UTF-8 alone: `path`, or its name in a folder that is linked for as long."""
    if valid(str(path)) == str(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as place:
        linked = Path(place) / f"link{path.suffix}" if valid(path.suffix) == path.suffix else Path(place) / "link"
        os.symlink(path.absolute(), linked)
        yield linked
