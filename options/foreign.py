"""Option files of other systems: what is common to reading them. Which ones there are, `compat` says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from utils.errors import UserError, nearest

Tree = dict[Any, Any]
ForeignValues = dict[str, Any]


class ParseContext(NamedTuple):
    """What a command line asks for. `foreign`: {their key: value} of one system; `legacy_flags`: {flag: value} of its
    flags that are no alias; `values`: {our key: value} so far; `chosen`: our keys that win: on the command line, or in
    files of ours after theirs; `files`: those of --cfg.
    """

    foreign: Mapping[str, Any]
    legacy_flags: Mapping[str, str]
    values: Mapping[str, Any]
    chosen: Collection[str]
    files: Collection[str]


class ForeignConfig(NamedTuple):
    """Another system's option files.

    `name`: how messages call it. `is_theirs(tree)`: whether a file is one of its. `read(tree)`: what the file tells,
    with its defaults. `recipe`: {our key: value} of what its code does without an option. `translate(foreign)`: (their
    key, our key, value) of what has a counterpart. `keys`: those that pairs may have behind such a file; `anywhere`:
    and behind files of ours. `legacy_flags`: {flag: help} of those that are no alias of one key. `overrides`: {our key:
    value} of what takes several keys of theirs. `ignored_flags`: what has no effect. `problems`: {line: whether it
    holds} of what contradicts itself in a tree of ours, where their way of evaluating is asked for.
    """

    name: str
    is_theirs: Callable[[Tree], bool]
    read: Callable[[Tree], ForeignValues]
    translate: Callable[[ForeignValues], Iterable[tuple[str, str, Any]]]
    recipe: Mapping[str, Any] = {}
    keys: Mapping[str, Any] = {}
    anywhere: bool = False
    legacy_flags: Mapping[str, str] = {}
    overrides: Callable[[ParseContext], dict[str, Any]] = lambda _: {}
    ignored_flags: Callable[[ParseContext], list[str]] = lambda _: []
    problems: Callable[[Any], Mapping[str, object]] = lambda _: {}


def leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of all below `tree`."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def read_keys(tree: Tree, keys: Mapping[str, tuple[str, Any]], whose: str) -> ForeignValues:
    """What a file says in `keys`, {theirs: (ours, default)}, with every default but None; UserError that names all keys
    that are none of theirs. `whose`: the file's system.
    """
    foreign = {key: value for key, value in leaves(tree) if value is not None}
    unknown = [f"{key}{nearest(key, keys)}" for key in foreign if key not in keys]
    if unknown:
        raise UserError(f"in this file of {whose} is not known: {'; '.join(unknown)}")
    return {key: default for key, (_, default) in keys.items() if default is not None} | foreign
