"""From a command line to the yacs tree: the table in `options` makes the tree, the flags and `--help`.

Precedence: defaults < `--cfg FILE.yaml` (several allowed, in order) < flags < trailing `KEY VALUE` pairs.
Published flags keep their names, defaults and meaning; "" is "off" for a string, -1 or 0 for a number as
its help says. `load` gives a frozen CfgNode.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from yacs.config import CfgNode

import compat
from options import arch_help, archs, commandline, unread_options
from options import help as helptext
from options.checks import problems
from options.files import Foreign
from options.files import read as read_file
from options.foreign import ForeignConfig, ParseContext
from options.table import OPTIONS, defaults, get
from utils import runfolders
from utils.errors import UserError, nearest

# Whose option files are read beside ours, and their flags that are no option's.
FOREIGN_CONFIGS: tuple[ForeignConfig, ...] = tuple(part.SYSTEM for part in compat.parts("options"))
LEGACY_FLAGS = {flag: text for system in FOREIGN_CONFIGS for flag, text in system.legacy_flags.items()}


class Parsed(NamedTuple):
    """{key: value} of every option, flags without effect, keys that the command line changes, keys of its files."""

    values: dict[str, Any]
    ignored: list[str]
    given: set[str]
    from_files: set[str]


def load(
    argv: Sequence[str] | None = None, checkpoint_config: Mapping[str, Any] | None = None, dry: bool = False
) -> CfgNode:
    """Make the frozen configuration of a command line (without the program's name).

    `checkpoint_config`: {key: value} that a checkpoint holds, in place of the defaults. `dry`: nothing is looked up in
    the dataset's folder, so that its classes stay unknown. UserError, with every problem in it, for what is wrong.
    """
    checkpoint_config = checkpoint_config or {}
    parsed = parse(argv or [], checkpoint_config)
    # A checkpoint's sizes are those of its own dataset.
    if checkpoint_config and parsed.values["DATASET.NAME"] != checkpoint_config.get("DATASET.NAME"):
        others = {key: x for key, x in checkpoint_config.items() if key != "DATASET.IMG_SIZES"}
        parsed = parse(argv or [], others)
    values = _expand_paths(parsed.values)
    values["SNAPSHOT"], note = runfolders.checkpoint_in(values["SNAPSHOT"])
    cfg = _tree(values)
    cfg.NOTES = [note] if note else []  # what the log should say of how options were understood
    cfg.WITHOUT_EFFECT = [*parsed.ignored, *unread_options.notes(values, parsed.given, parsed.from_files)]
    if not dry:
        told = "DATASET.NAME" in checkpoint_config and "DATASET.NAME" not in parsed.given
        if not (told and _brings_classes(cfg)):
            _fill_classes(cfg, f"checkpoint {cfg.RESUME or cfg.SNAPSHOT}: " if told else "")
    theirs = [line for system in FOREIGN_CONFIGS for line, holds in system.problems(cfg).items() if holds]
    found = [*problems(cfg), *theirs, *unread_options.refused(values, parsed.given)]
    if found:
        raise UserError("\n".join(found))
    cfg.freeze()
    return cfg


def parse(argv: Sequence[str], checkpoint_config: Mapping[str, Any] | None = None) -> Parsed:
    """Read what a command line says, paths and contradictions unchecked."""
    line = commandline.read([*argv], LEGACY_FLAGS)
    values = defaults() | from_record(checkpoint_config or {})
    published = values["PUBLISHED"]  # a checkpoint's are its network's: others come on top
    foreign: Foreign = {system.name: {} for system in FOREIGN_CONFIGS}
    from_files, later = _read_files(line.files, values, foreign)
    chosen = line.flags | _read_pairs(line.pairs, foreign)
    if _resumes(chosen):  # a start that a file names is over then
        values["SNAPSHOT"] = ""
    values |= chosen
    values["PUBLISHED"] = tuple(dict.fromkeys((*published, *values["PUBLISHED"])))
    ignored = line.ignored
    for system in FOREIGN_CONFIGS:
        context = ParseContext(foreign[system.name], line.legacy, values, {*chosen, *later}, line.files)
        overrides = _overrides(system, context)
        ignored += system.ignored_flags(context)
        values |= overrides
        from_files |= overrides.keys()
    _name_network(values, chosen)
    _place_dataset(values)
    _set_window(values, line.flags, chosen)
    _count_iterations(values)
    return Parsed(values, ignored, _asked(line.flags, chosen), from_files)


def from_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Read {key: value} of a checkpoint, of this code or an older one, in the options' types; drop other keys."""
    return {key: OPTIONS[key].coerce(value, key) for key, value in record.items() if key in OPTIONS}


def as_written(record: Mapping[str, Any]) -> dict[str, Any]:
    """Read {key: value} of a record of any age as `flat` writes it; what is no value any more stays."""
    found = {}
    for key in [key for key in record if key in OPTIONS]:
        try:
            found[key] = OPTIONS[key].written(OPTIONS[key].coerce(record[key], key))
        except UserError:
            found[key] = record[key]
    return found


def help_text(topic: str = "") -> str:
    """Give the text of `--help`; `topic`: "all" options, or "arch", the networks."""
    if topic == "arch":
        return arch_help.text()
    legacy = {system.name: system.legacy_flags for system in FOREIGN_CONFIGS if system.legacy_flags}
    return helptext.help_text(topic == "all", legacy)


def _read_files(files: Sequence[str], values: dict[str, Any], foreign: Foreign) -> tuple[set[str], set[str]]:
    """Put what files say into `values`, in their order, and into `foreign` what others' say under their keys.

    Gives the keys of all files, and of those of ours that stand behind one of others.
    """
    everything: set[str] = set()
    later: set[str] = set()
    for file in files:
        found, ours = read_file(file, FOREIGN_CONFIGS, foreign)
        values |= found
        everything |= found.keys()
        later = later | {*found} if ours and any(foreign.values()) else set()
    return everything, later


def _resumes(values: Mapping[str, Any]) -> bool:
    return values.get("RESUME", "") not in ("", "auto")


def _overrides(system: ForeignConfig, context: ParseContext) -> dict[str, Any]:
    """Give {key: value} of what takes several of another system's keys."""
    found = {key: OPTIONS[key].coerce(value, key) for key, value in system.overrides(context).items()}
    if _resumes(context.values):
        found.pop("SNAPSHOT", None)
    return found


def _name_network(values: dict[str, Any], chosen: Collection[str]) -> None:
    """Put in the network's recorded name; UserError for an unknown one."""
    name = values["MODEL.ARCH"].removeprefix("network.")  # some commands write it
    if "MODEL.ARCH" not in chosen and {"MODEL.ENCODER", "MODEL.DECODER"} & {*chosen}:
        name = "encoder_decoder"
    values["MODEL.ARCH"] = archs.canonical(name) if name else ""


def _place_dataset(values: dict[str, Any]) -> None:
    """A dataset's file is recorded by its whole path: runs that go on may start elsewhere."""
    if values["DATASET.NAME"].lower().endswith((".yaml", ".yml")):
        values["DATASET.NAME"] = os.path.abspath(os.path.expanduser(values["DATASET.NAME"]))


def _set_window(values: dict[str, Any], flags: Mapping[str, Any], chosen: Collection[str]) -> None:
    """Published commands that slide have no training crop: their --crop_size is the window."""
    slides = bool(values["EVAL.MODE"]) and values["EVAL.INFERENCE_MODE"] == "sliding"
    if slides and "DATASET.CROP_SIZE" in flags and "EVAL.WINDOW" not in chosen:
        crop = OPTIONS["DATASET.CROP_SIZE"].written(flags["DATASET.CROP_SIZE"])
        values["EVAL.WINDOW"] = OPTIONS["EVAL.WINDOW"].coerce(crop, "sliding: --crop_size")


def _count_iterations(values: dict[str, Any]) -> None:
    """How long a run is: --epoch_iters and --test_mode as iterations, iterations as rounds of --save_interval."""
    if values["TRAIN.EPOCH_ITERS"] > 0:
        for key, flag in (("TRAIN.MAX_ITERS", "--max_iters"), ("TRAIN.SAVE_INTERVAL", "--save_interval")):
            if values[key] not in (OPTIONS[key].default, values["TRAIN.EPOCH_ITERS"]):
                said = "--epoch_iters with --max_epoch says how long a run and its epochs are"
                raise UserError(f"{said}: leave {flag} out")
        values["TRAIN.MAX_ITERS"] = values["TRAIN.MAX_EPOCH"] * values["TRAIN.EPOCH_ITERS"]
        values["TRAIN.SAVE_INTERVAL"] = values["TRAIN.EPOCH_ITERS"]
    if values["OPTIONS.TEST_MODE"]:
        values["TRAIN.MAX_EPOCH"] = min(2, values["TRAIN.MAX_EPOCH"])
        values["TRAIN.SAVE_INTERVAL"] = min(11, values["TRAIN.SAVE_INTERVAL"])
        values["TRAIN.MAX_ITERS"] = min(22, values["TRAIN.MAX_ITERS"])
    if values["TRAIN.MAX_ITERS"] > 0:  # an epoch of the log, the checkpoints and the schedule is such a round
        values["TRAIN.MAX_EPOCH"] = -(-values["TRAIN.MAX_ITERS"] // max(1, values["TRAIN.SAVE_INTERVAL"]))


def _asked(flags: Collection[str], chosen: Mapping[str, Any]) -> set[str]:
    """Give the keys that the command line asks for: a pair with the default is what a record of all options has."""
    return {*flags, *(key for key, value in chosen.items() if value != OPTIONS[key].default)}


def _expand_paths(values: Mapping[str, Any]) -> dict[str, Any]:
    """Put the folder of large files in place of ASSETS_PATH in all texts, and the home in place of ~."""
    assets = os.path.expanduser(values["ASSETS_PATH"])
    found = {key: value.replace("ASSETS_PATH", assets) if isinstance(value, str) else value
             for key, value in values.items()}  # fmt: skip
    # In a YAML file and behind `--flag=` the shell does not do it.
    found |= {k: os.path.expanduser(v) for k, v in found.items() if isinstance(v, str) and v.startswith("~/")}
    return found | {"ASSETS_PATH": assets}


def unread(cfg: CfgNode) -> dict[str, unread_options.Reader]:
    """Give {key: what reads it} of options that this run does not read."""
    return unread_options.unread({key: get(cfg, key) for key in OPTIONS})


def _tree(values: dict[str, Any]) -> CfgNode:
    cfg = CfgNode()
    for key, value in values.items():
        node = cfg
        *parents, leaf = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, CfgNode())
        node[leaf] = value
    return cfg


def _brings_classes(cfg: CfgNode) -> bool:
    """Say whether a checkpoint that predicts new pictures was trained on a dataset's file that need not be here."""
    import datasets

    if cfg.EVAL.MODE != "folder" or cfg.DATASET.NUM_CLASSES == 0 or not cfg.DATASET.NAME.endswith((".yaml", ".yml")):
        return False
    try:
        datasets.splits.find(cfg)
    except UserError:
        return True
    return False


def _fill_classes(cfg: CfgNode, teller: str) -> None:
    """Look up what the dataset decides; `teller`: who named it, stands before a mistake in the name alone."""
    import datasets  # late: `--help` and wrong flags answer at once, without torch

    try:
        datasets.splits.find(cfg)
    except UserError as error:
        raise UserError(f"{teller}{error}") from None
    datasets.resolve(cfg)
    if cfg.DATASET.NUM_CLASSES == 0:
        cfg.DATASET.NUM_CLASSES = datasets.spec(cfg).num_classes


def _read_pairs(pairs: Sequence[str], foreign: Foreign) -> dict[str, Any]:
    """Give {key: value} of KEY VALUE pairs. Those with another system's keys are also noted in `foreign`."""
    values: dict[str, Any] = {}
    for i in range(0, len(pairs), 2):
        key, system = pairs[i], _owner(pairs[i], foreign)
        if i + 1 == len(pairs):
            raise UserError(f"key {key} needs a value after it")
        if system is None:
            values[key] = OPTIONS[key].coerce(pairs[i + 1], key)
            continue
        foreign[system.name][key] = pairs[i + 1]
        found = system.translate({key: pairs[i + 1]})
        values |= {ours: OPTIONS[ours].coerce(value, key) for _, ours, value in found}
    return values


def _owner(key: str, foreign: Foreign) -> ForeignConfig | None:
    """Whose key it is, None: ours. Behind a file of another system its keys come first."""
    able = [system for system in FOREIGN_CONFIGS if foreign[system.name]]
    for system in able:
        if key in system.keys:
            return system
    if key in OPTIONS:
        return None
    for system in FOREIGN_CONFIGS:
        if key in system.keys and system.anywhere:
            return system
        if key in system.keys:
            raise UserError(
                f"{key} is a key of {system.name}'s files: give one with --cfg, or take the key here, --help all"
            )
    known = [*OPTIONS, *(name for system in able for name in system.keys)]
    raise UserError(f"unknown key {key!r}{nearest(key, known)} (a command line ends in KEY VALUE pairs)")


def flat(cfg: CfgNode) -> dict[str, Any]:
    """Give {dotted key: value} of every option, for files of record: numbers, truths, text, lists of numbers."""
    return {key: option.written(get(cfg, key)) for key, option in OPTIONS.items()}


def hparams(cfg: CfgNode) -> dict[str, Any]:
    """Give {flag or key: value} of every option, under the names by which people sweep them.

    Paths are written so that runs with the same settings have the same text wherever their code was copied to.
    """
    values = {key: _plain(value, cfg.ASSETS_PATH) for key, value in flat(cfg).items() if key != "ASSETS_PATH"}
    return {OPTIONS[key].name.lstrip("-"): value for key, value in values.items()}


def _plain(value: Any, assets: str) -> Any:
    """Give a value for files of record: ASSETS_PATH in place of the folder of large files, no `..` inside a path."""
    if not isinstance(value, str):
        return value
    if assets and (value == assets or value.startswith(assets.rstrip("/") + "/")):
        value = "ASSETS_PATH" + value[len(assets.rstrip("/")) :]
    return os.path.normpath(value) if "/.." in value else value
