"""Where a tool's labels lie: all files or folders of one kind whose classes and images agree, by split."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import NamedTuple

from datasets.collecting import collected
from datasets.own import coco, cvat, labelstudio
from datasets.own.contract import Picture as Listed
from datasets.own.kinds import KINDS
from datasets.own.matching import matched
from datasets.own.objects import Annotations, Evidence, Export
from datasets.own.recognize.pairs import Picture, read_name
from datasets.own.recognize.tree import Tree, common_folder
from datasets.own.recognize.vocabulary import part_of, split_of_list
from datasets.own.shapes import Remarks
from utils.errors import UserError
from utils.names import shown

# What tells files that have the labels of many images; the other kinds have a file for each image.
IN_ONE_FILE = {"coco": coco.is_file, "cvat": cvat.is_file, "labelstudio": labelstudio.is_file}
_TOPS = {"yolo": "labels", "cityscapes": "gtFine"}  # folders that hold labels in any depth


class Labels(NamedTuple):
    """Where a tool's labels are: {split: places}, "" for those of no split, and what was read there.

    `left`: places that are not used, with the reason.
    """

    kind: str
    export: Export
    places: Mapping[str, tuple[str, ...]]
    evidence: Evidence
    read: Mapping[str, Annotations]
    left: tuple[str, ...] = ()

    @property
    def every(self) -> list[str]:
        """All places that are used."""
        return [place for places in self.places.values() for place in places]


def find(tree: Tree, exports: Mapping[str, Export]) -> Labels | None:
    """Find the first format that a folder looks like, and all of its files that fit together, by split.

    UserError for files that cannot be read.
    """
    looks = {kind: evidence for kind, one in exports.items() if (evidence := one.looks_like(str(tree.root)))}
    if not looks:
        return None
    (kind, evidence), *others = looks.items()
    choices, left = _choices(tree, kind, exports[kind], evidence)
    places: dict[str, tuple[str, ...]] = {}
    read: dict[str, Annotations] = {}
    for split, some in choices.items():
        pictures = images(tree, evidence, {split: some}, split)
        places[split], read[split], more = _fitting(tree, exports[kind], some, pictures)
        left += more
    first = next(iter(places.values()))[0]
    evidence = evidence._replace(why=evidence.why.replace(f"{evidence.path} ", f"{first} ", 1))
    left += [f"{one.path} ({other}: {one.why})" for other, one in others]
    return Labels(kind, exports[kind], places, evidence, read, tuple(left))


def images(tree: Tree, evidence: Evidence, places: Mapping[str, Sequence[str]], split: str = "") -> list[Picture]:
    """List the images of an export: those of its folders, else all that names do not call something else.

    `split`: those of a split alone, where folders name it.
    """
    pictures = [read_name(path) for path in tree.pictures]
    if "" in places and (folders := _image_folders(evidence, places[""])):
        if inside := [p for p in pictures if any(_below(p.path, folder) for folder in folders)]:
            return inside
    found = [p for p in pictures if p.role in ("image", "")] or [p for p in pictures if p.role != "other"]
    return [picture for picture in found if split and picture.split == split] or found


def _image_folders(evidence: Evidence, places: Sequence[str]) -> list[str]:
    """Find the folders of images of places of labels, as that of the first lies to it; none where this is unclear."""
    labels, folder = PurePosixPath(evidence.path), evidence.images
    if folder in (None, ".", ""):
        return []
    if [*places] == [evidence.path]:
        return [folder]
    if folder == evidence.path:
        return [*places]
    beside = PurePosixPath(folder).name
    if str(labels.with_name(beside)) != folder:
        return []
    return [str(PurePosixPath(place).with_name(beside)) for place in places]


def _below(path: str, folder: str) -> bool:
    return folder in ("", ".") or path == folder or path.startswith(f"{folder}/")


def _choices(tree: Tree, kind: str, export: Export, evidence: Evidence) -> tuple[dict[str, list[str]], list[str]]:
    """List the places of labels by split, the most likely first, and those that no split has room for."""
    found = _files(tree, kind, evidence.path) if kind in IN_ONE_FILE else _by_folder(tree, kind, export)
    if not ({"train", "val"} <= {*found} or {"train", "test"} <= {*found}):
        every = [place for places in found.values() for place in places]
        if kind not in IN_ONE_FILE:
            every = _tops(tree, kind, export, evidence.path)
        return {"": sorted(every, key=lambda place: ("instances" not in place, place != evidence.path))}, []
    left = [f"{place} (it names no split, others do)" for place in found.pop("", [])]
    return {split: sorted(places, key=lambda place: "instances" not in place) for split, places in found.items()}, left


def _files(tree: Tree, kind: str, first: str) -> dict[str, list[str]]:
    """List files of the first one's kind by split: of the same suffix, with the same words in them."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in tree.with_suffix(PurePosixPath(first).suffix):
        if IN_ONE_FILE[kind](tree.path(file)):
            found[split_of(file)].append(file)
    return dict(found) or {split_of(first): [first]}


def _by_folder(tree: Tree, kind: str, export: Export) -> dict[str, list[str]]:
    """List folders of label files by the split that they name: below each folder that names it, what files share."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file in tree.with_suffix(*KINDS[kind].suffixes):
        parts = PurePosixPath(file).parts[:-1]
        named = [i for i, name in enumerate(parts) if part_of(name).split]
        if named:
            groups[part_of(parts[named[-1]]).split, "/".join(parts[: named[-1] + 1])].append(file)
    found: dict[str, list[str]] = defaultdict(list)
    for (split, _), files in groups.items():
        if export.looks_like(str(tree.path(place := common_folder(files)))):
            found[split].append(place)
    return dict(found)


def _tops(tree: Tree, kind: str, export: Export, first: str) -> list[str]:
    """List the folders of label files, none below another; one above all where nothing else lies there."""
    own: dict[str, bool] = {}  # folder: its own files are labels
    tops = {first: None}
    for folder in sorted({str(PurePosixPath(file).parent) for file in tree.with_suffix(*KINDS[kind].suffixes)}):
        evidence = export.looks_like(str(tree.path(folder)))
        own[folder] = evidence is not None and evidence.path == "."
        if evidence is not None:
            place = _cut(os.path.normpath(os.path.join(folder, evidence.path)), _TOPS.get(kind, ""))
            if not any(_below(place, top) for top in tops):
                tops[place] = None
    common = common_folder(f"{top}/file" for top in tops) or "."
    if kind == "labelme" and all(mine for folder, mine in own.items() if _below(folder, common)):
        return [common]
    return [*tops]


def _cut(place: str, name: str) -> str:
    """Cut a path behind the part that is called `name`, where it has one."""
    parts = PurePosixPath(place).parts
    return "/".join(parts[: parts.index(name) + 1]) if name in parts else place


def _fitting(
    tree: Tree, export: Export, places: Sequence[str], pictures: Sequence[Picture]
) -> tuple[tuple[str, ...], Annotations, list[str]]:
    """Read places that have one table of classes and no image twice: (these, what they hold, the others with reasons).

    UserError where the first cannot be read.
    """
    listed = [Listed(str(tree.path(picture.path)), picture.path) for picture in pictures]
    used, left = [places[0]], list[str]()
    whole = export.read([str(tree.path(places[0]))], str(tree.path(places[0])))
    if not whole.images and (whole.bad or whole.partly) and (gathered := collected()):
        bad = next(iter(gathered.bad))
        raise UserError(f"no annotation can be read in {places[0]}: {bad.file} {bad.what}")
    if len(places) > 1:
        matched(whole.images, listed, Remarks())  # otherwise the others would be blamed for it
    for place in places[1:]:
        try:
            more = _joined(whole, export.read([str(tree.path(place))], place))
            matched(more.images, listed, Remarks())
        except UserError as error:
            left.append(f"{place} ({str(error).replace(f'{tree.root}/', '')})")
            continue
        used, whole = [*used, place], more
    if len(used) > 1:  # a table of names may be of several places
        whole = export.read([str(tree.path(place)) for place in used], str(tree.root))
    return tuple(used), whole, left


def _joined(one: Annotations, other: Annotations) -> Annotations:
    """Put what two places hold together. UserError where their tables of classes do not agree."""
    names = {number: name for name, (number, _) in one.declared.items() if number is not None}
    for name, (number, _) in other.declared.items():
        before = one.declared.get(name, (number, None))[0]
        if before != number:
            raise UserError(f"class {shown(name)!r} has the number {number}, in others {before}")
        if number is not None and names.get(number, name) != name:
            raise UserError(f"class {shown(name)!r} has the number {number}, in others {shown(names[number])!r} has it")
    return replace(one, images=[*one.images, *other.images], declared={**other.declared, **one.declared})


def split_of(file: str) -> str:
    """Read the split of a file in its folders, else in its name: instances_train2017.json."""
    where = PurePosixPath(file)
    folders = [split for name in where.parts[:-1] if (split := part_of(name).split)]
    if folders:
        return folders[-1]
    words: Iterable[str] = where.stem.replace("-", "_").split("_")
    return next((split for word in words if (split := split_of_list(word.rstrip("0123456789")))), "")
