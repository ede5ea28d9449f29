"""Faults of annotations and images that are gathered, where someone wants to know of all, instead of the first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from utils.errors import MachineError, UserError

T = TypeVar("T")
R = TypeVar("R")


class Bad(NamedTuple):
    """A fault: its kind as `datasets.checking.faults` has it, its file, what it is, and the image that is left out."""

    kind: str
    file: str
    what: str
    image: str = ""


class OtherSizeError(UserError):
    """A label is for an image of another size."""

    kind = "size-differs"


class UnmappedError(UserError):
    """A label has values, or colors, that are no class."""

    kind = "unmapped-value"


@dataclass
class Collected:
    """What was gathered. `images`: those whose label is left out for a fault; `taken`: faults, repeated ones too.

    `drawn`: {drawing: (its image, what it was drawn of)}. `about`: the file and the image that are read just now.
    """

    bad: dict[Bad, None] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    drawn: dict[str, tuple[str, str]] = field(default_factory=dict)
    taken: int = 0
    about: tuple[str, str] = ("", "")

    def leave_out(self, image: str, file: str) -> None:
        """Say which image the faults of a file are about."""
        self.images.add(image)
        self.bad = {bad._replace(image=image) if bad.file == file and not bad.image else bad: None for bad in self.bad}


_NOW: ContextVar[Collected | None] = ContextVar("collected", default=None)


def collected() -> Collected | None:
    """Give what is gathered so far; None where the first fault stops."""
    return _NOW.get()


@contextmanager
def collecting() -> Iterator[Collected]:
    """Within it bad annotations are left out and gathered."""
    found = Collected()
    token = _NOW.set(found)
    try:
        yield found
    finally:
        _NOW.reset(token)


def take(error: UserError, file: str = "", image: str = "", kind: str = "unreadable-label") -> None:
    """Gather a fault of a file, by default of what is read just now; raise it where the first one stops."""
    now = _NOW.get()
    if now is None or isinstance(error, MachineError):
        raise error
    file, image = file or now.about[0], image or now.about[1]
    text = str(error)
    _, named, what = text.partition(f"{file}: ")
    what = what if file and named else text.removeprefix(file).lstrip(", ")
    now.bad[Bad(getattr(error, "kind", kind), file, what, image)] = None
    now.images |= {image} - {""}
    now.taken += 1


@contextmanager
def tolerated(file: str, image: str = "", kind: str = "unreadable-label") -> Iterator[None]:
    """Gather the UserError that ends what is done within, and the faults within it, as those of a file."""
    now = _NOW.get() or Collected()
    before, now.about = now.about, (file, image)
    try:
        yield
    except UserError as error:
        take(error, file, image, kind)
    finally:
        now.about = before


def each(values: Iterable[T], read: Callable[[int, T], R | None]) -> list[R]:
    """Read values, numbered from 1, one by one; those that give None are left out, bad ones where they are gathered."""
    found = list[R]()
    for number, value in enumerate(values, 1):
        try:
            one = read(number, value)
        except UserError as error:
            take(error)
            continue
        found += [one] if one is not None else []
    return found
