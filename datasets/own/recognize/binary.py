"""Binary masks: a picture for each class of an image, told apart by a folder or by the end of the name."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from datasets.collecting import tolerated
from datasets.own.recognize.looks import look
from datasets.own.recognize.names import Table
from datasets.own.recognize.pairs import Pairing, Picture, read_name
from datasets.own.recognize.tree import Tree, common_folder, some
from datasets.own.recognize.values import Row
from datasets.own.recognize.vocabulary import part_of, stem_of
from utils.errors import UserError

_LOOKED_AT = 24
_MOST_CLASSES = 100
# Of a smooth mask: how far from 0 and 255 the two values are that this share of the pixels has at least, and how many
# values lie between them: ids are few, or have a larger share. JPEG, which can hold no ids, may have none.
_NEAR, _FLAT, _BETWEEN = 8, 0.85, 4


class Masks(NamedTuple):
    """Masks of images. `of`: the masks of each image; `names`: the classes, with how many masks each has.

    `folders`: where they lie, by the split of their images. `smooth`: one that has values between 0 and 255, or "".
    """

    of: dict[str, tuple[str, ...]]
    names: Counter[str]
    folders: dict[str, tuple[str, ...]]
    smooth: str = ""


def find(tree: Tree, pairing: Pairing) -> Masks | None:
    """Find binary masks of several classes; None where labels are something else."""
    images = pairing.images.pictures
    masks = [read_name(path) for path in tree.pictures if path not in {picture.path for picture in images}]
    masks = [mask for mask in masks if mask.role == "label"] or masks
    owner: dict[str, list[Picture]] = defaultdict(list)
    for image in images:
        for name in {image.key, PurePosixPath(image.path).stem} - {""}:
            owner[name].append(image)
    for way in (_by_folder, _by_end, _by_image):
        found = _gathered(masks, owner, way)
        if found and (kinds := _kinds(tree, found)) is not None:
            return found._replace(smooth=next((path for path, kind in kinds.items() if kind == "smooth"), ""))
    return None


Owners = Mapping[str, Sequence[Picture]]  # images by their names
Way = Callable[[PurePosixPath, Owners], Iterator[tuple[str, str]]]


def _by_folder(path: PurePosixPath, owner: Owners) -> Iterator[tuple[str, str]]:
    """Read masks/<class>/<image>.png: (the image's name, the class)."""
    for name in (path.stem, stem_of(path.stem).key):
        if name in owner:
            yield name, path.parent.name


def _by_end(path: PurePosixPath, owner: Owners) -> Iterator[tuple[str, str]]:
    """Read masks/<image>_<class>.png."""
    parts = path.stem.split("_")
    for count in range(len(parts) - 1, 0, -1):
        if "_".join(parts[:count]) in owner:
            yield "_".join(parts[:count]), "_".join(parts[count:])


def _by_image(path: PurePosixPath, owner: Owners) -> Iterator[tuple[str, str]]:
    """Read masks/<image>/<class>.png."""
    if path.parent.name in owner:
        yield path.parent.name, path.stem


def _gathered(masks: Sequence[Picture], owner: Owners, way: Way) -> Masks | None:
    """Join masks with images; None unless a few classes come again and again, in nearly all masks."""
    of: dict[str, list[str]] = defaultdict(list)
    names: Counter[str] = Counter()
    places: dict[str, list[str]] = defaultdict(list)
    for mask in masks:
        read = next(way(PurePosixPath(mask.path), owner), None)
        if read and read[1]:
            image = max(owner[read[0]], key=lambda one: len(_folders(one.path) & _folders(mask.path)))
            of[image.path].append(mask.path)
            names[read[1]] += 1
            places[image.split].append(mask.path)
    total = sum(names.values())
    again = total >= 2 * len(names) or len(of) < 3
    if not 2 <= len(names) <= _MOST_CLASSES or total < 0.8 * len(masks) or not again or total <= len(of):
        return None
    folders = {split: _tops(paths) for split, paths in places.items()}
    return Masks({path: tuple(ones) for path, ones in of.items()}, names, folders)


def _folders(path: str) -> set[str]:
    return {*PurePosixPath(path).parent.parts}


def _tops(paths: Sequence[str]) -> tuple[str, ...]:
    """Find the folders that masks lie in: one for each that is called as labels are, as of several sites."""
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        parts = PurePosixPath(path).parent.parts
        named = next((i for i, name in enumerate(parts) if part_of(name).role == "label"), -1)
        groups["/".join(parts[: named + 1])].append(path)
    return tuple(common_folder(group) for group in groups.values())


def _kinds(tree: Tree, masks: Masks) -> dict[str, str] | None:
    """Look at some masks: {path: "binary" or "smooth"}; None where one is neither. Bad files say nothing."""
    shown = some([path for paths in masks.of.values() for path in paths], _LOOKED_AT)
    kinds = {path: kind_of(tree.path(path)) for path in shown}
    kinds = {path: kind for path, kind in kinds.items() if kind or _can_be_read(tree.path(path))}
    return kinds if kinds and all(kinds.values()) else None


def _can_be_read(path: Path) -> bool:
    with tolerated(str(path)):
        look(path)
        return True
    return False


def kind_of(path: Path) -> str:
    """Tell a "binary" mask, of two values at most, of which 0 is one; a "smooth" one, of values between 0 and 255 at
    its edges alone, as antialiasing, resizing and JPEG leave them; "" for another picture, or none.
    """
    try:
        one = look(path)
    except UserError:
        return ""
    if one.kind in ("gray", "palette") and len(one.values) <= 2 - one.lossy:
        return "binary" if len(one.values) < 2 or 0 in one.values else ""
    values = {value: count for value, count in one.values.items() if isinstance(value, int)}
    low, high = ({v: n for v, n in values.items() if abs(v - end) <= _NEAR} for end in (0, 255))
    if one.kind in ("rgb", "palette") or not low or not high:
        return ""
    flat = max(low.values()) + max(high.values())
    between = len(values) - len(low) - len(high)
    return "smooth" if between >= _BETWEEN * (not one.lossy) and flat >= _FLAT * sum(values.values()) else ""


def classes(masks: Masks, tables: Sequence[Table]) -> tuple[tuple[Row, ...], str]:
    """Name the classes as the masks do, with the colors of a table that has their names; background comes first."""
    colors = {name: color for t in tables if t.colors for name, color in zip(t.names, t.colors, strict=True)}
    rows = [
        Row(name, None, colors.get(name), f"a mask in {count} of {len(masks.of)} images")
        for name, count in sorted(masks.names.items())
    ]
    if "background" in masks.names:
        return tuple(rows), "names of the folders or files of the masks"
    return (Row("background", None, None, "what no mask covers"), *rows), "names of the folders or files of the masks"
