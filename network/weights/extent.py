"""Whether a file has become no more than it holds: a few bytes can name one tensor, or one list, for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from network.weights.inert import LARGEST
from utils.errors import UserError

_SMALL, _FEW = 1 << 20, 1 << 14  # bytes that any file may become, and parts that it may name
_NAME = 64  # letters of a name that count as a part: it is read for each part below it


def check(content: Any, size: int) -> None:
    """Count each tensor once. UserError, without the file's name, where those of a file of `size` bytes are larger than
    it can have stored: a tensor repeats its numbers by strides of 0.
    """
    known = {id(x): x.numel() * x.element_size() for x in _parts(content) if isinstance(x, Tensor)}
    if sum(known.values()) > LARGEST * size + _SMALL:
        raise UserError("refused, since its tensors are larger than the file")


def _parts(content: Any) -> Iterator[Any]:
    """Yield every part of a content, each once, however often and deep it occurs."""
    left, seen = [content], set[int]()
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, Mapping):
            left.extend(part.values())
        elif isinstance(part, (list, tuple)):
            left.extend(part)


class Allowance:
    """What may still be read of a content, part by part, where one that it names often counts each time."""

    def __init__(self, size: int) -> None:
        self.left = LARGEST * size + _FEW

    def take(self, part: Any, name: str) -> None:
        """Raise UserError where it is used up. Bytes and letters count, those of `name` beyond usual ones too."""
        size = part.numel() * part.element_size() if isinstance(part, Tensor) else 0
        size += len(part) if isinstance(part, (str, bytes)) else 0
        self.left -= 1 + size + len(name) // _NAME
        if self.left < 0:
            raise UserError("refused, since it names its parts more often than a file of its size has any")
