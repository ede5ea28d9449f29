"""Exports of annotation tools: COCO, LabelMe, CVAT, YOLO-seg, Supervisely, Label Studio, Cityscapes' polygons."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from datasets.own.kinds import KINDS
from datasets.own.objects import Annotated, ClassFound, Evidence, Export
from datasets.own.raster import area
from datasets.own.recognize.divide import Division, divide
from datasets.own.recognize.draft import Draft, Entry, Place
from datasets.own.recognize.pairs import Picture, read_name
from datasets.own.recognize.selection import select
from datasets.own.recognize.tree import Tree, common_folder, named, some
from datasets.own.recognize.values import Classes, Row
from datasets.own.recognize.vocabulary import is_void, part_of, split_of_list
from datasets.own.shapes import Remarks
from utils.errors import UserError
from utils.plural import counted

_DENSE = 0.9  # share of an image that objects cover where people labeled all of it
_LOOKED_AT = 8
_IN_ONE_FILE = ("coco", "cvat", "labelstudio")  # the others have a file for each image
Progress = Callable[[Sequence[str], str], Iterable[str]]


class Labels(NamedTuple):
    """Where a tool's labels are: {split: path}, "" for those of no split."""

    kind: str
    export: Export
    places: Mapping[str, str]
    evidence: Evidence


def draft(tree: Tree, exports: Mapping[str, Export], progress: Progress) -> Draft | None:
    """Find a tool's export; None where there is none. UserError for one that cannot be read."""
    found = find(tree, exports)
    if found is None:
        return None
    pictures = _images(tree, found)
    if not pictures:
        raise UserError(f"{tree.root}: {found.evidence.why}, but there is no picture: put the images beside it")
    classes, covered = _classes(tree, found, progress)
    places, division = _places(tree, found, pictures)
    background = _background(found, classes, covered)
    return Draft(
        f"{counted(len(pictures), 'image')}; {found.evidence.why}",
        (*places, *background.entries, *_overlap(found.kind)),
        background.classes,
        _notes(tree, found),
        {},
        _first_look(tree, pictures, division),
    )


def find(tree: Tree, exports: Mapping[str, Export]) -> Labels | None:
    """Find the first format that a folder looks like, and its files by split."""
    for kind, export in exports.items():
        evidence = export.looks_like(str(tree.root))
        if evidence is not None:
            return Labels(kind, export, _label_places(tree, kind, export, evidence), evidence)
    return None


def _label_places(tree: Tree, kind: str, export: Export, evidence: Evidence) -> dict[str, str]:
    """Find the labels of each split: by the words of their folders and, where one file holds all, of their names."""
    if kind in _IN_ONE_FILE:
        by_split: dict[str, list[str]] = defaultdict(list)
        for file in _files_like(tree, kind, evidence.path):
            by_split[_split_of(file)].append(file)
        if {"train", "val"} <= {*by_split} or {"train", "test"} <= {*by_split}:
            return {split: _preferred(files) for split, files in by_split.items() if split}
        return {"": evidence.path}
    suffixes = KINDS[kind].suffixes
    by_folder: dict[str, list[str]] = defaultdict(list)
    for file in tree.files:
        if file.lower().endswith(suffixes) and "/" in file:
            by_folder[_split_of(file.rpartition("/")[0] + "/.")].append(file)
    folders = {split: common_folder(files) for split, files in by_folder.items() if split}
    folders = {split: top for split, top in folders.items() if export.looks_like(str(tree.path(top)))}
    if {"train", "val"} <= {*folders} or {"train", "test"} <= {*folders}:
        return folders
    return {"": evidence.path}


def _notes(tree: Tree, found: Labels) -> tuple[str, ...]:
    """Say which further labels of the same tool are there, and not used."""
    used = [*found.places.values()]
    if found.kind in _IN_ONE_FILE:
        left = [file for file in _files_like(tree, found.kind, found.evidence.path) if file not in used]
    else:
        suffixes = KINDS[found.kind].suffixes
        folders = {str(PurePosixPath(file).parent) for file in tree.files if file.lower().endswith(suffixes)}
        outside = [one for one in sorted(folders) if not any(_below(one, place) for place in used)]
        left = [one for one in outside if found.export.looks_like(str(tree.path(one)))]
    cure = "name them in `labels: path: [...]`, or make a file of each and one of `sets`"
    return (f"not used: {counted(len(left), 'further place')} of labels, {named(left)}: {cure}",) if left else ()


def _below(folder: str, place: str) -> bool:
    return place in ("", ".") or folder == place or folder.startswith(f"{place}/")


def _files_like(tree: Tree, kind: str, first: str) -> list[str]:
    """List files of the first one's kind: of the same suffix, with the same words in their names or in its folder."""
    suffix = PurePosixPath(first).suffix
    words = {"coco": (b'"annotations"', b'"categories"', b'"images"'), "cvat": (b"<annotations>", b"<image ")}.get(kind)
    found = [file for file in tree.with_suffix(suffix) if words is None or _holds(tree, file, words)]
    return found or [first]


def _holds(tree: Tree, file: str, words: Iterable[bytes]) -> bool:
    from datasets.own.jsonfile import ends

    text = ends(tree.path(file))
    return all(word in text for word in words)


def _preferred(files: Sequence[str]) -> str:
    """Choose among files of one split: COCO's instances, not its key points."""
    return next((file for file in files if "instances" in file), files[0])


def _split_of(file: str) -> str:
    """Read the split of a file in its folders, else in its name: instances_train2017.json."""
    where = PurePosixPath(file)
    folders = [split for name in where.parts[:-1] if (split := part_of(name).split)]
    if folders:
        return folders[-1]
    words = where.stem.replace("-", "_").split("_")
    return next((split for word in words if (split := split_of_list(word.rstrip("0123456789")))), "")


def _images(tree: Tree, found: Labels) -> list[Picture]:
    """List the images of an export: those of its folder, else all that names do not call something else."""
    pictures = [read_name(path) for path in tree.pictures]
    folder = found.evidence.images
    inside = [p for p in pictures if folder not in (None, ".", "") and p.path.startswith(f"{folder}/")]
    if inside and "" in found.places:
        return inside
    return [p for p in pictures if p.role in ("image", "")] or [p for p in pictures if p.role != "other"]


def _classes(tree: Tree, found: Labels, progress: Progress) -> tuple[list[ClassFound], float]:
    """Read the classes of all files with their objects, and what share of an image objects cover."""
    every: dict[str | int, ClassFound] = {}
    covered: list[float] = []
    for place in progress([*found.places.values()], "annotations"):
        path = str(tree.path(place))
        for one in found.export.classes_of(path):
            key = one.name or one.id or 0
            before = every.get(key)
            every[key] = one._replace(count=one.count + (before.count if before else 0))
        images = some(found.export.read([path], path).images, _LOOKED_AT)
        covered += [share for one in images if (share := _covered(found, one))]
    return [*every.values()], sorted(covered)[len(covered) // 2] if covered else 0.0


def _covered(found: Labels, one: Annotated) -> float:
    """Estimate what share of an image its objects cover, each counted by itself; 0 where its size is not known."""
    if not one.size:
        return 0.0
    shapes = found.export.shapes(one.data, one.size, one.where, Remarks())
    return sum(area(shape) for shape in shapes) / (one.size[0] * one.size[1])


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
    source = f"as the annotations name them ({', '.join(found.places.values())})"
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
    labels = Entry("labels", {"kind": found.kind, "path": Place(found.places[""] or ".")}, (f"{found.evidence.why}.",))
    if division.kind == "folders":
        splits = {
            "val" if split == division.val else split: {
                "images": _chosen(tree, [p for p in pictures if p.split == split])
            }
            for split in ("train", division.val)
        }
        return (labels, skip, Entry("splits", splits, (_sentence(division.why),))), division
    images = Entry("images", _chosen(tree, pictures))
    if division.kind == "lists":
        lists = {"train": Place(division.lists["train"]), "val": Place(division.lists[division.val])}
        return (images, labels, skip, Entry("splits", lists, (_sentence(division.why),))), division
    group = {"group": division.group} if division.group else {}
    why = f"No folders and no lists divide the images: 80 % train, 20 % validate; {division.why}."
    splits = {"percent": {"train": 80, "val": 20}, "seed": 0, **group}
    return (images, labels, skip, Entry("splits", splits, (why,))), division


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
        splits[name] = {"images": _chosen(tree, own), "labels": Place(found.places[split])}
    why = f"The files of annotations name them: {named(f'{place} ({split})' for split, place in found.places.items())}."
    skip = Entry("missing", "skip", ("Images without annotation are left out; the log says how many.",))
    return (Entry("labels", {"kind": found.kind}), skip, Entry("splits", splits, (why,)))


def _chosen(tree: Tree, pictures: Sequence[Picture]) -> object:
    """Name images by a folder or globs that hold no others, else by all folders that they lie in."""
    paths = [picture.path for picture in pictures]
    chosen = select(paths, tree.pictures) or sorted({str(PurePosixPath(path).parent) for path in paths})
    places = [Place(one) for one in chosen]
    return places[0] if len(places) == 1 else places


def _first_look(tree: Tree, pictures: Sequence[Picture], division: Division) -> str:
    """Choose pictures for masks after the training: those that validate, else all."""
    val = [picture for picture in pictures if picture.split == division.val]
    chosen = _chosen(tree, val or pictures)
    return chosen if isinstance(chosen, Place) and "*" not in chosen else pictures[0].path
