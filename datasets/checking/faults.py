"""What can be wrong with data, kind by kind, and the faults that were found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from datasets.base import Item
from utils.errors import UserError, nearest

ERROR, WARNING = "error", "warning"
KEPT = 200  # faults of a kind that stay in memory; the file on disk has all of them


class Kind(NamedTuple):
    """How grave a kind of fault is, its heading, and what to do about it."""

    severity: str
    title: str
    cure: str


KINDS = {
    "not-listed": Kind(ERROR, "Splits that cannot be listed", "see what the line says; the others were checked"),
    "leak": Kind(
        ERROR,
        "Validation images that are trained on, or nearly",
        "keep images of one place or drive in one split: such scores say nothing of other images",
    ),
    "unreadable-image": Kind(ERROR, "Images that cannot be read", "copy them again, or take them out"),
    "broken-link": Kind(ERROR, "Links that lead nowhere", "put the files there, or link anew"),
    "missing-label": Kind(ERROR, "Images without a label", "add the labels, or take the images out"),
    "unreadable-label": Kind(ERROR, "Labels that cannot be read", "write them again"),
    "color-label": Kind(ERROR, "Labels that are color images", "a label has one channel of class ids"),
    "size-differs": Kind(ERROR, "Labels of another size than their images", "resize labels by the nearest pixel"),
    "unmapped-value": Kind(
        ERROR, "Values that are no class", "declare them as classes or as ignored; at borders: labels were resized"
    ),
    "lossy-label": Kind(ERROR, "Labels in a lossy format", "it invents values beside borders: save the source as PNG"),
    "label-is-image": Kind(ERROR, "Labels that are their images", "put the labels there"),
    "nothing-to-learn": Kind(ERROR, "Splits whose pixels are all ignored", "check which values the labels hold"),
    "misplaced-label": Kind(
        WARNING, "Labels that do not lie over their images", "see the pictures: are they shifted, scaled, mirrored?"
    ),
    "palette-differs": Kind(
        WARNING,
        "Labels whose palettes differ",
        "if an index is another class there, read all by their colors (kind: rgb), or write them with one palette",
    ),
    "repeated-label": Kind(WARNING, "One label for different images", "was a file copied to a wrong name?"),
    "ignored-label": Kind(WARNING, "Labels that are ignored in all pixels", "they teach nothing: take them out"),
    "constant-label": Kind(WARNING, "Labels of one class in all pixels", "was something forgotten?"),
    "duplicate": Kind(WARNING, "Images of a split that are nearly alike", "they count several times: keep one of them"),
    "class-absent": Kind(WARNING, "Classes that a split lacks", "without pixels nothing is learned, or scored"),
    "mostly-ignored": Kind(WARNING, "Splits with more ignored pixels than others", "is a class left out by mistake?"),
    "turned-image": Kind(
        WARNING, "Images that ask to be turned (EXIF)", "labels lie over stored pixels: see whether these do"
    ),
    "blank-image": Kind(WARNING, "Images of one color", "take them out"),
    "gray-image": Kind(WARNING, "Gray images among color ones", "were they meant to be here?"),
    "color-image": Kind(WARNING, "Color images among gray ones", "were they meant to be here?"),
    "deep-image": Kind(WARNING, "16-bit images among those of 8 bits", "check their brightness, see --image_bits"),
    "shallow-image": Kind(WARNING, "8-bit images among those of 16 bits", "check their brightness, see --image_bits"),
    "alpha-image": Kind(WARNING, "Images with transparency", "it is dropped: what lies behind it counts"),
    "print-image": Kind(WARNING, "Images in printers' colors (CMYK)", "save them as RGB"),
    "tiny-image": Kind(WARNING, "Very small images", "are these thumbnails?"),
    "huge-image": Kind(WARNING, "Very large images", "are these panoramas, or unlike the others?"),
    "other-format": Kind(WARNING, "Files of another format than their names say", "name them as what they are"),
    "alike-names": Kind(WARNING, "Names that differ only in case", "on many disks they are one file: rename them"),
    "label-without-image": Kind(WARNING, "Labels without an image", "is an image lost, or called otherwise?"),
    "unread-picture": Kind(WARNING, "Pictures in formats that are not read", "save them as PNG or JPEG"),
}


class Fault(NamedTuple):
    """One fault: its kind, the split, the file (empty: the whole split), what it is.

    What shows it, if anything does: an item, an `other` item beside it, and how the label has to `move` by (x, y)
    pixels.
    """

    kind: str
    split: str
    file: str
    what: str
    item: Item | None = None
    other: Item | None = None
    move: tuple[int, int] | None = None


@dataclass
class Faults:
    """All faults that were found: counts of each kind, the first KEPT of each, the rest through `write` alone.

    Kinds that are `accepted` count neither as errors nor as warnings. `drawn`: {drawing of a label: (its image, what it
    was drawn of)}: these are named in its place, since nobody knows the file of a cache.
    """

    accepted: tuple[str, ...] = ()
    write: Callable[[Fault], None] = lambda fault: None
    counts: Counter[str] = field(default_factory=Counter)
    kept: dict[str, list[Fault]] = field(default_factory=dict)
    drawn: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.accepted:
            if name not in KINDS:
                known = ", ".join(KINDS)
                raise UserError(f"--accept {name!r} is no kind of fault{nearest(name, KINDS)}; known: {known}")

    def add(self, *faults: Fault) -> None:
        """Take faults."""
        for fault in map(self._named, faults):
            self.counts[fault.kind] += 1
            self.write(fault)
            kept = self.kept.setdefault(fault.kind, [])
            if len(kept) < KEPT:
                kept.append(fault)

    def _named(self, fault: Fault) -> Fault:
        """Name the image, and what its label was drawn of, in place of a drawing."""
        if fault.file not in self.drawn:
            return fault
        image, source = self.drawn[fault.file]
        other = str(fault.other.label) if fault.other else ""
        said = fault.what.replace(other, f"that of {fault.other.image}") if fault.other else fault.what
        where = f"label of {source}" if source else "label"
        return fault._replace(file=fault.item.image if fault.item else image, what=f"({where}) {said}")

    def severity(self, kind: str) -> str:
        """Say how a kind counts: "error", "warning", or "accepted"."""
        return "accepted" if kind in self.accepted else KINDS[kind].severity

    def kinds(self) -> Iterator[str]:
        """Give the kinds that were found, the gravest first."""
        order = (ERROR, WARNING, "accepted")
        yield from sorted((k for k in KINDS if self.counts[k]), key=lambda kind: order.index(self.severity(kind)))

    def total(self, severity: str) -> int:
        """Count the faults of a severity."""
        return sum(self.counts[kind] for kind in self.kinds() if self.severity(kind) == severity)

    @property
    def verdict(self) -> str:
        """The verdict in one word: "errors", "warnings" or "fine"."""
        return next((word + "s" for word in (ERROR, WARNING) if self.total(word)), "fine")

    def exit_code(self, strict: bool) -> int:
        """1 for errors, and where it is to be `strict` for warnings; else 0."""
        return int(self.verdict == "errors" or (strict and self.verdict == "warnings"))


def of_items(kind: str, faults: Iterable[Fault]) -> list[Fault]:
    """Choose the faults of a kind."""
    return [fault for fault in faults if fault.kind == kind]
