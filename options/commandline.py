"""A command line: flags with their values, files, and what is left as KEY VALUE pairs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from options import archs
from options.kinds import WORDS
from options.table import NEGATED, OFFSETS, PARTS, SEVERAL, WITHOUT_EFFECT, flags
from utils.errors import UserError, nearest


@dataclass
class CommandLine:
    """`files`: of --cfg. `flags`: {key: value}. `pairs`: KEY, VALUE, KEY, ... `parts`: {flag: name} of a free network.
    `offsets`: an offset head beside that one. `legacy`: {flag: value} of another system's flags that are no option's.
    `ignored`: flags without effect.
    """

    files: list[str] = field(default_factory=list)
    flags: dict[str, Any] = field(default_factory=dict)
    pairs: list[str] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)
    offsets: bool = False
    legacy: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)


def read(argv: list[str], legacy_flags: Collection[str]) -> CommandLine:
    """What `argv` asks for, in the types of the options. UserError for an unknown flag, or one without its value."""
    line, rest = CommandLine(), [*argv]
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or _is_number(word):
            line.pairs.append(word)
        else:
            _read_flag(line, *word.partition("="), rest, legacy_flags)
    _name_network(line)
    return line


def _read_flag(
    line: CommandLine, flag: str, equals: str, attached: str, rest: list[str], legacy_flags: Collection[str]
) -> None:
    """One flag, and as many of the `rest` of argv as it takes."""
    known = flags()
    if flag == "--cfg":
        line.files.append(_value(flag, equals, attached, rest))
    elif flag in legacy_flags:
        line.legacy[flag] = _value(flag, equals, attached, rest)
    elif flag in NEGATED:
        line.flags[NEGATED[flag]] = not _switch(flag, equals, attached, rest)
    elif flag == OFFSETS:
        line.offsets = _switch(flag, equals, attached, rest)
    elif flag in PARTS and (flag not in known or _is_word(equals, attached, rest)):
        line.parts[flag] = _value(flag, equals, attached, rest)
        line.ignored += [flag] if flag in WITHOUT_EFFECT else []
    elif flag in WITHOUT_EFFECT:
        line.ignored.append(flag)
        (_value if WITHOUT_EFFECT[flag] else _switch)(flag, equals, attached, rest)
    elif flag not in known:
        everything = [*known, *NEGATED, *PARTS, OFFSETS, *WITHOUT_EFFECT, *legacy_flags, "--cfg", "--help"]
        alike = "" if flag in everything else nearest(flag, everything)
        raise UserError(f"unknown flag {flag}{alike} (python train.py --help all lists them)")
    elif isinstance(known[flag].default, bool):
        line.flags[known[flag].key] = _switch(flag, equals, attached, rest)
    else:
        value = _value(flag, equals, attached, rest)
        while flag in SEVERAL and rest and _is_number(f"-{rest[0]}"):
            value += f",{rest.pop(0)}"
        line.flags[known[flag].key] = known[flag].coerce(value, flag)


def _name_network(line: CommandLine) -> None:
    """--trunk, --head and --scales as the network's name. --trunk alone, with a word that is none of our trunks, is an
    older flag that never did anything; beside --auto, which is no older one, it is a mistake.
    """
    parts = line.parts
    if line.offsets and not parts:
        raise UserError(f"{OFFSETS} stands beside --trunk and --head; published networks with offsets: offset....")
    named = "MODEL.ARCH" in line.flags or "MODEL.ARCH" in line.pairs[::2]
    older = [*parts] == ["--trunk"] and not archs.is_trunk(parts["--trunk"])
    if older and line.flags.get("OPTIONS.AUTO") and not named:
        archs.compose(parts["--trunk"], "plain")  # says which trunks there are
    if not parts or older:
        return
    if missing := [flag for flag in ("--trunk", "--head") if flag not in parts]:
        wanted = f"also give {missing[0]}{', in place of --arch' if named else ''}"
        raise UserError(f"{[*parts][0]} {[*parts.values()][0]} names a part of a network: {wanted}")
    if named:
        raise UserError("--arch names the whole network: leave it out, or --trunk and --head")
    if line.flags.get("EVAL.SCALES") == ():  # --scales None beside the other two
        del line.flags["EVAL.SCALES"]
    line.ignored = [flag for flag in line.ignored if flag not in parts]
    scales = parts.get("--scales", "")
    line.flags["MODEL.ARCH"] = archs.compose(parts["--trunk"], parts["--head"], scales, line.offsets)


def _is_word(equals: str, attached: str, rest: list[str]) -> bool:
    word = attached if equals else "".join(rest[:1])
    return word.isalpha() and word != "None"  # as runx writes a YAML null


def _is_number(word: str) -> bool:
    return word[1:2].isdigit() or word[1:2] == "."


def _value(flag: str, equals: str, attached: str, rest: list[str]) -> str:
    if equals:
        return attached
    if not rest or (rest[0].startswith("--") and not _is_number(rest[0])):
        raise UserError(f"{flag} needs a value")
    return rest.pop(0)


def _switch(flag: str, equals: str, attached: str, rest: list[str]) -> bool:
    """A boolean flag stands alone, or is followed by true or false, 1 or 0."""
    if not equals and not (rest and rest[0].lower() in ("true", "false", "1", "0")):
        return True
    word = attached if equals else rest.pop(0)
    if word.lower() not in WORDS:
        raise UserError(f"{flag} takes true or false, not {word!r}")
    return WORDS[word.lower()]
