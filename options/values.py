"""Words of a command line, or what YAML made of a file's, as values of an option's type."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from options.table import LISTED, Option
from utils.errors import UserError, nearest

WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_KINDS = {bool: "bool", int: "int", float: "float", str: "text"}


def coerce(option: Option, value: Any, where: str) -> Any:
    """`value` (text, or what YAML made of it) in the type of the option's default."""
    try:
        converted = _convert(option.default, value, option.key in LISTED)
    except (ValueError, TypeError, ArithmeticError):
        kind = "numbers like 4,4" if isinstance(option.default, list) else _KINDS[type(option.default)]
        raise UserError(f"{where} takes {kind}, not {value!r}") from None
    if option.choices and converted not in option.choices:
        allowed = ", ".join(choice or '""' for choice in option.choices)
        raise UserError(f"{where} takes one of {allowed}, not {value!r}{nearest(str(value), option.choices)}")
    return converted


def _convert(default: Any, value: Any, several: bool = False) -> Any:
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        if str(value).lower() not in WORDS:
            raise ValueError
        return WORDS[str(value).lower()]
    if isinstance(default, list):
        items = value if isinstance(value, (list, tuple)) else str(value).strip("[]() ").split(",")
        return [_convert(default[0], item) for item in items]
    if isinstance(default, str):
        # runx writes a YAML null as the word None
        off = value is None or value == "None"
        if isinstance(value, (list, tuple)) and not several:
            raise TypeError
        return "" if off else ",".join(map(str, value)) if isinstance(value, list) else str(value)
    number = float(Fraction(value.replace(" ", "")) if isinstance(value, str) and "/" in value else value)
    if isinstance(value, bool) or not math.isfinite(number) or (isinstance(default, int) and number != int(number)):
        raise ValueError
    return int(number) if isinstance(default, int) else number


def numbers(text: str) -> list[float] | None:
    """ "0.5,1" -> [0.5, 1.0]; None for anything else than finite numbers and commas."""
    try:
        found = [float(word) for word in text.split(",")] if text else []
    except ValueError:
        return None
    return found if all(map(math.isfinite, found)) else None
