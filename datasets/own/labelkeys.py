"""What a dataset's file says of its labels: their kind, what is left out, what lies around objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets.own import parts
from datasets.own.classes import LARGEST, Merged
from datasets.own.contract import IGNORED, LabelKind, OwnClass
from datasets.own.kinds import KINDS
from datasets.own.parts import Part
from utils.errors import nearest

OVERLAPS = ("last", "smallest", "classes")
_ONE = "one class, and all around it ignored: nothing could be told apart; add a class, and background: ITS NAME"


def labels(part: Part) -> tuple[str, tuple[str, ...], dict[str, Any]]:
    """Read `labels`: kind, paths as they are written, options of the kind."""
    if not isinstance(part.value, Mapping):
        raise part.wrong(f"{parts.show(part.value)} is no {{kind: gray, path: masks}}")
    if "kind" not in part.value:
        raise part.wrong(f"kind is missing; known: {', '.join(KINDS)}")
    kind = part.below("kind").choice([*KINDS])
    options = KINDS[kind].options
    found = part.parts(("kind", "path", *options))
    paths = found["path"].texts() if "path" in found else ()
    return kind, paths, {name: _option(found.get(name), default) for name, default in options.items()}


def _option(part: Part | None, default: Any) -> Any:
    """Read an option of a kind, of the type of its default."""
    if part is None:
        return default
    if isinstance(default, bool):
        return part.choice(("true", "false")) == "true"
    return part.whole(0, 1 << 31) if isinstance(default, int) else part.text()


@dataclass(frozen=True)
class Keys:
    """The keys of a file that are about its labels: `found` of `top`; `row`: of their `kind`, `own`: the classes."""

    top: Part
    found: Mapping[str, Part]
    row: LabelKind
    kind: str
    own: tuple[OwnClass, ...]

    def check_classes(self, merged: Merged) -> None:
        """Raise UserError for classes without what tells them apart in labels, and for too many."""
        part, most = self.found["classes"], IGNORED - 1 if self.row.by == "color" else 1 << 15
        if len(self.own) > most:
            raise part.wrong(f"{len(self.own)} classes are more than {most}")
        if len(merged.names) > IGNORED:
            raise part.wrong(f"{len(merged.names)} classes are more than {IGNORED}: merge some, or ignore them")
        if self.row.by != "color" or not isinstance(part.value, list):
            return
        owner: dict[object, str] = {}
        for one, entry in zip(self.own, part.entries(), strict=True):
            if not isinstance(entry.value, Mapping) or "color" not in entry.value:
                raise entry.wrong("color is missing: labels of kind rgb tell classes by their colors")
            if (other := owner.setdefault(one.color, one.name)) != one.name:
                raise entry.wrong(f"the color {[*one.color]} is also that of {other!r}: RGB labels cannot tell them")

    def ignored(self) -> tuple[Any, ...]:
        """Read `ignore`: ids, colors or names, as labels of the kind have them. UserError for what is a class."""
        entries = self.found["ignore"].one_or_more() if "ignore" in self.found else []
        return tuple(dict.fromkeys(self._ignored(entry) for entry in entries))

    def _ignored(self, entry: Part) -> Any:
        value: Any
        if self.row.by == "color":
            value = entry.color()
            both = [one.name for one in self.own if one.color == value]
        elif self.row.by == "id" or (self.row.by == "id or name" and str(entry.value).isdigit()):
            value = entry.whole(0, LARGEST)
            both = [one.name for train, one in enumerate(self.own) if value in (one.ids or (train,))]
        else:
            value = entry.text()
            both = [one.name for one in self.own if value in (one.name, *one.aliases)]
        if both:
            raise entry.wrong(f"{parts.show(value)} is the class {both[0]!r}: leave it out here, or there")
        return value

    def unknown(self) -> str:
        """Read `unknown`: what becomes of values, colors and names that are no class."""
        return self.found["unknown"].choice(("error", "ignore")) if "unknown" in self.found else "error"

    def overlap(self) -> str:
        """Read `overlap`: which object is on top."""
        return self._of_objects("overlap").choice(OVERLAPS) if "overlap" in self.found else "last"

    def background(self) -> int:
        """Read `background`: a train id before merging, or the value that drawings ignore."""
        part, names = self.found.get("background"), [one.name for one in self.own]
        if part is None or part.text() == "ignore":
            if self.row.drawn and len(self.own) == 1:
                raise (part or self.found["classes"]).wrong(_ONE)
            return IGNORED if len(self.own) <= IGNORED else (1 << 16) - 1
        self._of_objects("background")
        if (name := part.text()) not in names:
            raise part.wrong(f"{name!r} is no class{nearest(name, names)}; ignore, or one of {', '.join(names)}")
        return names.index(name)

    def missing(self, background: int) -> str:
        """Read `missing`: what becomes of an image without label."""
        if "missing" not in self.found:
            return "error"
        part = self.found["missing"]
        word = part.choice(("error", "skip", "background"))
        if word == "background":
            self._of_objects("missing")
            if background >= min(IGNORED, len(self.own)):
                raise part.wrong("background is ignored here: give background: NAME OF A CLASS, or missing: skip")
        return word

    def _of_objects(self, key: str) -> Part:
        """Take a key that labels of objects alone read."""
        if not self.row.drawn:
            raise self.found[key].wrong(f"labels of kind {self.kind} say it pixel by pixel: leave it out")
        return self.found[key]
