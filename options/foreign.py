"""Option files of other systems: what is common to reading them. Which ones there are, `config` says.

`told` is {their key: value}: nothing but text, numbers and lists of a YAML file or a command line.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

Tree = dict[Any, Any]
Told = dict[str, Any]


class Asked(NamedTuple):
    """What a command line asks for. `told`: words of one system; `older`: {flag: value} of its flags that are no
    alias; `values`: {our key: value} so far; `given`: our keys that win: on the command line, or in files of ours after
    theirs; `files`: those of --cfg.
    """

    told: Mapping[str, Any]
    older: Mapping[str, str]
    values: Mapping[str, Any]
    given: Collection[str]
    files: Collection[str]


class System(NamedTuple):
    """Another system's option files.

    `name`: how messages call it. `is_theirs(tree)`: whether a file is one of its. `read(tree)`: what the file tells,
    with its defaults. `recipe`: {our key: value} of what its code does without an option. `translated(told)`: (their
    key, our key, value) of what has a counterpart. `keys`: those that pairs may have behind such a file; `anywhere`:
    and behind files of ours. `legacy_flags`: {flag: help} of those that are no alias of one key. `places`: {our key:
    value} of what takes several words. `idle`: what has no effect.
    """

    name: str
    is_theirs: Callable[[Tree], bool]
    read: Callable[[Tree], Told]
    translated: Callable[[Told], Iterable[tuple[str, str, Any]]]
    recipe: Mapping[str, Any] = {}
    keys: Mapping[str, Any] = {}
    anywhere: bool = False
    legacy_flags: Mapping[str, str] = {}
    places: Callable[[Asked], dict[str, Any]] = lambda _: {}
    idle: Callable[[Asked], list[str]] = lambda _: []
