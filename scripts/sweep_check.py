"""What a sweep asks train.py for, run by run as runx writes it: what would not be done is refused before."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import config
from options.table import flags
from slurm.submit import check_plain
from utils.errors import UserError, nearest

Values = Mapping[str, Any]  # {name: value} of a run, or with lists of them
TAG, SKIP = "RUNX.TAG", "RUNX.SKIP"
FOR_SLURM = ("SUBMIT_JOB.NODES", "SUBMIT_JOB.PARTITION")  # runx makes resources of them
KNOWN = ("CMD", "HPARAMS", "RESOURCES", "CODE_IGNORE_PATTERNS")
PLAIN = re.compile(r"[+-]?(0|[1-9]\d*|\d*\.\d*)([eE][+-]?\d+)?")
PLACEHOLDER = re.compile(r"<[^<>]*>|\$?\{[^{}]*\}|\$\w+|\?{3}")


def check(file: Path, experiment: Values, written: Values) -> None:
    """Raise UserError for what an experiment's runs would not do. `written`: the experiment, every value as text.

    A flag that is not known, or of another type; what runx leaves out although the recipe has it on; runs that are the
    same, or write elsewhere than to their LOGDIR; values that nobody has filled in, and lists that are no sweep.
    """
    for name in experiment:
        if name not in KNOWN and (close := nearest(name, KNOWN)):
            raise UserError(f"{file}: {name} is nothing that runx reads{close}")
    sets, texts = (tree if isinstance(tree, list) else [tree] for tree in (experiment["HPARAMS"], written["HPARAMS"]))
    for values, text in zip(sets, texts, strict=True):
        for name, value in values.items():
            _check_value(f"{file}: {name}", name, value, text[name])
    runs = [run for run in _runs(sets) if not run.get(SKIP)]
    if not runs:
        raise UserError(f"{file}: {SKIP} leaves no run")
    argv = _behind_train(experiment["CMD"])
    if argv is None:
        print(f"note: {file}: CMD calls no train.py, so its flags are not checked")
        return
    names = dict.fromkeys(name for run in runs for name in run)
    varying = [name for name in names if any(str(run.get(name)) != str(runs[0].get(name)) for run in runs)]
    _check_runs(file, argv, {_called(run, varying, i): run for i, run in enumerate(runs, 1)})


def _check_value(place: str, name: str, value: Any, written: Any) -> None:
    """Raise UserError for what is no value of a flag; `place`: where it stands."""
    if value == []:
        raise UserError(f"{place}: an empty list makes no run at all: give values, or leave it out")
    option = flags().get(f"--{name}")
    listed = option is not None and option.kind.several
    if listed and isinstance(value, list) and len(value) > 1 and not any(isinstance(one, str) for one in value):
        joined = ",".join(map(str, value))
        advice = f'for one run write "{joined}"; for a run each put every number in quotes'
        raise UserError(f"{place}: a list makes {len(value)} runs: {advice}")
    pairs = zip(value, written, strict=True) if isinstance(value, list) else [(value, written)]
    for one, text in pairs:
        if isinstance(one, (list, dict)):
            raise UserError(f"{place}: {one} is not one value: several numbers of one run are text, '512,1024'")
        if text is None or text == "":
            raise UserError(f"{place} has no value: give one, or write null where it is to be off")
        if name != TAG and (found := PLACEHOLDER.search(str(one))):
            raise UserError(f"{place}: {found[0]} stands for a value: put it there")
        check_read(place, one, text, option is not None and option.textual)
        check_plain(f"{place}:", str(one).replace("{", "").replace("}", "") if name == TAG else one)


def check_read(place: str, value: Any, written: Any, text: bool) -> None:
    """Raise UserError where YAML made something else of a `text`, or another number than one reads (010, 12:30)."""
    if value is None or isinstance(value, str):
        return
    if text:
        misread = str(value).lower() != str(written)
    elif isinstance(value, bool):
        misread = False
    else:
        misread = not PLAIN.fullmatch(str(written))
    if misread:
        raise UserError(f'{place}: YAML reads {written} as {value}: put it in quotes, "{written}"')


def _runs(sets: list[Values]) -> Iterator[dict[str, Any]]:
    """List the values of each run: every set goes on from the first, every list is a sweep."""
    for each in sets:
        values = {**sets[0], **each}
        choices = [value if isinstance(value, list) else [value] for value in values.values()]
        yield from (dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*choices))


def _behind_train(command: str) -> list[str] | None:
    """Give the words behind train.py; None for another command."""
    argv = shlex.split(command)
    return next((argv[i + 1 :] for i, word in enumerate(argv) if Path(word).name == "train.py"), None)


def _called(run: Values, varying: list[str], number: int) -> str:
    """Tell how messages call a run: by what differs between the runs."""
    differs = ", ".join(f"{name} {run[name]}" for name in varying if name in run)
    return f"run {number} ({differs})" if differs else f"run {number}"


def _check_runs(file: Path, argv: list[str], runs: Mapping[str, Values]) -> None:
    """Raise UserError for the first run that train.py refuses, that does something else, or what another one does."""
    seen: dict[str, str] = {}
    for called, run in runs.items():
        place = f"{file}, {called}" if len(runs) > 1 else str(file)
        _check_tag(place, run)
        _check_names(place, run)
        options = _asked(place, argv, run)
        _check_left_out(place, argv, run, options)
        if options["RESULT_DIR"] != "LOGDIR":
            folder = options["RESULT_DIR"]
            raise UserError(f"{place}: it would write to {folder}, not to its own folder: give result_dir: LOGDIR")
        key = json.dumps([options, [str(run.get(name)) for name in FOR_SLURM]], sort_keys=True)
        if key in seen:
            raise UserError(f"{file}: {seen[key]} and {called} do the same: give them another seed, or leave one out")
        seen[key] = called


def _check_tag(place: str, run: Values) -> None:
    """The tag becomes a part of the folder's name."""
    tag = str(run.get(TAG) or "")
    for name, value in run.items():
        tag = tag.replace(f"{{{name}}}", str(value))
    if found := PLACEHOLDER.search(tag):
        raise UserError(f"{place}: {TAG} names {found[0]}, which this run has not{nearest(found[0].strip('{}'), run)}")
    if "/" in tag:
        raise UserError(f"{place}: {TAG} becomes {tag}: a folder's name holds no /")
    check_plain(f"{place}: {TAG}:", tag)


def _check_names(place: str, run: Values) -> None:
    """Of two names of one option the last would win."""
    keys: dict[str, str] = {}
    for name in run:
        option = flags().get(f"--{name}")
        if option is not None and keys.setdefault(option.key, name) != name:
            raise UserError(f"{place}: {keys[option.key]} and {name} are one option: leave one of them out")


def _flags(run: Values) -> dict[str, Any]:
    return {name: value for name, value in run.items() if name not in (TAG, SKIP, *FOR_SLURM)}


def _asked(place: str, argv: list[str], run: Values, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """Give {key: value} of every option of the command that runx makes, with `more` words behind it."""
    # Late: --help and mistakes in settings answer at once, without torch.
    import datasets

    given = [*argv]
    for name, value in _flags(run).items():
        given += [f"--{name}"] if value is True else []
        given += [] if isinstance(value, bool) or value == "None" else [f"--{name}", *str(value).split()]
    try:
        options = config.flat(config.load([*given, *more], dry=True))
        datasets.splits.find(options["DATASET.NAME"])
    except UserError as error:
        raise UserError(f"{place}: {'; '.join(str(error).splitlines())}") from None
    return options


def _check_left_out(place: str, argv: list[str], run: Values, options: Values) -> None:
    """runx leaves out what is false, and the text None: the recipe's value stays, or that of an option file."""
    for name, value in _flags(run).items():
        if value is not False and value != "None":
            continue
        said = "false" if value is False else "None"
        if _asked(place, argv, run, (f"--{name}", said)) != options:
            cure = f'"{said}" in quotes' if value is False else "null without quotes"
            raise UserError(f"{place}: {name}: {said} is left out by runx, and the recipe has it on: write {cure}")
