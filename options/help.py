"""The text of `--help`."""

from __future__ import annotations

from typing import Any

import compat
from options.table import ASSETS_PATH, GROUPS, NEGATED, WITHOUT_EFFECT


def help_text(full: bool = False) -> str:
    """The text of `--help`: the common options, or all of them with their keys."""
    off = {key: flag for flag, key in NEGATED.items()}
    lines = ["usage: python train.py --arch ARCH [--flag VALUE ...] [--cfg FILE.yaml] [KEY VALUE ...]", ""]
    for group, options in GROUPS.items():
        shown = [option for option in options if full or option.common]
        if not shown:
            continue
        lines.append(group)
        for option in shown:
            names = option.flags.replace(" ", ", ") or off.get(option.key) or option.key
            default = "" if option.default in ("", False) else f" [{_short(option.default)}]"
            lines.append(f"  {names:<34} {option.help}{default}")
            if full and names != option.key:
                lines.append(f"  {'':<34} key {option.key}")
            if option.choices:
                lines.append(f"  {'':<34} one of: {', '.join(c for c in option.choices if c)}")
        lines.append("")
    if full:
        for system in [room.SYSTEM for room in compat.parts("options") if room.SYSTEM.legacy_flags]:
            lines += [f"Older flags of {system.name}, made into the keys above"]
            lines += [*(f"  {flag:<34} {text}" for flag, text in system.legacy_flags.items()), ""]
        lines += ["Accepted, without effect (they never had one)", "  " + " ".join(WITHOUT_EFFECT), ""]
    lines.append("python train.py --help all lists every option with its key.")
    return "\n".join(lines)


def _short(default: Any) -> str:
    default = round(default, 4) if isinstance(default, float) else default
    text = str(default).replace(ASSETS_PATH, "ASSETS_PATH" if default != ASSETS_PATH else ASSETS_PATH)
    return text.replace("[", "").replace("]", "").replace(", ", ",")
