"""Folders of images and of labels that are pictures: ids, palettes, colors, or a binary mask for each class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

from datasets.own.recognize import binary
from datasets.own.recognize.divide import Division, divide
from datasets.own.recognize.draft import Draft, Entry, ListFile, Place
from datasets.own.recognize.looks import Looks
from datasets.own.recognize.names import Table
from datasets.own.recognize.pairs import Pairing, Picture, Stream, match, pair
from datasets.own.recognize.selection import pattern, select
from datasets.own.recognize.tree import Tree, common_folder, named, some
from datasets.own.recognize.values import Classes, classes
from utils.errors import UserError
from utils.plural import counted

Progress = Callable[[Sequence[str], str], Iterable[str]]

LOOKED_AT = 400  # labels whose values are counted
_FIRST_LOOK = 3
_WORDS = {"gray": "gray ids", "palette": "palette", "rgb": "RGB colors"}


def draft(tree: Tree, tables: Sequence[Table], progress: Progress) -> Draft | None:
    """Find out images, labels, classes and splits; None where there are no such labels.

    UserError for labels that cannot be used, with the reason.
    """
    found = pair(tree)
    if found is None:
        return None
    if masks := binary.find(tree, found):
        return _of_binary(tree, found, masks, tables)
    found = _best_stream(tree, found)
    if found.labels is None or not found.paired:
        return None
    shown = some([found.of[picture.path][0] for picture in found.paired], LOOKED_AT)
    looks = Looks.of(tree.path(path) for path in progress(shown, "labels"))
    _check(looks)
    table = classes(looks, tables)
    division = divide(tree, found.images.pictures, found.of)
    entries = Places(tree, found, division).entries(looks.kind)
    every = len(shown) == len(found.paired)
    seen = f"all {len(shown)} labels" if every else f"{len(shown)} of {len(found.paired)} labels (check_data reads all)"
    return Draft(
        f"{_WORDS[looks.kind]}: {counted(len(found.paired), 'image')} of {found.images.name} with labels of "
        f"{found.labels.name}",
        entries.entries,
        table._replace(source=f"{table.source}; values of {seen}"),
        (*_notes(tree, found), *looks.unreadable),
        entries.lists,
        _pictures(tree, found, division),
    )


def _best_stream(tree: Tree, found: Pairing) -> Pairing:
    """Take labels that can be read among those that fit as well: ids before colors, colors before what is spoilt."""
    choices = [found, *(match(found.images, stream) for stream in found.others)]
    choices = [one for one in choices if one.labels and 2 * len(one.paired) >= len(found.paired)]
    return min(choices, key=lambda one: _rank(tree, one), default=found)


def _rank(tree: Tree, pairing: Pairing) -> int:
    looks = Looks.of(tree.path(pairing.of[picture.path][0]) for picture in some(pairing.paired, _FIRST_LOOK))
    if looks.lossy:
        return 4
    return {"gray": 0, "palette": 0, "rgb": 1, "spoilt": 3}.get(looks.kind, 5)


def _check(looks: Looks) -> None:
    """Raise UserError for labels of which no classes can be read."""
    if looks.lossy:
        raise UserError(
            f"the labels are JPEG ({looks.lossy} first): JPEG changes values at every edge, so that no class can be read "
            "from them; export them anew as PNG from the tool that drew them"
        )
    if looks.spoilt:
        raise UserError(f"{looks.spoilt}; export them anew as PNG, unchanged in size")
    if looks.kind not in _WORDS:
        first = f": {looks.unreadable[0]}" if looks.unreadable else ", they look like photos"
        raise UserError(f"what lies where labels would be holds no classes{first}")
    if len(looks.values) < 2:
        raise UserError(f"all labels hold one value, {looks.values[0]}: there is nothing to learn")


def _notes(tree: Tree, found: Pairing) -> list[str]:
    notes = []
    unlabeled = [picture.path for picture in found.unlabeled if picture.split != "test"]
    if unlabeled:
        notes.append(f"{counted(len(unlabeled), 'image')} without label, left out: {named(unlabeled)}")
    if found.spare:
        notes.append(f"{counted(len(found.spare), 'label')} without image, not used: {named(found.spare)}")
    if found.unused:
        notes.append(f"not used: pictures in {named(found.unused, 6)}")
    if tree.results:
        notes.append(f"not looked at: results of runs in {named(tree.results)}")
    return notes


def _pictures(tree: Tree, found: Pairing, division: Division) -> str:
    """Choose pictures for a first look at masks: those without label for a test, else those that validate, else one."""
    tests = [picture.path for picture in found.unlabeled if picture.split == "test"]
    val = [picture.path for picture in found.paired if picture.split == division.val]
    for paths in (tests, val if division.kind == "folders" else [], [picture.path for picture in found.images.pictures]):
        chosen = select(paths, tree.pictures)
        if chosen and len(chosen) == 1 and "*" not in chosen[0]:
            return chosen[0]
    return found.paired[0].path


def _of_binary(tree: Tree, found: Pairing, masks: binary.Masks, tables: Sequence[Table]) -> Draft:
    having = {*masks.of}
    pictures = [picture for picture in found.images.pictures if picture.path in having]
    division = divide(tree, found.images.pictures, having)
    inner = Pairing(found.images, found.labels, masks.of)
    entries = Places(tree, inner, division).entries("binary", masks.folders)
    rows, source = binary.classes(masks, tables)
    return Draft(
        f"binary masks, one for each of {counted(len(masks.names), 'class', 'classes')}: "
        f"{counted(len(pictures), 'image')} of {found.images.name}",
        (
            *entries.entries,
            Entry("background", "background", ("What no mask covers is a class of its own; `ignore` would leave it out.",)),
        ),
        Classes(rows, (), source),
        tuple(_notes(tree, inner)),
        entries.lists,
        _pictures(tree, inner, division),
    )


class Written:
    """Entries of the file about images, labels and splits, and the lists that they name."""

    def __init__(self, entries: Iterable[Entry], lists: dict[str, list[tuple[Place, ...]]]) -> None:
        self.entries, self.lists = tuple(entries), lists


class Places:
    """Says in a dataset's file where images and labels are: by folders, globs and patterns, else by lists."""

    def __init__(self, tree: Tree, found: Pairing, division: Division) -> None:
        self.tree, self.found, self.division = tree, found, division
        self.lists: dict[str, list[tuple[Place, ...]]] = {}

    def entries(self, kind: str, folders: dict[str, str] | None = None) -> Written:
        """Write images, labels and splits. `folders`: of binary masks, by the split of their images."""
        self.folders = folders or {}
        if self.division.kind == "folders":
            return Written(self._by_folders(kind), self.lists)
        images = [picture for picture in self.found.images.pictures if self._belongs(picture)]
        files, labels, comment = self._files(images, "")
        label: dict[str, object] = {"kind": kind, **({"path": labels} if labels else {})}
        entries = [Entry("images", files, comment), Entry("labels", label), *self._missing(images)]
        if self.division.kind == "lists":
            lists = {split: Place(file) for split, file in self.division.lists.items()}
            if self.division.val == "test":
                lists["val"] = lists.pop("test")
            entries.append(Entry("splits", lists, (f"From {self.division.why}.",)))
        else:
            splits = {"percent": {"train": 80, "val": 20}, "seed": 0}
            more = {"group": self.division.group} if self.division.group else {}
            why = f"No folders and no lists divide the images: 80 % train, 20 % validate; {self.division.why}."
            entries.append(Entry("splits", {**splits, **more}, (why,)))
        return Written(entries, self.lists)

    def _belongs(self, picture: Picture) -> bool:
        """Tell whether an image counts where one list of images is divided: not those of a test without labels."""
        labeled = {p.split for p in self.found.paired}
        return picture.split in labeled

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
            Entry("splits", splits, (f"From {self.division.why}.",)),
        ]

    def _missing(self, images: Sequence[Picture]) -> list[Entry]:
        without = [picture.path for picture in images if not self.found.of.get(picture.path)]
        if not without or "images" in self.lists:
            return []
        return [Entry("missing", "skip", (f"{counted(len(without), 'image has', 'images have')} no label: {named(without)}",))]

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
        rows = [tuple(Place(path) for path in (p.path, *self.found.of.get(p.path, ())[:1])) for p in images]
        self.lists[ending] = rows
        return ListFile(ending), None, ("No folder or glob holds just the images: a list names them, with their labels.",)

    def _labels(self, paired: Sequence[Picture], split: str, chosen: Sequence[str] | None) -> object:
        if self.folders:
            own = [folder for of, folder in self.folders.items() if of == split] or [*self.folders.values()]
            return Place(common_folder([f"{folder}/." for folder in own]) or ".")
        assert self.found.labels is not None
        labels = [self.found.of[picture.path][0] for picture in paired]
        folder = common_folder(labels)
        home = _home(chosen) if chosen else common_folder([picture.path for picture in paired])
        if self._whole(folder, self.found.labels) and _same_names(paired, labels, home, folder):
            return Place(folder or ".")
        if written := pattern(paired, labels, home):
            return Place(written)
        return None


    def _whole(self, folder: str, stream: Stream) -> bool:
        """Tell whether a folder holds labels of one stream alone."""
        of_stream = {picture.path for picture in stream.pictures}
        inside = [path for path in self.tree.pictures if not folder or path.startswith(folder + "/")]
        return all(path in of_stream for path in inside)


def _home(chosen: Sequence[str]) -> str:
    """Give the folder from which the paths of images count: that of a folder or of a glob in front of its wildcard."""
    first = chosen[0]
    return "" if first == "." else common_folder([first]) if "*" in first and "**" not in first else first.partition("/**")[0]


def _same_names(images: Sequence[Picture], labels: Sequence[str], home: str, folder: str) -> bool:
    """Tell whether labels are called as their images, by path or by a name that no other has."""
    stems = [PurePosixPath(label).stem for label in labels]
    if any(PurePosixPath(p.path).stem != stem for p, stem in zip(images, stems, strict=True)):
        return False
    if len({*stems}) == len(stems):
        return True
    inside = [PurePosixPath(p.path).relative_to(home or ".").with_suffix("") for p in images]
    below = [PurePosixPath(label).relative_to(folder or ".").with_suffix("") for label in labels]
    return inside == below


def _one_or_more(chosen: Sequence[str]) -> object:
    places = [Place(one) for one in chosen]
    return places[0] if len(places) == 1 else places
