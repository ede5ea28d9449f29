"""Folders of images and of labels that are pictures: ids, palettes, colors, or a binary mask for each class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from datasets.own.recognize import binary
from datasets.own.recognize.divide import Division, divide
from datasets.own.recognize.draft import Draft, Entry
from datasets.own.recognize.looks import Looks
from datasets.own.recognize.names import Table
from datasets.own.recognize.pairs import Pairing, Stream, match, pair
from datasets.own.recognize.placing import Places
from datasets.own.recognize.selection import select
from datasets.own.recognize.tree import Tree, named, some
from datasets.own.recognize.values import Classes, Row, classes, of_cityscapes
from media.reading import orientation_of
from utils.errors import UserError
from utils.plural import counted

Progress = Callable[[Sequence[str], str], Iterable[str]]

LOOKED_AT = 400  # labels whose values are counted
_FIRST_LOOK = 3
_RARE, _MANY = 0.002, 8  # share of pixels, and values with less from which on it is said
_LOOKED_AT = 24  # masks that may be smooth
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
    if smooth := _smooth_among(tree, shown):
        return _of_one_class(tree, found, smooth)
    _check(looks)
    table = of_cityscapes(looks, found.labels.name) or classes(looks, tables)
    division = divide(tree, found.images.pictures, found.of)
    entries = Places(tree, found, division).entries(looks.kind)
    every = len(shown) == len(found.paired)
    whole = "the one label" if len(shown) == 1 else f"all {len(shown)} labels"
    seen = whole if every else f"{len(shown)} of {len(found.paired)} labels (check_data reads all)"
    return Draft(
        f"{_WORDS[looks.kind]}: {counted(len(found.paired), 'image')} {_in(found.images)}, labels {_in(found.labels)}",
        entries.entries,
        table._replace(source=f"{table.source}; values of {seen}"),
        (*_notes(tree, found), *_several(found), *_rare(looks), *table.notes, *division.notes, *looks.unreadable),
        entries.lists,
        _pictures(tree, found, division),
    )


def _best_stream(tree: Tree, found: Pairing) -> Pairing:
    """Take labels that can be read among those that fit as well: ids before colors, colors before what is spoilt."""
    choices = [found, *(match(found.images, stream) for stream in found.others)]
    choices = [one for one in choices if one.labels and 2 * len(one.paired) >= len(found.paired)]
    best = min(choices, key=lambda one: _rank(tree, one), default=found)
    names = [stream.name for stream in (found.labels, best.labels) if stream]
    left = dict.fromkeys(name for name in (*found.unused, *names) if names and name != names[-1])
    return replace(best, unused=tuple(left))


def _rank(tree: Tree, pairing: Pairing) -> int:
    looks = Looks.of(tree.path(pairing.of[picture.path][0]) for picture in some(pairing.paired, _FIRST_LOOK))
    if looks.lossy:
        return 4
    return {"gray": 0, "palette": 0, "rgb": 1, "spoilt": 3}.get(looks.kind, 5)


def _check(looks: Looks) -> None:
    """Raise UserError for labels of which no classes can be read."""
    if looks.lossy:
        raise UserError(
            f"the labels are JPEG ({looks.lossy} first): JPEG changes values at every edge, so that no class can be "
            "read from them; export them anew as PNG from the tool that drew them"
        )
    if looks.spoilt:
        cure = "" if "alpha" in looks.spoilt else "; export them anew as PNG, unchanged in size"
        raise UserError(f"{looks.spoilt}{cure}")
    if looks.kind not in _WORDS:
        first = f": {looks.unreadable[0]}" if looks.unreadable else ", they look like photos"
        raise UserError(f"what lies where labels would be holds no classes{first}")
    if len(looks.values) < 2:
        raise UserError(f"all labels hold one value, {looks.values[0]}: there is nothing to learn")


def _notes(tree: Tree, found: Pairing) -> list[str]:
    notes = []
    alone = [picture.path for picture in found.pictures_alone]
    unlabeled = [picture.path for picture in found.unlabeled if picture.path not in {*alone}]
    if alone:
        notes.append(f"{counted(len(alone), 'image')} of splits without any label, for masks alone: {named(alone)}")
    if unlabeled:
        notes.append(f"{counted(len(unlabeled), 'image')} without label, left out: {named(unlabeled)}")
    if found.spare:
        notes.append(f"{counted(len(found.spare), 'label')} without image, not used: {named(found.spare)}")
    if found.unused:
        notes.append(f"not used: pictures in {named(found.unused, 6)}")
    looked = some(found.paired, _LOOKED_AT)
    if turned := [p.path for p in looked if orientation_of(str(tree.path(p.path))) != 1]:
        count = f"{len(turned)} of {counted(len(looked), 'image')} looked at"
        notes.append(
            f"{count} ask viewers to turn them (EXIF, {turned[0]} first): labels have to lie over pixels as these are "
            "stored; where they do not, save the images turned"
        )
    if tree.results:
        notes.append(f"not looked at: results of runs in {named(tree.results)}")
    return notes


def _rare(looks: Looks) -> list[str]:
    """Say that values may be no classes, where most of many have few pixels."""
    few = sum(looks.share(value) < _RARE for value in looks.values)
    if few < _MANY or 2 * few < len(looks.values):
        return []
    share = f"{few} of {len(looks.values)} values have under {100 * _RARE:g} % of the pixels each"
    return [f"{share}: where labels were resized with interpolation these are no classes; export such labels anew"]


def _several(found: Pairing) -> list[str]:
    """Say which images have several labels, of which one is used."""
    several = [found.of[picture.path] for picture in found.paired if len(found.of[picture.path]) > 1]
    if not several:
        return []
    used, *others = several[0]
    count = counted(len(several), "image has", "images have")
    return [f"{count} several labels, of which the first is used: {used}, not {named(others)}"]


def _pictures(tree: Tree, found: Pairing, division: Division) -> str:
    """Choose pictures for a first look at masks: those without label for a test, else those that validate, else one."""
    tests = [picture.path for picture in found.pictures_alone]
    val = [picture.path for picture in found.paired if picture.split == division.val]
    for paths in (
        tests,
        val if division.kind == "folders" else [],
        [picture.path for picture in found.images.pictures],
    ):
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
        f"{counted(len(pictures), 'image')} {_in(found.images)}",
        (
            *entries.entries,
            Entry(
                "background", "background", ("What no mask covers is a class of its own; `ignore` would leave it out.",)
            ),
            Entry("overlap", "smallest", ("Where masks overlap, the smaller one is on top.",)),
        ),
        Classes(rows, (), source),
        (*_notes(tree, inner), *division.notes, *_smooth(masks.smooth)),
        entries.lists,
        _pictures(tree, inner, division),
    )


def _smooth_among(tree: Tree, masks: Sequence[str]) -> str:
    """Find a mask with soft edges where all are masks of one class; else ""."""
    kinds = {path: binary.kind_of(tree.path(path)) for path in some(masks, _LOOKED_AT)}
    return next((path for path, kind in kinds.items() if kind == "smooth"), "") if all(kinds.values()) else ""


def _of_one_class(tree: Tree, found: Pairing, smooth: str) -> Draft:
    """Describe a mask of one class for each image."""
    assert found.labels is not None
    division = divide(tree, found.images.pictures, found.of)
    entries = Places(tree, found, division).entries("binary")
    rows = (Row("background", None, None, "what no mask covers"), Row("object", None, None, "128 or more in a mask"))
    return Draft(
        f"masks of one class: {counted(len(found.paired), 'image')} {_in(found.images)}, masks {_in(found.labels)}",
        (*entries.entries, Entry("background", "background", ("What no mask covers is a class of its own.",))),
        Classes(rows, (), "masks do not name it"),
        (*_notes(tree, found), *division.notes, *_smooth(smooth)),
        entries.lists,
        _pictures(tree, found, division),
    )


def _smooth(path: str) -> tuple[str, ...]:
    """Say how masks with soft edges are read."""
    if not path:
        return ()
    return (f"masks have values between 0 and 255 at their edges ({path}): 128 or more is of the class",)


def _in(stream: Stream) -> str:
    return "in the folder itself" if stream.name == "." else f"in {stream.name}"
