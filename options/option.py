"""One option: its name, its type, its bounds, and what reads it."""

from __future__ import annotations

from operator import ge, gt, le, lt
from typing import Any, NamedTuple

from options import kinds
from options.kinds import SCALARS, Kind, joined
from options.readers import Reader
from utils.errors import UserError, nearest


class Option(NamedTuple):
    """One option. `flags` are its names on the command line, blank-separated; `of` its kind, by default that of the
    default. `above` and `below` bound a number, or each of several, without the bound, `least` and `most` with it;
    `off` is allowed beside them. `reads`: the runs that read it, by default all.
    """

    key: str
    default: Any
    help: str
    flags: str = ""
    choices: tuple[str, ...] = ()
    of: Kind | None = None
    above: float | None = None
    least: float | None = None
    most: float | None = None
    below: float | None = None
    off: float | None = None
    reads: Reader | None = None
    common: bool = False  # listed by the short --help

    @property
    def name(self) -> str:
        """How it is called: by its first long flag, by its key where it has none."""
        return next((flag for flag in self.flags.split() if flag.startswith("--")), self.key)

    @property
    def kind(self) -> Kind:
        """How its values are read and written."""
        return self.of or SCALARS[type(self.default)]

    @property
    def textual(self) -> bool:
        """Whether a YAML file's value is taken as it is written: what YAML made of `no` or 010 is not meant."""
        return self.kind.several or isinstance(self.default, str)

    def coerce(self, value: Any, where: str) -> Any:
        """`value` (text, or what YAML made of it) in the option's type; UserError, for `where`, for another."""
        try:
            converted = self.kind.read(value)
        except (ValueError, TypeError, ArithmeticError):
            raise UserError(f"{where} takes {self.kind.called}, not {value!r}") from None
        if self.choices and converted not in self.choices:
            allowed = ", ".join(choice or '""' for choice in self.choices)
            raise UserError(f"{where} takes one of {allowed}, not {value!r}{nearest(str(value), self.choices)}")
        return converted

    @property
    def free(self) -> bool:
        """Whether its value is any text, which may be a path, or tells of the machine."""
        return not self.choices and self.kind in (kinds.text, kinds.names, kinds.file_or_pair, kinds.gpus)

    def written(self, value: Any) -> Any:
        """A value as records have it: a number, a truth, text, or a list of numbers."""
        return self.kind.write(value)

    def problem(self, value: Any) -> str:
        """What is wrong with a value of the right type; empty where nothing is."""
        numbers = value if isinstance(value, tuple) else (value,)
        odd = [number for number in numbers if isinstance(number, (int, float)) and self._outside(number)]
        among = f" in {joined(value)}" if len({*numbers}) > 1 else ""
        return f"{self.name} {self._bounds()}{odd[0]}{among}" if odd else ""

    def _outside(self, number: float) -> bool:
        bounds = zip((gt, ge, le, lt), (self.above, self.least, self.most, self.below), strict=True)
        return number != self.off and not all(end is None or inside(number, end) for inside, end in bounds)

    def _bounds(self) -> str:
        off = "" if self.off is None else f", or is {self.off}"
        if self.least is not None and self.most is not None:
            return f"lies between {self.least} and {self.most}{off}, not "
        if self.least == 0 and self.below is None and not off:
            return "must not be negative, it is "
        bounds = {"above": self.above, "at least": self.least, "below": self.below, "at most": self.most}
        return f"must be {' and '.join(f'{word} {end}' for word, end in bounds.items() if end is not None)}{off}, not "
