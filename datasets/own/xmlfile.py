"""XML files of annotation tools, read element by element; what could do harm in them is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.parsers import expat

from utils.errors import UserError
from utils.files import opened

_DEEPEST = 64  # elements within each other
_BLOCK = 1 << 20


def parse(
    path: Path, begin: Callable[[list[str], dict[str, str], int], None], end: Callable[[list[str], str], None]
) -> None:
    """Call `begin(names of the elements around it and its own, attributes, line)` and `end(these names, its text)`.

    UserError, with the line, for what is no XML, and for a document type: it may declare entities that grow without
    bounds or that read other files, and no tool needs it.
    """
    state = _State(begin, end, str(path))
    parser = expat.ParserCreate()
    state.parser = parser
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = state.start, state.close
    parser.CharacterDataHandler = state.text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = state.refuse
    try:
        with opened(path) as file:
            while block := file.read(_BLOCK):
                parser.Parse(block, False)
            parser.Parse(b"", True)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, UserError):
            raise
        reason = expat.errors.messages.get(getattr(error, "code", -1), str(error))
        raise UserError(f"{path}, line {parser.CurrentLineNumber}: no valid XML: {reason}") from None


class _State:
    """The elements around the one that is read, and the text of each."""

    parser: Any

    def __init__(
        self, begin: Callable[[list[str], dict[str, str], int], None], end: Callable[[list[str], str], None], path: str
    ) -> None:
        self.begin, self.end, self.path = begin, end, path
        self.names: list[str] = []
        self.texts: list[list[str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Enter an element."""
        line = self.parser.CurrentLineNumber
        if len(self.names) >= _DEEPEST:
            raise UserError(f"{self.path}, line {line}: more than {_DEEPEST} elements within each other")
        self.names.append(name)
        self.texts.append([])
        self.begin(self.names, attributes, line)

    def text(self, text: str) -> None:
        """Take text of the innermost element."""
        self.texts[-1].append(text)

    def close(self, name: str) -> None:
        """Leave an element."""
        del name  # the parser has compared it
        self.end(self.names, "".join(self.texts.pop()))
        self.names.pop()

    def refuse(self, *_: Any) -> None:
        """Refuse a document type."""
        line = self.parser.CurrentLineNumber
        raise UserError(f"{self.path}, line {line}: a document type (<!DOCTYPE ...>) is refused; remove it")
