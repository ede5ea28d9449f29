"""A folder in which a published data set may begin, and what lies below it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from datasets.own.recognize.looks import Looks
from datasets.own.recognize.tree import Tree, some

_LOOKED_AT = 8


class Part:
    """Files below the folder that a data set begins in: `base` in front of their paths, "" for the folder itself."""

    def __init__(self, tree: Tree, base: str) -> None:
        self.tree, self.base = tree, base

    @cached_property
    def _below(self) -> list[str]:
        """The paths below the base, without it."""
        every = (*self.tree.pictures, *self.tree.files)
        return [path[len(self.base) :] for path in every if path.startswith(self.base)]

    def _matching(self, pattern: str) -> Iterator[str]:
        expression = re.compile(pattern)
        return (self.base + path for path in self._below if expression.fullmatch(path))

    def files(self, pattern: str) -> list[str]:
        """List files and pictures whose path from the base on matches an expression as a whole."""
        return list(self._matching(pattern))

    def has(self, *patterns: str) -> bool:
        """Tell whether there is a file for each expression."""
        return all(next(self._matching(pattern), None) for pattern in patterns)

    def has_folder(self, name: str) -> bool:
        """Tell whether there is a folder of this path with anything in it."""
        return f"{self.base}{name}" in self.tree.folders

    def looks(self, pattern: str) -> Looks:
        """Look at some pictures."""
        return Looks.of(self.tree.path(path) for path in some(self.files(pattern), _LOOKED_AT))
