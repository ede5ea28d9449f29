"""Kinds of options: how a value is read from text, or from what YAML made of it, and how it is written to records."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
MOST_GPUS = 1000  # of a machine: a typing error makes no list that fills the memory
_OFF = (None, "None")  # runx writes a YAML null as the word None


class Kind(NamedTuple):
    """`called`: what messages say it takes. `read(value)`: in its type; ValueError, TypeError or ArithmeticError for
    what is none of the kind. `write(value)`: as records have it, which `read` takes again. `several`: a tuple.
    """

    called: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any] = lambda value: value
    several: bool = False


class LossTerm(NamedTuple):
    """One part of --loss_terms: the loss's name, the outputs it reads, its weight."""

    loss: str
    outputs: tuple[str, ...]
    weight: float

    def __str__(self) -> str:
        return f"{self.loss}:{'+'.join(self.outputs)}:{_text(self.weight)}"


def _bool(value: Any) -> bool:
    if not isinstance(value, bool) and str(value).lower() not in WORDS:
        raise ValueError
    return value if isinstance(value, bool) else WORDS[str(value).lower()]


def _float(value: Any) -> float:
    number = float(Fraction(value.replace(" ", "")) if isinstance(value, str) and "/" in value else value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError
    return number


def _int(value: Any) -> int:
    number = _float(value)
    if number != int(number):
        raise ValueError
    digits = isinstance(value, int) or str(value).strip().lstrip("+-").isdecimal()
    return int(value if digits else number)  # every digit, of which a float has 15


def _seconds(value: Any) -> float:
    """Seconds of 30m, 1h30m, 2d, 90 (seconds), or of Slurm's 45:00, 8:00:00, 1-12 and 1-12:00:00."""
    text = str(value).replace(" ", "").lower()
    if units := re.fullmatch(r"(?=\d)(?:([\d.]+)d)?(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?", text):
        return sum(_float(part or 0) * unit for part, unit in zip(units.groups(), (86400, 3600, 60, 1), strict=True))
    if clock := re.fullmatch(r"(?:(\d+)-)?(\d+(?::\d+){0,2})", text):  # hours come first only behind days
        parts = [int(part) for part in clock[2].split(":")]
        units_of = (3600, 60, 1) if clock[1] else (3600, 60, 1)[-len(parts) :]
        return int(clock[1] or 0) * 86400 + float(sum(x * y for x, y in zip(parts, units_of, strict=False)))
    return _float(value)


def _bytes(value: Any) -> int:
    """Bytes of 24GiB, 24GB, 24G, 512MiB, or of a number. GB and G are those of memory, 2^30."""
    match = re.fullmatch(r"([\d.]+)\s*(?:([kmgt])(?:i?b)?|b)?", str(value).strip().lower())
    if match is None:
        raise ValueError
    return int(_float(match[1]) * 1024 ** (" kmgt".index(match[2]) if match[2] else 0))


def _str(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        raise TypeError
    return "" if value in _OFF else str(value)


def _parts(value: Any) -> list[Any]:
    """What stands between the commas of a text, with or without brackets around it and quotes around each; a list as
    it is.
    """
    if isinstance(value, (list, tuple)):
        return list(value)
    text = "" if value in _OFF else str(value).strip()
    if {text[:1], text[-1:]} & {*"[]()"}:
        if text[0] + text[-1] not in ("[]", "()"):
            raise ValueError
        text = text[1:-1].strip()
    return [re.sub(r"""^\s*(["'])(.*)\1\s*$""", r"\2", part) for part in text.split(",")] if text else []


def _several(item: Callable[[Any], Any], sizes: tuple[int, ...], value: Any) -> tuple[Any, ...]:
    found = tuple(item(part) for part in _parts(value))
    if sizes and len(found) not in sizes:
        raise ValueError
    return found


def _names(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in _parts(value) if (name := str(part).strip())))


def _height_width(value: Any) -> tuple[int, int]:
    sides = _several(_int, (1, 2), value)
    return sides[0], sides[-1]


def _gpus(value: Any) -> tuple[int, ...]:
    """Numbers of "0-3", "0,2,4", "gpu0-gpu3" or "3-1", in this order, each once."""
    found: list[int] = []
    for part in _parts(value):
        match = re.fullmatch(r"\s*(?:gpu)?(\d+)(?:-(?:gpu)?(\d+))?\s*", str(part).lower())
        if match is None:
            raise ValueError
        first, last = int(match[1]), int(match[2] or match[1])
        if max(first, last) > MOST_GPUS:
            raise ValueError
        found += range(first, last + 1) if first <= last else range(first, last - 1, -1)
    return tuple(dict.fromkeys(found))


def _loss_term(value: Any) -> LossTerm:
    if isinstance(value, LossTerm):
        return value
    loss, outputs, weight = str(value).strip().split(":")
    if not outputs or _float(weight) < 0:
        raise ValueError
    return LossTerm(loss, tuple(outputs.split("+")), _float(weight))


def _class_weights(value: Any) -> str | tuple[float, ...]:
    if value in (None, "None", "", "auto", "none", "cityscapes"):
        return _str(value)
    return _several(_float, (), value)


def _text(value: Any) -> str:
    return str(value) if not isinstance(value, float) or value != int(value) else str(value).removesuffix(".0")


def joined(value: Any) -> str:
    """A tuple as text, with commas; text as it is."""
    return value if isinstance(value, str) else ",".join(map(str, value))


def _one_or_both(value: tuple[int, int]) -> str:
    return str(value[0]) if value[0] == value[1] else joined(value)


def _kind(called: str, item: Callable[[Any], Any], sizes: tuple[int, ...] = (), write: Any = joined) -> Kind:
    return Kind(called, partial(_several, item, sizes), write, True)


seconds = Kind("a time like 30m, 1h30m, 8h, 2d, 1-12:00:00, or seconds", _seconds)
memory = Kind("an amount of memory like 24GiB, 512MiB, or bytes", _bytes)
boolean, integer, real, text = Kind("bool", _bool), Kind("int", _int), Kind("float", _float), Kind("text", _str)
SCALARS: dict[type, Kind] = {bool: boolean, int: integer, float: real, str: text}

# One path, as `network.weights.load` takes it, also where it names the two files of a network with a comma.
file_or_pair = Kind("a path, or two", lambda value: _str(joined(value) if isinstance(value, list) else value))
floats = _kind("positive numbers like 0.5,1.0,2.0", _float)
ints = _kind("whole numbers with commas", _int)
names = Kind("names with commas", _names, joined, True)
count_and_magnitude = _kind('"N,M", operations and magnitude', _int, (0, 2))
loss_terms = _kind("loss:output:weight,... (dice:pred:1,ce:aux:0.4)", _loss_term)
gpus = Kind("numbers of GPUs like 0-3 or 0,2,4", _gpus, joined, True)
height_width = Kind('one number or "height,width"', _height_width, _one_or_both, True)
class_weights = Kind("auto, none, cityscapes, or a number for each class", _class_weights, joined, True)
# In records these were lists from the beginning.
colors = _kind("three numbers, for R, G, B", _float, (3,), list)
counts = _kind("numbers like 4,4", _int, (), list)
pair = _kind("height,width", _int, (2,), list)
