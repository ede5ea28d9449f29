"""JSON files of annotation tools: read once, whole or one entry after the other, each mistake one line."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from json.decoder import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import Any, TypeVar

from datasets.own.stored import label_files
from media.files import visible
from utils import textfile
from utils.errors import UserError
from utils.files import opened
from utils.names import shown
from utils.progress import progress

_BLANK = re.compile(r"[ \t\n\r]*")
MANY = 1000  # files or images from which on reading them takes long enough to show how far it is
_WORD = 8  # letters of the longest number or word at whose beginning a decoder stops: "fals"
_HEAD = 1 << 20  # bytes at either end of a file that are enough to know its kind

T = TypeVar("T")


def read_tree(path: str | Path, kind: type[T] | tuple[type, ...] = dict) -> Any:
    """Read a file whose outermost value is of a kind (an object); UserError, with the line, for what is no JSON."""
    text = textfile.read(path)
    value = _guarded(lambda: json.loads(text), str(path), text)
    if not isinstance(value, kind):
        raise UserError(f"{path}: {_word(value)} is outermost, where annotations have {_expected(kind)}")
    return value


def _word(value: Any) -> str:
    return {dict: "an object {...}", list: "a list [...]", str: "a text"}.get(type(value), "a number or word")


def _expected(kind: type | tuple[type, ...]) -> str:
    return "a list [...]" if kind is list else "an object {...}"


def _guarded(parse: Callable[[], T], path: str, text: str) -> T:
    """Run a parser; each way in which it fails is a UserError of one line."""
    try:
        return parse()
    except JSONDecodeError as error:
        raise _invalid(path, text, error.msg, error.pos) from None
    except RecursionError:
        raise UserError(f"{path}: too many lists and objects within each other") from None
    except ValueError as error:  # a number of thousands of digits
        raise UserError(f"{path}: no valid JSON: {str(error)[:80]}") from None


def _invalid(path: str, text: str, what: str, at: int) -> UserError:
    """Say what is wrong at a place of a text, or that the text ends too early there."""
    whole = text.rstrip()
    unread = what.startswith(("Expecting", "Invalid")) and whole[-1:] not in ("]", "}", '"')
    if at >= len(whole) or (unread and at > len(whole) - _WORD) or what.startswith("Unterminated"):
        at, what = len(whole), f"it is cut off, after {os.path.getsize(path):,} bytes: copy or export it again"
    line = text.count("\n", 0, at) + 1
    return UserError(f"{path}, line {line}: no valid JSON: {what}")


class Entry:
    """One value of a list of a file: its text is kept, its value read when asked for."""

    __slots__ = ("start", "end")

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end


class Index:
    """A large file of the form {"name": [entry, ...], ...}, whose text is parsed once, entry by entry.

    Only the text stays in memory: the numbers of a file of 500 MB would need ten times as much.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.text = str(path), textfile.read(path)
        self.names: list[str] = []  # the outermost ones, as `walk` comes to them
        self._decoder = JSONDecoder()

    def walk(self) -> Iterator[tuple[str, Any, Entry]]:
        """Yield (name, value, its place) of each entry of each outermost list, and of what is outermost and no list.

        UserError, with the line, where the file is no JSON object.
        """
        at = self._blank(0)
        if self.text[at : at + 1] != "{":
            raise UserError(f"{self.path}: annotations have an object {{...}} outermost")
        at = self._blank(at + 1)
        while self.text[at : at + 1] != "}":
            name, at = self._value(at)
            if not isinstance(name, str):
                self._fail("a name is missing", at)
            self.names.append(name)
            at = self._blank(self._past(":", at))
            if self.text[at : at + 1] == "[":
                for value, entry in self._list(at):
                    at = entry.end
                    if entry.start >= 0:
                        yield name, value, entry
            else:
                start = at
                value, at = self._value(at)
                yield name, value, Entry(start, at)
            at = self._blank(at)
            if self.text[at : at + 1] != "}":
                at = self._blank(self._past(",", at))

    def _list(self, at: int) -> Iterator[tuple[Any, Entry]]:
        """Yield the entries of a list, and at last (None, an Entry(-1, its end))."""
        at = self._blank(at + 1)
        while self.text[at : at + 1] != "]":
            start = at
            value, at = self._value(at)
            yield value, Entry(start, at)
            at = self._blank(at)
            if self.text[at : at + 1] != "]":
                at = self._blank(self._past(",", at))
                if self.text[at : at + 1] == "]":
                    self._fail("a value is missing behind the comma", at)
        yield None, Entry(-1, at + 1)

    def value(self, entry: Entry) -> Any:
        """Read an entry once more."""
        return self._value(entry.start)[0]

    def _value(self, at: int) -> tuple[Any, int]:
        return _guarded(lambda: self._decoder.raw_decode(self.text, at), self.path, self.text)

    def _blank(self, at: int) -> int:
        match = _BLANK.match(self.text, at)
        return match.end() if match else at

    def _past(self, sign: str, at: int) -> int:
        at = self._blank(at)
        if self.text[at : at + 1] != sign:
            self._fail(f"{sign!r} is missing", at)
        return at + 1

    def _fail(self, what: str, at: int) -> None:
        raise _invalid(self.path, self.text, what, at)


def ends(path: Path) -> bytes:
    """Read the beginning and the end of a file, enough to know its kind; empty if it cannot be read."""
    try:
        with opened(path) as file:
            head = file.read(_HEAD)
            if path.stat().st_size <= _HEAD:
                return head
            file.seek(max(_HEAD, path.stat().st_size - _HEAD))
            return head + b"\n" + file.read(_HEAD)
    except OSError:
        return b""


def is_whole(path: Path) -> bool:
    """Say whether a file is a JSON object from its beginning to its end."""
    try:
        for _ in Index(path).walk():
            pass
    except UserError:
        return False
    return True


def files_of(paths: Iterable[str], suffix: str, where: str) -> list[tuple[Path, str]]:
    """List (file, its path below its folder) of what `paths` name: files, globs, and folders in any depth.

    UserError, which begins with `where`, for a path that is not there or has no file of the suffix.
    """
    found = []
    for path in paths:
        home, files = label_files(path, (Path(suffix).suffix or suffix,), where)
        inside = [(file, file.relative_to(home).as_posix()) for file in files if file.name.lower().endswith(suffix)]
        if not inside:
            packed = ", and is packed: unpack it" if path.lower().endswith((".zip", ".tar", ".gz")) else ""
            raise UserError(f"{where}: {path} has no file *{suffix}{packed}")
        found += inside
    return found


def each_file(paths: Iterable[str], suffix: str, where: str) -> Iterator[tuple[Path, str]]:
    """Iterate over `files_of`; of many files the progress is shown."""
    files = files_of(paths, suffix, where)
    yield from progress(files, f"files *{suffix} read", len(files), shown=len(files) > MANY)


def search(folder: Path, suffix: str = ".json", most: int = 0, depth: int = 64) -> list[Path]:
    """List files of a suffix in a folder and `depth` levels below, by path; `most`: no more than that, for a look."""
    walk = _walk(folder, suffix, depth)
    return sorted(islice(walk, most) if most else walk)


def _walk(folder: Path, suffix: str, depth: int) -> Iterator[Path]:
    """Yield the files of a folder before those below it; hidden ones, and links to folders, are left out."""
    try:
        entries = visible(folder.iterdir())
    except OSError as error:
        raise UserError(f"cannot look into the folder {folder}: {error.strerror}") from None
    yield from (path for path in entries if path.name.lower().endswith(suffix) and path.is_file())
    for path in entries if depth else ():
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, suffix, depth - 1)


def field(of: Any, name: str, kind: type[T] | tuple[type[T], ...], where: str) -> T:
    """Take one value of an object; UserError where it is missing or of another kind."""
    value = of.get(name) if isinstance(of, dict) else None
    if isinstance(value, kind) and not isinstance(value, bool):
        return value
    words = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}
    word = "a number" if isinstance(kind, tuple) else words[kind]
    raise UserError(f"{where}: {name} is not {word}, but {shown(f'{value!r:.60}')}")
