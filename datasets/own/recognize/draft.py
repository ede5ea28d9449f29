"""What was found out about a folder: the entries of the file to be written, each with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from datasets.own.recognize.values import Classes


class Entry(NamedTuple):
    """A key of the file, its value, and the comments above it."""

    key: str
    value: Any
    comments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """A folder that was recognized.

    `what`: what it is, in a line. `entries`: the file's keys but for the classes, paths from the folder on (`Place`).
    `notes`: what was left aside or guessed, lines for the screen. `lists`: further files, {ending of the name: lines}.
    `pictures`: a folder of pictures for the third command, or one picture. `dataset`: the name that --dataset takes,
    where it is a published one of ours and needs no file; `root`: its folder, from the folder on.
    """

    what: str
    entries: tuple[Entry, ...] = ()
    classes: Classes | None = None
    notes: tuple[str, ...] = ()
    lists: Mapping[str, Sequence[tuple[str, ...]]] = field(default_factory=dict)
    pictures: str = ""
    dataset: str = ""
    root: str = ""


class Place(str):
    """A path from the folder that was looked at; the file that is written has it from its own folder."""


class ListFile(str):
    """The ending of the name of a list that is written beside the file: "train" of streets_train.txt."""


class Seed(NamedTuple):
    """The seed of a division by groups of `paths`; it depends on how the file that is written calls them."""

    paths: Sequence[str]
    group: str
