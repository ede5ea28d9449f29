"""Text files that people write, as any editor saves them: with or without a byte order mark, any ends of lines."""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.files import opened

# UTF-32's little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CURE = "save the file as UTF-8"


def read(path: str | Path, where: str = "", names: bool = False) -> str:
    r"""Text of a file without its mark, lines parted by \n; `where`: how messages call the file, its path otherwise.

    `names`: bytes that are no UTF-8 stay as they are, as they do in names of files (`os.fsdecode`). UserError, with the
    line, for other bytes, and for a file that cannot be read.
    """
    where = where or str(path)
    try:
        # A shell's <(command) is a pipe, and has somebody who writes; one that lies in a folder may hold its reader.
        with open(path, "rb") if str(path).startswith(("/dev/", "/proc/")) else opened(path) as file:
            data = file.read()
    except (OSError, ValueError) as error:  # a ValueError: a zero byte in its name
        raise UserError(f"cannot read {where}: {getattr(error, 'strerror', None) or error}") from None
    return _decoded(data, where, names).replace("\r\n", "\n").replace("\r", "\n")


def lines(path: str | Path, where: str = "", names: bool = False) -> list[str]:
    """Read the lines of a file: only ends of lines part them, not all that Unicode counts as one and names may hold."""
    return [*each_line(path, where, names)]


def each_line(path: str | Path, where: str = "", names: bool = False) -> Iterator[str]:
    """As `lines`, one after another: of a list of a million files not all lines have to lie in memory."""
    text, start = read(path, where, names).removesuffix("\n"), 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def check_utf8(line: str, where: str) -> None:
    """Raise UserError for a line, read with `names`, that holds bytes that are no UTF-8."""
    _decoded(line.encode("utf-8", "surrogateescape"), where, False, "{where}")


def parse_json(text: str) -> Any:
    """Read a JSON text. UserError for a key that stands twice in an object, ValueError for what is no JSON."""
    return _not_too_deep(text, _once)


def read_json(path: str | Path) -> Any:
    """Read a JSON file that a program has written. OSError where it cannot be read, ValueError for what is no JSON."""
    return _not_too_deep(Path(path).read_bytes(), None)


def _not_too_deep(text: str | bytes, pairs: Callable[[list[tuple[str, Any]]], Any] | None) -> Any:
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("too many lists and objects within each other") from None


def _decoded(data: bytes, where: str, names: bool, place: str = "{where}, line {line}") -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                raise UserError(f"{where} begins as {encoding.upper()} and is not: {_CURE}") from None
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        if b"\0" in data:
            raise UnicodeDecodeError("utf-8", data, data.index(0), len(data), "zero")
        return data.decode("utf-8", "surrogateescape" if names else "strict")
    except UnicodeDecodeError as error:
        before = re.split(rb"\r\n|\r|\n", data[: error.start])
        place = place.format(where=where, line=len(before))
        found = f"byte {len(before[-1]) + 1}, 0x{data[error.start]:02X}, is no UTF-8"
        raise UserError(f"{place}: {found}: {_CURE}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise UserError(f"{twice!r} stands twice in one object: leave one of them out")
    return found
