"""YAML files that people write: one key once, names as they stand there, and each mistake one line."""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from utils import textfile
from utils.errors import UserError

_KINDS = "tag:yaml.org,2002:"
_TEXT, _NULL, _MERGE = (f"{_KINDS}{kind}" for kind in ("str", "null", "merge"))
_MOST = 100_000  # nodes of a file, those of an alias *name again at each place
_KEY, _NUMBER = 10_000, 100  # letters of a dotted key, and of what is no text


class _All:
    def __contains__(self, key: object) -> bool:
        return True


ALL = _All()  # every value is text, also a null that was written


def load(path: str | Path, where: str = "", text: Container[str] = ()) -> Any:
    """Read what a file says, None for an empty one; `where`: how messages call it, its path otherwise.

    Keys are text. `text`: dotted keys whose values, and the entries of whose lists, are text as well: `no`, `1.0` and
    `010` stay what was written; a null alone stays one, unless it is ALL. UserError, with the line, for a key that
    stands twice in one place, be it as A.B beside a section A, and for all that is no YAML.
    """
    where = where or str(path)
    content = textfile.read(path, where)
    try:
        loader = yaml.SafeLoader(content)
        root = loader.get_single_node()
        if root is None:
            return None
        _Check(where, text).walk(root, "")
        return loader.construct_document(root)
    except UserError:
        raise
    except yaml.reader.ReaderError as error:
        line = content[: error.position].count("\n") + 1
        raise UserError(f"{where}, line {line}: no valid YAML: the character U+{error.character:04X}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a ValueError: 2024-13-45 is no date
        raise UserError(_said(error, where)) from None


class _Check:
    """What holds for every node of a file, before it becomes values."""

    def __init__(self, where: str, text: Container[str]) -> None:
        self.where, self.text = where, text
        self.lines: dict[str, int] = {}  # of each dotted key
        self.count, self.above = 0, set[int]()

    def walk(self, node: Node, key: str) -> None:
        """Make text of what stays text below `key`; UserError for a key that stands twice."""
        self.count += 1
        if len(key) > _KEY:
            raise UserError(f"{self.where}, line {node.start_mark.line + 1}: a name of more than {_KEY} letters")
        if id(node) in self.above:
            raise UserError(f"{self.where}: a part of it has itself as a part (an alias *name inside &name)")
        if self.count > _MOST:
            raise UserError(f"{self.where}: more than {_MOST} values, aliases *name counted")
        self.above.add(id(node))
        if isinstance(node, MappingNode):
            for name, value in node.value:
                self.walk(value, self._named(name, f"{key}." if key else ""))
        elif isinstance(node, SequenceNode):
            for i, value in enumerate(node.value):
                self._keep(value, key, alone=False)
                self.walk(value, f"{key}[{i}]")
        else:
            self._keep(node, key, alone=True)
            self._check_kind(node, node.tag.removeprefix(_KINDS))
        self.above.remove(id(node))

    def _named(self, name: Node, prefix: str) -> str:
        """Give the dotted key of a name, which becomes text."""
        key, line = f"{prefix}{name.value}", name.start_mark.line + 1
        if not isinstance(name, ScalarNode):
            raise UserError(f"{self.where}, line {line}: a name is needed in front of a colon, not a list")
        if name.tag == _MERGE:
            return key
        if key in self.lines:
            both = f"in lines {self.lines[key]} and {line}" if line != self.lines[key] else f"in line {line}"
            raise UserError(f"{self.where}: {key} stands twice, {both}: leave one of them out")
        self.lines[key] = line
        name.tag = _TEXT
        return key

    def _keep(self, node: Node, key: str, alone: bool) -> None:
        """Keep what was written: a null in a list is a word, alone it says that there is nothing."""
        if isinstance(node, ScalarNode) and node.value and not (alone and node.tag == _NULL and self.text is not ALL):
            if key.replace("<<.", "") in self.text:
                node.tag = _TEXT

    def _check_kind(self, node: Node, kind: str) -> None:
        """Raise UserError for a value that is not of the kind that a tag (!!int) says, or a number without end: PyYAML
        compares only what it tells itself.
        """
        if node.tag == _TEXT or kind not in ("bool", "float", "int", "timestamp"):
            return
        line = f"{self.where}, line {node.start_mark.line + 1}"
        if len(node.value) > _NUMBER:
            raise UserError(f"{line}: a value of {len(node.value)} letters, {node.value[:20]!r}...; quote it as text")
        numeric = kind in ("float", "int") and node.value.strip("_")  # !!float 3: Python's own reader tells the others
        if not numeric and not any(tag == node.tag and sign.match(node.value) for tag, sign in _signs(node.value)):
            raise UserError(f"{line}: {node.value!r} is no {kind}, as the tag !!{kind} says: leave the tag out")


def _signs(value: str) -> list[tuple[str, re.Pattern[str]]]:
    """List (tag, pattern) of what PyYAML makes of values that begin like this one."""
    return yaml.SafeLoader.yaml_implicit_resolvers.get(value[:1], [])


def _said(error: Exception, where: str) -> str:
    """Tell what is wrong with a file that is no YAML, in one line."""
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or str(error)
    if getattr(error, "context", "") == "expected a single document in the stream":
        reason = "a second document begins there (---)"
    if isinstance(error, RecursionError):
        reason = "too many levels"
    if "'\\t'" in reason:
        reason = "a tab in front; YAML wants blanks there"
    place = where if mark is None else f"{where}, line {mark.line + 1}"
    return f"{place}: no valid YAML: {' '.join(reason.split())}"
