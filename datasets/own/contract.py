"""What the kinds of labels are given and what they give: the contract of the rows in `datasets.own.kinds`.

A kind that is not stored as ids or colors is drawn once, as PNG files of train ids, by `datasets.own.drawings`. Its row
says how sources are found and drawn; keys, files, processes and progress are common to all kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from utils.errors import UserError, nearest

Color = tuple[int, int, int]
IGNORED = 255  # what a drawing holds where a pixel does not count; 65535 with more than 255 classes


class Picture(NamedTuple):
    """An image: its file, and `place`, its path below the folder that `images` names ("drive_1/a.jpg")."""

    path: str
    place: str


class OwnClass(NamedTuple):
    """A class as the file has it. `ids`: label values, category ids or numbers; empty: the file gives none."""

    name: str
    ids: tuple[int, ...]
    color: Color
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelRules:
    """What a dataset's file says of its labels; everything but `paths` decides how they are drawn.

    `paths`: absolute folders, files, globs and patterns. `classes`: before merging, in order: train id k is the k-th.
    `ignored`: ids, colors or names that are left out. `background`: the train id of what no object covers, or
    `ignored_id`. `options`: the further options of `labels` that the kind's row names. `unknown`: "error" or "ignore".
    """

    kind: str
    paths: tuple[str, ...]
    classes: tuple[OwnClass, ...]
    ignored: tuple[Any, ...] = ()
    background: int = IGNORED
    overlap: str = "last"
    unknown: str = "error"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ignored_id(self) -> int:
        """What a drawing holds where a pixel does not count: the largest value of its type."""
        return IGNORED if len(self.classes) <= IGNORED else (1 << 16) - 1

    @property
    def dtype(self) -> type[np.unsignedinteger]:
        """The type of a drawing."""
        return np.uint8 if self.ignored_id == IGNORED else np.uint16

    def by_name(self, name: str, where: str) -> int:
        """Give the train id of a name or an alias, `ignored_id` of an ignored one.

        UserError, which begins with `where` (file and place in it), for a name that is no class.
        """
        for train, one in enumerate(self.classes):
            if name == one.name or name in one.aliases:
                return train
        if name in self.ignored or self.unknown == "ignore":
            return self.ignored_id
        known = [label for one in self.classes for label in (one.name, *one.aliases)]
        cure = "add it to classes, to aliases of one, or to ignore"
        raise UserError(f"{where}: {name!r} is no class{nearest(name, known)}; {cure}")

    def by_id(self, number: int, where: str) -> int:
        """Do the same for an id; classes without ids have 0, 1, 2, ..."""
        for train, one in enumerate(self.classes):
            if number in (one.ids or (train,)):
                return train
        if number in self.ignored or self.unknown == "ignore":
            return self.ignored_id
        raise UserError(f"{where}: id {number} is no class; add it to classes as id, or to ignore")

    def blank(self, size: tuple[int, int]) -> np.ndarray:
        """Make a drawing (H, W) of background alone."""
        return np.full(size, self.background, self.dtype)

    def order(self, areas: Sequence[float], train_ids: Sequence[int]) -> list[int]:
        """Give the places of objects in the order in which they are drawn, the one on top last, by `overlap`.

        Objects come in the order of their file. An ignored one counts as behind all classes.
        """
        keys: dict[str, Callable[[int], tuple[float, ...]]] = {
            "last": lambda i: (i,),
            "smallest": lambda i: (-areas[i], i),
            "classes": lambda i: (-1 if train_ids[i] == self.ignored_id else train_ids[i], i),
        }
        return sorted(range(len(train_ids)), key=keys[self.overlap])


class Source(NamedTuple):
    """What an image's label is drawn of.

    `content`: bytes that differ whenever another drawing would result (of this image alone, so that a change of one
    image draws one again); the size of the image, the rules and the bytes of `files` are added to them. `data`: what
    `draw` needs. `where`: file and place for messages; `file`: that file, where `files` do not say it.
    """

    content: bytes
    data: Any
    where: str
    files: tuple[str, ...] = ()
    file: str = ""

    @property
    def named(self) -> str:
        """Name what is drawn: a place in a file, or the files."""
        return self.where if self.file else ", ".join(self.files)


class Sources(dict[str, Source]):
    """{image: Source}; `notes`: what the log should say of them."""

    def __init__(self, *given: Any, notes: Sequence[str] = ()) -> None:
        super().__init__(*given)
        self.notes = [*notes]


@dataclass(frozen=True)
class LabelKind:
    """A row of the table of kinds.

    - `by`: what tells the class: "id", "color", "name", or "id or name".
    - `suffixes`: of the label files (".png", ...), for finding them in folders.
    - `find(pictures, rules, where)`: {picture.path: Source} of those that have a label, `Sources` where there is a note
      for the log; without an entry: `missing`. `where`: the dataset's file and `labels`, in front of messages.
      `datasets.own.places.Index` finds images by what label files call them, `datasets.own.stored.label_files` lists
      the files of `rules.paths`. UserError of one line for a file that cannot be read.
    - `draw(source, size, rules)`: the label, (H, W) of `rules.dtype`: train ids and `rules.ignored_id`. It is pure and
      runs in a thread beside others. UserError of one line for what does not fit the image or the classes.
    - `upright`: objects lie over images turned by their EXIF tags, as tools in a browser show them; `size` is that of
      the turned image then, and the image is read turned. Otherwise both are as the pixels are stored.
    - `options`: further options of `labels` that it takes: {name: default}.
    - `version`: to be raised when `draw` draws otherwise: cached drawings are made anew then.
    - `find` and `draw` None: the files hold ids or colors and are read as they are.
    """

    by: str
    suffixes: tuple[str, ...]
    find: Callable[[Sequence[Picture], LabelRules, str], Mapping[str, Source]] | None = None
    draw: Callable[[Source, tuple[int, int], LabelRules], np.ndarray] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    upright: bool = False

    @property
    def drawn(self) -> bool:
        """Whether labels of this kind are drawn into the cache."""
        return self.draw is not None
