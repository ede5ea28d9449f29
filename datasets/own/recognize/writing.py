"""A dataset's file as text: each guess with its evidence beside it, paths from the file's own folder on."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from datasets.own import percent
from datasets.own.recognize import grouping
from datasets.own.recognize.draft import Draft, Entry, ListFile, Place, Seed
from datasets.own.recognize.values import Classes, Row
from utils.errors import UserError
from utils.names import shown

_WIDTH = 116
_HEAD = (
    "Written by scripts/new_dataset.py: {what}. What is guessed has its reason beside it: "
    "change what is wrong. Every key is explained in docs/own_data.md."
)


class Writer:
    """Writes the file that describes `folder`, for a place `out`, and the lists that it names."""

    def __init__(self, draft: Draft, folder: Path, out: Path) -> None:
        self.draft, self.out = draft, out
        # A folder above or elsewhere is named as a whole: ../../x would be true of one machine's place alone as well.
        here, target = out.resolve().parent, folder.resolve()
        self.prefix = os.path.relpath(target, here) if target.is_relative_to(here) else str(target)

    def text(self) -> str:
        """Write the whole file."""
        lines = [*_comment(_HEAD.format(what=shown(self.draft.what))), ""]
        keys = [*self.draft.entries]
        first = [entry for entry in keys if entry.key in ("images", "labels", "missing")]
        last = sorted((entry for entry in keys if entry not in first), key=lambda entry: entry.key == "splits")
        for entry in (Entry("name", _word(self.out.stem)), *first):
            lines += self._entry(entry)
        if self.draft.classes:
            lines += self._classes(self.draft.classes)
        for entry in last:
            lines += self._entry(entry)
        return "\n".join(lines) + "\n"

    def lists(self) -> dict[Path, str]:
        """Write the lists: an image and its label a line, parted by a tab.

        UserError for a name that no line can hold.
        """
        for place in (place for rows in self.draft.lists.values() for row in rows for place in row):
            if any(sign in place for sign in "\t\n\r"):
                raise UserError(
                    f"{shown(place)}: its name has a tab or an end of line, which no list can hold: rename it"
                )
        return {
            self._list(ending): "".join("\t".join(self._plain(place) for place in row) + "\n" for row in rows)
            for ending, rows in self.draft.lists.items()
        }

    def _list(self, ending: str) -> Path:
        return self.out.with_name(f"{self.out.stem}_{ending}.txt")

    def _plain(self, place: str) -> str:
        """Write a path from the file's folder on."""
        return os.path.normpath(os.path.join(self.prefix, place))

    def _value(self, value: Any) -> Any:
        """Write paths as the file has them; the rest stays."""
        if isinstance(value, ListFile):
            return self._list(value).name
        if isinstance(value, Seed):
            places = [str(PurePosixPath(self._plain(path)).with_suffix("")) for path in value.paths]
            return percent.even_seed(places, grouping.SHARES, value.group)
        if isinstance(value, Place):
            return self._plain(value)
        if isinstance(value, Mapping):
            return {key: self._value(one) for key, one in value.items()}
        return [self._value(one) for one in value] if isinstance(value, (list, tuple)) else value

    def _entry(self, entry: Entry) -> list[str]:
        """Write a key with its comments, in one line where it fits."""
        comments = [line for text in entry.comments for line in _comment(shown(text))]
        value = self._value(entry.value)
        line = f"{entry.key}: {flow(value)}"
        if len(line) > _WIDTH and isinstance(value, Mapping):
            return [*comments, f"{entry.key}:", *(f"  {flow(key)}: {flow(one)}" for key, one in value.items())]
        if len(line) > _WIDTH and isinstance(value, list):
            return [*comments, f"{entry.key}:", *(f"  - {flow(one)}" for one in value)]
        return [*comments, line]

    def _classes(self, found: Classes) -> list[str]:
        lines = [*_comment(shown(f"Classes: {found.source}.")), "classes:"]
        rows = [(_row(row), row) for row in found.rows]
        width = min(_WIDTH - 30, max((len(text) for text, _ in rows), default=0))
        for text, row in rows:
            front = "  # " if row.off else "  "
            why = shown(row.why)
            lines.append(f"{front}{text:{width}}  # {why}".rstrip() if why else front + text)
        if found.ignore or found.ignored_why:
            lines += _comment("Left out of training and scores:")
            lines += [line for why in found.ignored_why for line in _comment(shown(why), "  ")]
            lines += self._entry(Entry("ignore", list(found.ignore)))
        return lines


def _row(row: Row) -> str:
    parts: dict[str, Any] = {"name": row.name}
    if row.id is not None:
        parts["id"] = row.id
    if row.color is not None:
        parts["color"] = list(row.color)
    if row.aliases:
        parts["aliases"] = list(row.aliases)
    return f"- {flow(parts)}"


def flow(value: Any) -> str:
    """Write a value in one line of YAML, quoted where it has to be."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1 << 20, sort_keys=False, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _comment(text: str, indent: str = "") -> Iterable[str]:
    return [f"# {indent}{line}" for line in textwrap.wrap(text, _WIDTH - 2 - len(indent), break_long_words=False)]


def _word(stem: str) -> str:
    """Make a name of letters, digits, _ and - of a file's stem."""
    word = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in stem).strip("_")
    return word or "own"
