"""Other systems, a room each: this table is all that the rest of the house knows of them.

A room may have four parts, each a module: `options` (its option files), `weights` (its checkpoints), `rules` (its ways
of evaluating) and `sinks` (its folders of output). `config`, `network.weights`, `inference` and `evaluation.sinks` ask
`parts` for theirs; nothing else does, and nothing imports a room by its name. A room that is removed is missed by none.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

# Where several could take a file, the first does: those that look closest come first.
SYSTEMS = ("csail", "hrnet", "paddleseg", "sdcnet", "nvidia")


@cache
def parts(kind: str) -> tuple[ModuleType, ...]:
    """The modules `kind` ("options", "weights", "rules", "sinks") of all rooms that have one, in the table's order."""
    folder = Path(__file__).parent
    rooms = [room for room in SYSTEMS if (folder / room / f"{kind}.py").is_file()]
    return tuple(import_module(f"{__name__}.{room}.{kind}") for room in rooms)
