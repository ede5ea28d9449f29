"""Option files of `--cfg`: ours, and those of other systems, whose keys are noted for `config`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from options.foreign import ForeignConfig, leaves
from options.table import OPTIONS
from utils import yamlfile
from utils.errors import UserError, nearest

Foreign = dict[str, dict[str, Any]]  # {system: {its key: value}} of files and pairs


def read(file: str, systems: Sequence[ForeignConfig], foreign: Foreign) -> tuple[dict[str, Any], bool]:
    """The values of a file, and whether it is one of ours; what others' files say goes into `foreign`.

    UserError, in one line, for a file that is none, has a section with nothing below it, or says what is no option.
    """
    where = f"--cfg {file}"
    theirs = {key for system in systems for key, (_, value) in system.keys.items() if isinstance(value, str)}
    tree = yamlfile.load(file, where, theirs | {key for key in OPTIONS if OPTIONS[key].textual})
    if tree is None:
        raise UserError(f"{where} is empty: give keys and values, or leave it out")
    if not isinstance(tree, dict):
        raise UserError(f"{where}: expected keys and values, found {type(tree).__name__}")
    try:
        system = next((system for system in systems if system.is_theirs(tree)), None)
        values = list(leaves(tree))
        _check(values, OPTIONS if system is None else system.keys or tree, theirs if system else ())
        found = [(key, key, value) for key, value in values]
        if system is not None:
            foreign[system.name] |= system.read(tree)
            found = [(key, key, value) for key, value in system.recipe.items()]
            found += system.translate(foreign[system.name])
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    for said, key, _ in found:
        if key not in OPTIONS:
            raise UserError(f"{where}: unknown key {said!r}{nearest(said, OPTIONS)}")
    return {key: OPTIONS[key].coerce(value, f"{where}: {said}") for said, key, value in found}, system is None


def _check(values: Collection[tuple[str, Any]], keys: Collection[str], texts: Collection[str]) -> None:
    """UserError for a section that is empty, or a value, and for a list in place of one of `texts`."""
    sections = {key[:i] for key in keys for i, letter in enumerate(key) if letter == "."}
    sections = sections or set(keys)  # a system without a table of its keys: the parts of its file
    for key, value in values:
        if key in sections and value is None:
            raise UserError(f"section {key} is empty: give its keys below it, further right, or leave it out")
        if key in sections and key not in keys:
            raise UserError(f"{key} is a section, not {value!r}: give its keys below it, further right")
        if key in texts and isinstance(value, list):
            raise UserError(f"{key} takes text, not {value!r}")
