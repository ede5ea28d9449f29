"""Exports of annotation tools: COCO, LabelMe, CVAT, YOLO-seg, Supervisely, Label Studio, Cityscapes' polygons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from datasets.collecting import tolerated
from datasets.own.objects import Annotated, ClassFound, Export
from datasets.own.raster import area
from datasets.own.recognize.divide import Division, divide
from datasets.own.recognize.draft import Draft, Entry, ListFile, Place
from datasets.own.recognize.exports import Labels, find, images
from datasets.own.recognize.grouping import by_percent
from datasets.own.recognize.pairs import Picture
from datasets.own.recognize.selection import select
from datasets.own.recognize.tree import Tree, named, some
from datasets.own.recognize.values import Classes, Row
from datasets.own.recognize.vocabulary import is_void
from datasets.own.shapes import Remarks
from utils.errors import UserError
from utils.plural import counted

_DENSE = 0.9  # share of an image that objects cover where people labeled all of it
_LOOKED_AT = 8
Progress = Callable[[Sequence[str], str], Iterable[str]]


class NoAreaError(UserError):
    """An export of boxes or points alone."""


def draft(tree: Tree, exports: Mapping[str, Export], progress: Progress) -> Draft | None:
    """Find a tool's export; None where there is none.

    UserError for one that cannot be read, NoAreaError for one of which no object covers pixels.
    """
    found = find(tree, exports)
    if found is None:
        return None
    pictures = images(tree, found.evidence, found.places)
    if not pictures:
        raise UserError(f"{tree.root}: {found.evidence.why}, but there is no picture: put the images beside it")
    remarks = Remarks()
    classes, covered = _classes(found, progress, remarks)
    if not any(one.count for one in classes):
        why = "; ".join(remarks.lines()) or "it has no object"
        raise NoAreaError(
            f"{tree.root}: {found.evidence.why}, but no object covers pixels, so that nothing can be learned: {why}"
        )
    places, division = _places(tree, found, pictures)
    background = _background(found, classes, covered)
    further = len(found.every) - len(found.places)
    more = f" (and {counted(further, 'more place', 'more places')})" if further else ""
    return Draft(
        f"{counted(len(pictures), 'image')}; {found.evidence.why}{more}",
        (*places, *background.entries, *_overlap(found.kind)),
        background.classes,
        (*_notes(found, remarks), *_alike(classes), *_other_pictures(tree, pictures), *division.notes),
        {}
        if division.plain
        else {split: [(Place(p.path),) for p in listed] for split, listed in division.listed.items()},
        _first_look(tree, pictures, division),
    )


def _notes(found: Labels, remarks: Remarks) -> tuple[str, ...]:
    """Say which further labels are there and not used, and which objects are none of pixels."""
    cure = "make a file of each of these (its folder, or what is left when the others are moved away) and one of `sets`"
    left = [f"not used: labels in {named(found.left)}: {cure}"] if found.left else []
    of_reading = dict.fromkeys(line for read in found.read.values() for line in read.remarks.lines())
    return (*left, *of_reading, *remarks.lines())


def _alike(classes: Sequence[ClassFound]) -> tuple[str, ...]:
    """Say which classes differ in capitals and blanks alone."""
    known: dict[str, str] = {}
    pairs = [
        f"{other!r} and {one.name!r}"
        for one in classes
        if (other := known.setdefault(one.name.strip().casefold(), one.name)) != one.name
    ]
    return (f"classes called almost alike: {named(pairs)}; if they are one, `merge` them",) if pairs else ()


def _other_pictures(tree: Tree, images: Sequence[Picture]) -> tuple[str, ...]:
    """Say which pictures are none of the images: labels as pictures, for instance."""
    used = {picture.path for picture in images}
    left = [path for path in tree.pictures if path not in used]
    folders = dict.fromkeys(str(PurePosixPath(path).parent) for path in left)
    return (f"not used: {counted(len(left), 'picture')} in {named(folders)}",) if left else ()


def _classes(found: Labels, progress: Progress, remarks: Remarks) -> tuple[list[ClassFound], float]:
    """Read the classes of all files with their objects, and what share of an image objects cover."""
    every: dict[str | int, ClassFound] = {}
    covered: list[float] = []
    for split in progress([*found.read], "annotations"):
        read = found.read[split]
        for one in found.export.classes_of(read, remarks):
            key = one.name or one.id or 0
            before = every.get(key)
            every[key] = one._replace(count=one.count + (before.count if before else 0))
        covered += [share for one in some(read.images, _LOOKED_AT) if (share := _covered(found, one))]
    return [*every.values()], sorted(covered)[len(covered) // 2] if covered else 0.0


def _covered(found: Labels, one: Annotated) -> float:
    """Estimate what share of an image its objects cover, each counted by itself; 0 where its size is not known."""
    if not one.size:
        return 0.0
    with tolerated(one.file):
        shapes = found.export.shapes(one.data, one.size, one.where, Remarks())
        return sum(area(shape) for shape in shapes) / (one.size[0] * one.size[1])
    return 0.0


class Background(NamedTuple):
    """Classes of the file, and entries about what no object covers."""

    classes: Classes
    entries: tuple[Entry, ...]


def _background(found: Labels, classes: Sequence[ClassFound], covered: float) -> Background:
    """Decide what lies around objects: nothing that counts where people labeled all of an image, else a class."""
    void = [one.name for one in classes if one.name and is_void(one.name)]
    rows = _rows([one for one in classes if one.name not in void])
    why = tuple(f"{name!r}: drawn, but not a class by its name" for name in void)
    there = next((row.name for row in rows if row.name.lower() in ("background", "_background_")), "")
    rows = [row._replace(off=row.off and row.name != there) for row in rows]
    dense = covered >= _DENSE and sum(not row.off for row in rows) > 1 and not there
    if dense:
        share = min(100, round(100 * covered))
        word, note = "ignore", f"Objects cover about {share} % of an image: the rest is not labeled, and is ignored."
    else:
        word = there or "background"
        note = "What no object covers is a class of its own; `ignore` would leave it out of training and scores."
    if not dense and not there:
        free = max((one.id for one in classes if one.id is not None), default=-1) + 1
        with_ids = any(row.id is not None for row in rows)
        rows = [Row("background", free if with_ids else None, None, "what no object covers"), *rows]
    source = f"as the annotations name them ({named(found.every)})"
    return Background(Classes(tuple(rows), tuple(void), source, why), (Entry("background", word, (note,)),))


def _rows(classes: Sequence[ClassFound]) -> list[Row]:
    """Write classes with their colors, where each has its own; one without objects is a comment alone."""
    ids = any(not one.name for one in classes)  # a number alone, as YOLO has it where nothing names its classes
    colors = len({one.color for one in classes}) == len(classes)
    return [
        Row(
            one.name or f"class_{one.id}",
            one.id if ids else None,
            one.color if colors else None,
            counted(one.count, "object"),
            not one.count,
        )
        for one in classes
    ]


def _overlap(kind: str) -> tuple[Entry, ...]:
    """Choose which object is on top where the order of a file means nothing."""
    if kind not in ("coco", "yolo"):
        return ()
    return (
        Entry("overlap", "smallest", ("The order of objects means nothing in these files: smaller ones are on top.",)),
    )


def _places(tree: Tree, found: Labels, pictures: Sequence[Picture]) -> tuple[tuple[Entry, ...], Division]:
    """Say in the file where images and labels are, and how they are divided."""
    division = divide(tree, pictures, [picture.path for picture in pictures])
    skip = Entry("missing", "skip", ("Images without annotation are left out; the log says how many.",))
    if "" not in found.places:
        return _by_labels(tree, found, pictures), Division(
            "folders", "", val="val" if "val" in found.places else "test"
        )
    labels = Entry("labels", {"kind": found.kind, "path": _one_or_more(found.places[""])}, (f"{found.evidence.why}.",))
    if division.kind == "folders":
        of = {split: [p for p in pictures if p.split == split] for split in ("train", "val", "test")}
        splits = {
            "val" if split == division.val else split: {"images": _chosen(tree, ones)}
            for split, ones in of.items()
            if ones
        }
        return (labels, skip, Entry("splits", splits, (_sentence(division.why),))), division
    images = Entry("images", _chosen(tree, pictures))
    if division.kind == "lists" and not division.plain:
        lists = {"val" if split == division.val else split: ListFile(split) for split in ("train", division.val)}
        why = f"{_sentence(division.why)} Their lines name images by paths of another place: written anew here."
        return (labels, skip, Entry("splits", lists, (why,))), division
    if division.kind == "lists":
        lists = {"train": Place(division.lists["train"]), "val": Place(division.lists[division.val])}
        return (images, labels, skip, Entry("splits", lists, (_sentence(division.why),))), division
    splits = by_percent(division.group, division.why, [picture.path for picture in pictures])
    return (images, labels, skip, Entry("splits", *splits)), division


def _sentence(why: str) -> str:
    return f"{why[:1].upper()}{why[1:]}."


def _by_labels(tree: Tree, found: Labels, pictures: Sequence[Picture]) -> tuple[Entry, ...]:
    """Write splits by the labels of each: with the images of the split's folder, or all where folders name none."""
    splits: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        if split not in found.places:
            continue
        own = [picture for picture in pictures if picture.split == split] or list(pictures)
        name = "val" if split == "test" and "val" not in found.places else split
        splits[name] = {"images": _chosen(tree, own), "labels": _one_or_more(found.places[split])}
    every = (f"{place} ({split})" for split, places in found.places.items() for place in places)
    why = f"The files of annotations name them: {named(every)}."
    skip = Entry("missing", "skip", ("Images without annotation are left out; the log says how many.",))
    return (Entry("labels", {"kind": found.kind}), skip, Entry("splits", splits, (why,)))


def _chosen(tree: Tree, pictures: Sequence[Picture]) -> object:
    """Name images by a folder or globs that hold no others, else by all folders that they lie in."""
    paths = [picture.path for picture in pictures]
    chosen = select(paths, tree.pictures) or sorted({str(PurePosixPath(path).parent) for path in paths})
    return _one_or_more(chosen)


def _one_or_more(chosen: Sequence[str]) -> object:
    places = [Place(one or ".") for one in chosen]
    return places[0] if len(places) == 1 else places


def _first_look(tree: Tree, pictures: Sequence[Picture], division: Division) -> str:
    """Choose pictures for masks after the training: those that validate, else all."""
    val = [picture for picture in pictures if picture.split == division.val]
    chosen = _chosen(tree, val or pictures)
    return chosen if isinstance(chosen, Place) and "*" not in chosen else pictures[0].path
