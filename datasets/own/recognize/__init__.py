"""From a folder to a dataset's file: what lies there, how it is labeled, and which classes there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from datasets.own import yolo
from datasets.own.kinds import EXPORTS
from datasets.own.recognize import masks, objects, published
from datasets.own.recognize.draft import Draft
from datasets.own.recognize.names import tables
from datasets.own.recognize.pairs import pair
from datasets.own.recognize.tree import Tree, named
from datasets.own.recognize.writing import Writer
from media.files import EXTENSIONS
from utils.errors import UserError

__all__ = ["Draft", "Writer", "recognize"]

_UNREAD = (".gif", ".npy", ".npz", ".mat", ".svg")
_LOOKED_FOR = (
    "published trees; exports of COCO, LabelMe, CVAT, YOLO-seg, Supervisely and Label Studio; images with labels of "
    "the same names in gray, palette, RGB or binary PNG files"
)


def recognize(folder: Path, progress: Callable[[Sequence[str], str], Iterable[str]]) -> Draft:
    """Find out what a folder is. `progress(paths, what)` passes paths through and shows how far it is.

    UserError, with what was looked for and what was found, where it is nothing that can be trained on.
    """
    tree = Tree.of(folder)
    if not tree.pictures:
        raise UserError(f"{folder} holds no picture ({', '.join(EXTENSIONS)}); found there: {tree.summary()}")
    draft = published.draft(tree) or _by_labels(tree, progress)
    if draft is None:
        raise UserError(f"{folder}: {_nearest(tree)}; found there: {tree.summary()}; looked for: {_LOOKED_FOR}")
    return draft


def _by_labels(tree: Tree, progress: Callable[[Sequence[str], str], Iterable[str]]) -> Draft | None:
    """Try tools' exports first: what they wrote says more than pictures do. Polygons as of Cityscapes come last."""
    known = tables(tree)
    last = {"cityscapes": EXPORTS["cityscapes"]}
    first = {kind: export for kind, export in EXPORTS.items() if kind not in last}
    try:
        if found := objects.draft(tree, first, progress):
            return found
    except objects.NoAreaError as error:
        try:
            beside = masks.draft(tree, known, progress)
        except UserError:
            beside = None
        if beside is None:
            raise
        return replace(beside, notes=(*beside.notes, f"not used: {error}"))
    return masks.draft(tree, known, progress) or objects.draft(tree, last, progress)


def _nearest(tree: Tree) -> str:
    """Say what comes nearest to a data set here."""
    found = pair(tree)
    if found is None:
        return (
            f"all of its pictures look like labels ({tree.pictures[0]} first): give the folder that has the images too"
        )
    if found.labels is None and not found.unused:
        other = sorted({suffix for file in tree.files if (suffix := PurePosixPath(file).suffix.lower()) in _UNREAD})
        cure = f"; {', '.join(other)} files are not read: save labels as PNG" if other else ""
        if boxes := yolo.boxes_alone(str(tree.root)):
            cure = f"; {boxes} has boxes (YOLO), which cover no pixels that could be learned: export polygons or masks"
        return f"images without labels{cure}"
    if found.labels is None:
        first = found.images.pictures[0].path
        return (
            f"images ({found.images.name}, for instance {first}) and other pictures ({named(found.unused)}), but none "
            "is called as an image is"
        )
    return "images with labels that hold no classes"
