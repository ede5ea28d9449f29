"""Where a dataset's file says that images and labels are: folders, globs and patterns, else lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from datasets.own.recognize.divide import Division
from datasets.own.recognize.draft import Entry, ListFile, Place
from datasets.own.recognize.grouping import by_percent
from datasets.own.recognize.pairs import Pairing, Picture, Stream
from datasets.own.recognize.selection import pattern, select
from datasets.own.recognize.tree import Tree, common_folder, named
from datasets.own.stored import key
from utils.plural import counted


class Written:
    """Entries of the file about images, labels and splits, and the lists that they name."""

    def __init__(self, entries: Iterable[Entry], lists: dict[str, list[tuple[Place, ...]]]) -> None:
        self.entries, self.lists = tuple(entries), lists


class Places:
    """Says in a dataset's file where images and labels are: by folders, globs and patterns, else by lists."""

    def __init__(self, tree: Tree, found: Pairing, division: Division) -> None:
        self.tree, self.found, self.division = tree, found, division
        self.lists: dict[str, list[tuple[Place, ...]]] = {}
        self.labeled = {picture.split for picture in found.paired}

    def entries(self, kind: str, folders: Mapping[str, Sequence[str]] | None = None) -> Written:
        """Write images, labels and splits. `folders`: of binary masks, by the split of their images."""
        self.folders = folders or {}
        if self.division.kind == "folders":
            return Written(self._by_folders(kind), self.lists)
        if self.division.kind == "lists" and not self.division.plain:
            return Written(self._by_own_lists(kind), self.lists)
        images = [picture for picture in self.found.images.pictures if self._belongs(picture)]
        files, labels, comment = self._files(images, "")
        label: dict[str, object] = {"kind": kind, **({"path": labels} if labels else {})}
        missing = [] if self.division.kind == "lists" else self._missing(images)
        entries = [Entry("images", files, comment), Entry("labels", label), *missing]
        return Written([*entries, Entry("splits", *self._division(images))], self.lists)

    def _division(self, images: Sequence[Picture]) -> tuple[object, tuple[str, ...]]:
        """Divide images by lists that lie there, else by percent: the value of `splits`, and its comments."""
        if self.division.kind == "lists":
            lists = {split: Place(file) for split, file in self.division.lists.items()}
            if self.division.val == "test":
                lists["val"] = lists.pop("test")
            return lists, (_sentence(self.division.why),)
        used = self.found.paired if "images" in self.lists else images
        return by_percent(self.division.group, self.division.why, [picture.path for picture in used])

    def _by_own_lists(self, kind: str) -> list[Entry]:
        """Write lists anew whose lines are no paths or names of images here."""
        splits: dict[str, object] = {}
        for split, images in self.division.listed.items():
            name = "val" if split == self.division.val else split
            splits[name] = self._listed(images, name)[0]
        why = f"{_sentence(self.division.why)} Their lines name images by paths of another place: written anew here."
        path = {"path": self._masks("")} if self.folders else {}
        return [Entry("labels", {"kind": kind, **path}), Entry("splits", splits, (why,))]

    def _masks(self, split: str) -> object:
        """Name the folders of binary masks of a split, of all where it has none of its own."""
        own = self.folders.get(split) or [folder for folders in self.folders.values() for folder in folders]
        return _one_or_more([*dict.fromkeys(folder or "." for folder in own)])

    def _belongs(self, picture: Picture) -> bool:
        """Tell whether an image counts where one list of images is divided: not those of a test without labels."""
        return picture.split in self.labeled

    def _by_folders(self, kind: str) -> list[Entry]:
        splits: dict[str, dict[str, object]] = {}
        paired = self.found.of
        for split in ("train", "val", "test"):
            images = [picture for picture in self.found.images.pictures if picture.split == split]
            if not images:
                continue
            name = "val" if split == self.division.val else split
            files, labels, _ = self._files(images, split)
            known = labels and any(paired.get(picture.path) for picture in images)
            splits[name] = {"images": files, **({"labels": labels} if known else {})}
        counted_images = [picture for picture in self.found.images.pictures if picture.split in ("train", "val")]
        return [
            Entry("labels", {"kind": kind}),
            *self._missing(counted_images),
            Entry("splits", splits, (_sentence(self.division.why),)),
        ]

    def _missing(self, images: Sequence[Picture]) -> list[Entry]:
        without = [picture.path for picture in images if not self.found.of.get(picture.path)]
        if not without or "images" in self.lists:
            return []
        return [
            Entry(
                "missing", "skip", (f"{counted(len(without), 'image has', 'images have')} no label: {named(without)}",)
            )
        ]

    def _files(self, images: Sequence[Picture], split: str) -> tuple[object, object, tuple[str, ...]]:
        """Say where some images and their labels are: (images, labels or None, comments)."""
        paired = [picture for picture in images if self.found.of.get(picture.path)]
        paths = [picture.path for picture in images]
        chosen = select(paths, self.tree.pictures)
        if chosen is None:
            paths = [picture.path for picture in paired]
            chosen = select(paths, self.tree.pictures)
        labels = self._labels(paired, split, chosen) if paired else None
        if chosen is None or (paired and labels is None):
            return self._listed(paired or list(images), split or "images")
        return _one_or_more(chosen), labels, ()

    def _listed(self, images: Sequence[Picture], ending: str) -> tuple[object, object, tuple[str, ...]]:
        """Write a list, since no folder, glob or pattern names just these files."""
        columns = 0 if self.folders else 1  # binary masks are several of an image, and stand in no list
        rows = [tuple(Place(path) for path in (p.path, *self.found.of.get(p.path, ())[:columns])) for p in images]
        self.lists[ending] = rows
        comment = "No folder or glob holds just the images: a list names them" + ", with their labels." * columns
        return ListFile(ending), self._masks(ending) if self.folders else None, (comment,)

    def _labels(self, paired: Sequence[Picture], split: str, chosen: Sequence[str] | None) -> object:
        """Name the labels of images that `chosen` names: their folder, a pattern, globs; None where only a list can."""
        if self.folders:
            return self._masks(split)
        assert self.found.labels is not None
        labels = [self.found.of[picture.path][0] for picture in paired]
        if any("{" in path for path in (str(self.tree.root.absolute()), *labels)):
            return None  # the file would read a pattern
        folder = common_folder(labels)
        home = _home(chosen[0]) if chosen and len(chosen) == 1 else None
        alike = _same_names(paired, labels, home, folder)
        if alike and self._whole(folder, self.found.labels):
            return Place(folder or ".")
        if written := pattern(paired, labels, home):
            return Place(written)
        globs = select(labels, self.tree.pictures)
        return _one_or_more(globs) if alike and globs else None

    def _whole(self, folder: str, stream: Stream) -> bool:
        """Tell whether a folder holds labels of one stream alone."""
        of_stream = {picture.path for picture in stream.pictures}
        inside = [path for path in self.tree.pictures if not folder or path.startswith(folder + "/")]
        return all(path in of_stream for path in inside)


def _home(choice: str) -> str:
    """Give the folder from which the paths of images count: that of a folder or of a glob in front of its wildcard."""
    if "*" in choice:
        return choice.partition("*")[0].rpartition("/")[0]
    return "" if choice == "." else choice


def _same_names(images: Sequence[Picture], labels: Sequence[str], home: str | None, folder: str) -> bool:
    """Tell whether labels are found by the names of their images, or by their paths below `home` (None: no one place).

    Names are compared as the reader of the file does, without the endings that it knows.
    """
    stems = [PurePosixPath(label).stem for label in labels]
    if any(key(PurePosixPath(p.path).stem) != key(stem) for p, stem in zip(images, stems, strict=True)):
        return False
    if len({key(stem) for stem in stems}) == len(stems):
        return True
    if home is None:
        return False
    inside = [PurePosixPath(p.path).parent.relative_to(home or ".") for p in images]
    return inside == [PurePosixPath(label).parent.relative_to(folder or ".") for label in labels]


def _one_or_more(chosen: Sequence[str]) -> object:
    places = [Place(one) for one in chosen]
    return places[0] if len(places) == 1 else places


def _sentence(why: str) -> str:
    return f"{why[:1].upper()}{why[1:]}."
