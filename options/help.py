"""The text of `--help`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from options.arch_help import FREE
from options.option import Option
from options.table import ASSETS_PATH, GROUPS, NEGATED, WITHOUT_EFFECT

WIDTH = 34  # of the column of names


def help_text(full: bool = False, legacy: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """The text of `--help`: the common options, or all of them with their keys.

    `legacy`: of other systems, by their names, {flag: help} of what is made into options here.
    """
    lines = ["usage: python train.py --arch ARCH [--flag VALUE ...] [--cfg FILE.yaml] [KEY VALUE ...]", ""]
    for group, options in GROUPS.items():
        listed = [option for option in options if full or option.common]
        if listed:
            lines += [group, *(line for option in listed for line in _option(option, full)), ""]
    if full:
        for system, found in (legacy or {}).items():
            lines += [f"Older flags of {system}, made into the keys above"]
            lines += [*(f"  {flag:<{WIDTH}} {text}" for flag, text in found.items()), ""]
        lines += ["Accepted, without effect (they never had one)", "  " + " ".join(WITHOUT_EFFECT), ""]
    lines.append("python train.py --help all lists every option with its key, --help arch every network.")
    return "\n".join(lines)


def _option(option: Option, full: bool) -> Iterator[str]:
    off = {key: flag for flag, key in NEGATED.items()}
    names = option.flags.replace(" ", ", ") or off.get(option.key) or option.key
    default = "" if option.default in ("", False, ()) else f" [{_short(option.written(option.default))}]"
    yield f"  {names:<{WIDTH}} {option.help}{default}"
    if full and names != option.key:
        yield f"  {'':<{WIDTH}} key {option.key}"
    if option.choices:
        yield f"  {'':<{WIDTH}} one of: {', '.join(c for c in option.choices if c)}"
    if option.key == "MODEL.ARCH":
        yield f"  {FREE:<{WIDTH}} in place of --arch: any trunk with any head (--help arch)"


def _short(default: Any) -> str:
    default = round(default, 4) if isinstance(default, float) else default
    text = str(default).replace(ASSETS_PATH, "ASSETS_PATH" if default != ASSETS_PATH else ASSETS_PATH)
    return text.replace("[", "").replace("]", "").replace(", ", ",")
