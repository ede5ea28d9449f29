"""From a command line to the yacs tree: the table in `options` makes the tree, the flags and `--help`.

Precedence: defaults < `--cfg FILE.yaml` (several allowed, in order) < flags < trailing `KEY VALUE` pairs.
Flags of NVIDIA's train.py keep their names, defaults and meaning; "" is "off" for a string, -1 or 0 for a number as
its help says. `load` gives a frozen CfgNode.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from yacs.config import CfgNode

import compat
from options import reads
from options.checks import problems
from options.files import Words
from options.files import read as read_file
from options.foreign import Asked, System
from options.table import NEGATED, OPTIONS, SEVERAL, WITHOUT_EFFECT, defaults, flags, get
from options.values import WORDS, coerce
from utils.errors import UserError, nearest

# Whose option files are read beside ours, and their flags that are no option's.
SYSTEMS: tuple[System, ...] = tuple(room.SYSTEM for room in compat.parts("options"))
LEGACY_FLAGS = {flag: text for system in SYSTEMS for flag, text in system.legacy_flags.items()}


class Parsed(NamedTuple):
    """{key: value} of every option, flags without effect, keys that the command line changes, keys of its files."""

    values: dict[str, Any]
    idle: list[str]
    given: set[str]
    filed: set[str]


def load(argv: Sequence[str] | None = None, recorded: Mapping[str, Any] | None = None, dry: bool = False) -> CfgNode:
    """Frozen configuration of a command line (without the program's name).

    `recorded`: {key: value} that a checkpoint holds; they stand in place of the defaults. `dry`: nothing is looked
    up in the dataset's folder, so that its classes stay unknown. Raises UserError, with every
    problem in it, for what does not exist or contradicts itself.
    """
    parsed = parse(argv or [], recorded)
    # A checkpoint's sizes are those of its own dataset.
    if recorded and parsed.values["DATASET.NAME"] != recorded.get("DATASET.NAME"):
        parsed = parse(argv or [], {key: x for key, x in recorded.items() if key != "DATASET.IMG_SIZES"})
    values = parsed.values
    assets = os.path.expanduser(values["ASSETS_PATH"])
    for key, value in values.items():
        if isinstance(value, str):
            values[key] = assets if key == "ASSETS_PATH" else value.replace("ASSETS_PATH", assets)
            if value.startswith("~/"):  # in a YAML file and behind `--flag=` the shell does not do it
                values[key] = os.path.expanduser(values[key])
    cfg = _tree(values)
    cfg.WITHOUT_EFFECT = [*parsed.idle, *reads.notes(values, parsed.given, parsed.filed)]
    if not dry:
        _fill_classes(cfg)
    found = [*problems(cfg), *reads.refused(values, parsed.given)]
    if found:
        raise UserError("\n".join(found))
    cfg.freeze()
    return cfg


def parse(argv: Sequence[str], recorded: Mapping[str, Any] | None = None) -> Parsed:
    """Command line -> what it says, paths and choices unchecked."""
    values = defaults()
    values.update({key: coerce(OPTIONS[key], value, key) for key, value in (recorded or {}).items() if key in OPTIONS})
    files, given, loose, older, idle = _split(list(argv))
    told: Words = {system.name: {} for system in SYSTEMS}
    filed: set[str] = set()
    later: set[str] = set()  # keys of files of ours behind one of others
    for file in files:
        found, ours = read_file(file, SYSTEMS, told)
        values.update(found)
        filed |= found.keys()
        later = later | {*found} if ours and any(told.values()) else set()
    pairs = _read_pairs(loose, told)
    if (given | pairs).get("RESUME", "") not in ("", "auto"):  # a start that a file names is over then
        values["SNAPSHOT"] = ""
    values.update(given)
    values.update(pairs)
    if slips := (recorded or {}).get("PUBLISHED"):  # a checkpoint's are its network's: others come on top
        values["PUBLISHED"] = f"{slips},{values['PUBLISHED']}"
    for system in SYSTEMS:
        asked = Asked(told[system.name], older, values, {*given, *pairs, *later}, files)
        placed = system.places(asked)
        if values["RESUME"] not in ("", "auto"):
            placed.pop("SNAPSHOT", None)
        idle += system.idle(asked)
        values.update({key: coerce(OPTIONS[key], value, key) for key, value in placed.items()})
        filed |= placed.keys()
    values["MODEL.ARCH"] = values["MODEL.ARCH"].removeprefix("network.")  # sdcnet's way to write it
    if "MODEL.ARCH" not in given | pairs and {"MODEL.ENCODER", "MODEL.DECODER"} & {*given, *pairs}:
        values["MODEL.ARCH"] = "encoder_decoder"
    # eval.py of the sdcnet branch has no training crop: its --crop_size is the window.
    if "DATASET.CROP_SIZE" in given and "EVAL.WINDOW" not in given | pairs and _slides(values):
        values["EVAL.WINDOW"] = coerce(OPTIONS["EVAL.WINDOW"], given["DATASET.CROP_SIZE"], "sliding: --crop_size")
    if values["TRAIN.EPOCH_ITERS"] > 0:
        for key, flag in (("TRAIN.MAX_ITERS", "--max_iters"), ("TRAIN.SAVE_INTERVAL", "--save_interval")):
            if values[key] not in (OPTIONS[key].default, values["TRAIN.EPOCH_ITERS"]):
                raise UserError(
                    f"--epoch_iters with --max_epoch says how long a run and its epochs are: leave {flag} out"
                )
        values["TRAIN.MAX_ITERS"] = values["TRAIN.MAX_EPOCH"] * values["TRAIN.EPOCH_ITERS"]
        values["TRAIN.SAVE_INTERVAL"] = values["TRAIN.EPOCH_ITERS"]
    if values["OPTIONS.TEST_MODE"]:
        values["TRAIN.MAX_EPOCH"] = min(2, values["TRAIN.MAX_EPOCH"])
        values["TRAIN.SAVE_INTERVAL"] = min(11, values["TRAIN.SAVE_INTERVAL"])
        values["TRAIN.MAX_ITERS"] = min(22, values["TRAIN.MAX_ITERS"])
    if values["TRAIN.MAX_ITERS"] > 0:  # an epoch of the log, the checkpoints and the schedule is such a round
        values["TRAIN.MAX_EPOCH"] = -(-values["TRAIN.MAX_ITERS"] // max(1, values["TRAIN.SAVE_INTERVAL"]))
    # A pair with the default is what a record of all options has.
    asked = {*given, *(key for key, value in pairs.items() if value != OPTIONS[key].default)}
    return Parsed(values, idle, asked, filed)


def unread(cfg: CfgNode) -> dict[str, str]:
    """{key: what it is of} of options that this run does not read."""
    return reads.unread(flat(cfg))


def _slides(values: Mapping[str, Any]) -> bool:
    return bool(values["EVAL.MODE"]) and values["EVAL.INFERENCE_MODE"] == "sliding"


def _tree(values: dict[str, Any]) -> CfgNode:
    cfg = CfgNode()
    for key, value in values.items():
        node = cfg
        *parents, leaf = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, CfgNode())
        node[leaf] = value
    names = [name.strip() for name in values["PUBLISHED"].split(",")]
    cfg.PUBLISHED = tuple(dict.fromkeys(name for name in names if name))
    return cfg


def _fill_classes(cfg: CfgNode) -> None:
    import datasets  # late: `--help` and wrong flags answer at once, without torch

    datasets.resolve(cfg)
    if cfg.DATASET.NUM_CLASSES == 0:
        cfg.DATASET.NUM_CLASSES = datasets.spec(cfg).num_classes


def _split(argv: list[str]) -> tuple[list[str], dict[str, Any], list[str], dict[str, str], list[str]]:
    """Command line -> (cfg files, values by flag, words of KEY VALUE, older flags, flags without effect)."""
    known = flags()
    files: list[str] = []
    given: dict[str, Any] = {}
    older: dict[str, str] = {}
    idle: list[str] = []
    loose: list[str] = []
    while argv:
        word = argv.pop(0)
        flag, equals, attached = word.partition("=")
        if not word.startswith("-") or _is_number(word):
            loose.append(word)
        elif flag == "--cfg":
            files.append(_value(flag, equals, attached, argv))
        elif flag in LEGACY_FLAGS:
            older[flag] = _value(flag, equals, attached, argv)
        elif flag in NEGATED:
            given[NEGATED[flag]] = not _switch(flag, equals, attached, argv)
        elif flag in WITHOUT_EFFECT:
            idle.append(flag)
            take = _value if WITHOUT_EFFECT[flag] else _switch
            take(flag, equals, attached, argv)
        elif flag in known:
            option = known[flag]
            if isinstance(option.default, bool):
                given[option.key] = _switch(flag, equals, attached, argv)
            else:
                value = _value(flag, equals, attached, argv)
                while flag in SEVERAL and argv and _is_number(f"-{argv[0]}"):
                    value += f",{argv.pop(0)}"
                given[option.key] = coerce(option, value, flag)
        else:
            everything = [*known, *NEGATED, *WITHOUT_EFFECT, *LEGACY_FLAGS, "--cfg", "--help"]
            raise UserError(f"unknown flag {flag}{nearest(flag, everything)} (python train.py --help all lists them)")
    return files, given, loose, older, idle


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


def _read_pairs(loose: list[str], told: Words) -> dict[str, Any]:
    """KEY VALUE pairs. What they say in the words of another system is noted in `told`, too."""
    values: dict[str, Any] = {}
    while loose:
        key = loose.pop(0)
        system = _owner(key, told)
        if not loose:
            raise UserError(f"key {key} needs a value after it")
        value = loose.pop(0)
        if system is None:
            values[key] = coerce(OPTIONS[key], value, key)
            continue
        told[system.name][key] = value
        values.update({ours: coerce(OPTIONS[ours], new, key) for _, ours, new in system.translated({key: value})})
    return values


def _owner(key: str, told: Words) -> System | None:
    """Whose key it is, None: ours. Behind a file of another system its keys come first."""
    able = [system for system in SYSTEMS if told[system.name]]
    for system in able:
        if key in system.keys:
            return system
    if key in OPTIONS:
        return None
    for system in SYSTEMS:
        if key in system.keys and system.anywhere:
            return system
        if key in system.keys:
            raise UserError(
                f"{key} is a key of {system.name}'s files: give one with --cfg, or take the key here, --help all"
            )
    known = [*OPTIONS, *(name for system in able for name in system.keys)]
    raise UserError(f"unknown key {key!r}{nearest(key, known)} (a command line ends in KEY VALUE pairs)")


def flat(cfg: CfgNode) -> dict[str, Any]:
    """{dotted key: value} of every option, for files of record."""
    return {key: ",".join(cfg.PUBLISHED) if key == "PUBLISHED" else get(cfg, key) for key in OPTIONS}


def hparams(cfg: CfgNode) -> dict[str, Any]:
    """{flag or key: value} of every option, under the names by which people sweep them.

    Paths are written so that runs with the same settings have the same text, whatever folder their code was copied to.
    """
    values = {key: _plain(value, cfg.ASSETS_PATH) for key, value in flat(cfg).items() if key != "ASSETS_PATH"}
    return {OPTIONS[key].name.lstrip("-"): value for key, value in values.items()}


def _plain(value: Any, assets: str) -> Any:
    """A value for files of record: the folder of large files by its word, no `..` inside a path."""
    if not isinstance(value, str):
        return value
    if assets and (value == assets or value.startswith(assets.rstrip("/") + "/")):
        value = "ASSETS_PATH" + value[len(assets.rstrip("/")) :]
    return os.path.normpath(value) if "/.." in value else value
