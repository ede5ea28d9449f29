"""Other systems, a folder each: this table is all that the rest of the code knows of them.

It may have four parts, a module each: `options` (its option files), `weights` (its checkpoints), `rules` (its ways of
evaluating) and `sinks` (its folders of output). `config`, `network.weights`, `inference` and `evaluation.sinks` ask
`parts` for theirs; nothing else does, and nothing imports a system by its name. One that is removed is missed by none.
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
    """Import the modules `kind` ("options", "weights", "rules", "sinks") of all systems that have one, in order."""
    folder = Path(__file__).parent
    systems = [system for system in SYSTEMS if (folder / system / f"{kind}.py").is_file()]
    return tuple(import_module(f"{__name__}.{system}.{kind}") for system in systems)
