"""Values of a dataset's file with their place in it, so that every mistake is one line with file, key and value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from utils import yamlfile
from utils.errors import UserError, nearest

# Values that are names stay as they are written: `no` is no truth, `010` no number. Label values among those of
# `ignore` are read as numbers where the kind of labels has some.
_TEXT = re.compile(
    r"(name|background|overlap|unknown|missing|merge\..*|ignore|classes|images|sets|labels\.(kind|path|.*)"
    r"|classes\[\d+\]\.(name|aliases)|splits\.(group|train|val|test)(\.(images|labels))?"
    r"|sets\[\d+\]\.(file|dataset|root|use))"
)


class _Names:
    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and _TEXT.fullmatch(key) is not None


def read(file: str) -> Part:
    """Read a dataset's file. UserError for what is no YAML, and for a file that says nothing."""
    tree = yamlfile.load(file, text=_Names())
    if not isinstance(tree, dict):
        found = "is empty" if tree is None else f"is {_kind(tree)}, not keys and values"
        raise UserError(f"{file} {found}: a dataset's file has images, labels, classes and splits (docs/own_data.md)")
    return Part(file, "", tree)


@dataclass(frozen=True)
class Part:
    """A value, the file that it stands in, and its dotted key there."""

    file: str
    key: str
    value: Any

    def wrong(self, why: str) -> UserError:
        """Make the one line about this value."""
        return UserError(f"{self.file}: {self.key}: {why}" if self.key else f"{self.file}: {why}")

    def below(self, name: str) -> Part:
        """Take the value of a key."""
        return Part(self.file, f"{self.key}.{name}" if self.key else name, self.value[name])

    def parts(self, known: Iterable[str], needed: Iterable[str] = ()) -> dict[str, Part]:
        """Take this as keys and values. UserError for another key, an empty value, and a key that is missing."""
        if not isinstance(self.value, Mapping):
            raise self.wrong(f"{show(self.value)} is {_kind(self.value)}; it takes {', '.join(known)}")
        for name in self.value:
            if name not in known:
                raise self.below(name).wrong(f"there is no such key{nearest(name, known)}; known: {', '.join(known)}")
            if self.value[name] is None:
                raise self.below(name).wrong("it is empty: give its value, or leave it out")
        for name in needed:
            if name not in self.value:
                raise self.wrong(f"{name} is missing; it takes {', '.join(known)}")
        return {name: self.below(name) for name in self.value}

    def entries(self) -> list[Part]:
        """Take this as a list that is not empty."""
        if not isinstance(self.value, list):
            raise self.wrong(f"{show(self.value)} is {_kind(self.value)}, not a list [...]")
        if not self.value:
            raise self.wrong("the list is empty: give its values, or leave it out")
        return [Part(self.file, f"{self.key}[{place}]", value) for place, value in enumerate(self.value)]

    def one_or_more(self) -> list[Part]:
        """Take this as a list, or as its only entry."""
        return self.entries() if isinstance(self.value, list) else [self]

    def text(self) -> str:
        """Take this as a text that is not empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.wrong(f"{show(self.value)} is {_kind(self.value)}, not a word or text")
        return self.value.strip()

    def texts(self) -> tuple[str, ...]:
        """Take this as one text or several, each once."""
        found = [(part, part.text()) for part in self.one_or_more()]
        words = [word for _, word in found]
        for place, (part, word) in enumerate(found):
            if word in words[:place]:
                raise part.wrong(f"{word!r} stands twice: leave one of them out")
        return tuple(words)

    def whole(self, least: int, most: int) -> int:
        """Take this as a whole number between bounds."""
        value = self.value
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(f"{show(self.value)} is {_kind(self.value)}, not a whole number")
        if not least <= value <= most:
            raise self.wrong(f"{value} is out of range, {least} to {most}")
        return value

    def choice(self, known: Sequence[str]) -> str:
        """Take this as one of several words."""
        word = self.text()
        if word not in known:
            raise self.wrong(f"{word!r} is unknown{nearest(word, known)}; known: {', '.join(known)}")
        return word

    def color(self) -> tuple[int, int, int]:
        """Take this as [R, G, B], or as #rrggbb."""
        if isinstance(self.value, str) and re.fullmatch("#[0-9a-fA-F]{6}", self.value):
            red, green, blue = (int(self.value[i : i + 2], 16) for i in (1, 3, 5))
        else:
            if not isinstance(self.value, list) or len(self.value) != 3:
                raise self.wrong(f"{show(self.value)} is no color [R, G, B]")
            red, green, blue = (part.whole(0, 255) for part in self.entries())
        return red, green, blue


def show(value: Any) -> str:
    """Write a value for a message, in short."""
    text = repr(value)
    return text if len(text) < 60 else text[:56] + " ..."


def _kind(value: Any) -> str:
    """Name what a value is, as a person who writes YAML calls it."""
    names = {dict: "keys and values", list: "a list", bool: "a truth value", type(None): "nothing"}
    if isinstance(value, str):
        return "a text" if value.strip() else "an empty text"
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else "a date")
