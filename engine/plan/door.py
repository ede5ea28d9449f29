"""--auto: the words of a command line, completed by an options file of what nobody chose."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import config
from engine.meter import duration
from engine.plan import facts, record, rules, trial
from utils.distributed import DistributedContext, from_main
from utils.errors import UserError

# Options of one start of a run, which later starts may have otherwise.
_OF_A_START = {"RESUME", "OPTIONS.AUTO", "OPTIONS.DRY_RUN", "OPTIONS.DEVICES"}


def completed(argv: Sequence[str], cfg: Any, ranks: DistributedContext) -> list[str]:
    """Give the words of a run: `argv`, behind `--cfg` of a plan for what it does not say where it has --auto.

    A plan of an earlier start in the same folder is taken again. All ranks call it; the main one plans and says so.
    """
    if not cfg.OPTIONS.AUTO:
        return [*argv]
    return ["--cfg", from_main(ranks, partial(_plan, [*argv], cfg, ranks)), *argv]


def _plan(argv: list[str], cfg: Any, ranks: DistributedContext) -> str:
    """Plan, say each choice with its reason, and write it; gives the path of the options file."""
    parsed, folder = config.parse(argv), Path(cfg.RESULT_DIR)
    given = {key: parsed.values[key] for key in sorted({*parsed.given, *parsed.from_files} - _OF_A_START)}
    said = {key: config.OPTIONS[key].written(value) for key, value in given.items()}
    if (before := record.earlier(folder, said, bool(cfg.RESUME))) is not None:
        print(f"--auto: the plan of an earlier start is taken: {before}; delete it to plan anew", flush=True)
        return str(before)
    alone = DistributedContext(device=ranks.device)  # the others wait for this process
    data, machine = facts.of_data(cfg, alone), facts.of_machine(cfg, ranks)
    print(_looked_at(data, machine), flush=True)
    start = rules.choices(data, machine, given)
    measure = partial(_measured, argv, data.images)
    chosen, found = trial.fitted(start, rules.batch(machine, data.images), given, machine.memory, measure)
    values = given | {choice.key: choice.value for choice in chosen}
    seconds = found.seconds / (int(values["TRAIN.BATCH_SIZE"]) * machine.world)
    limit = float(cfg.TRAIN.TIME_LIMIT)
    length = [] if {"TRAIN.MAX_EPOCH", "TRAIN.MAX_ITERS"} & {*given} else [rules.epochs(data, machine, seconds, limit)]
    epochs = int(length[0].value) if length else int(parsed.values["TRAIN.MAX_EPOCH"])
    expected = min(epochs * data.images * seconds, limit or math.inf)
    length += rules.ending(expected / (data.images * seconds), cfg.TRAIN.PATIENCE)
    chosen += [choice for choice in length if choice.key not in given]
    figures = record.Figures(expected, found.peak / 2**30)
    for choice in chosen:
        print(f"  {config.OPTIONS[choice.key].name} {_shown(choice)}: {choice.reason}")
    if given:
        print(f"  yours, and left as they are: {', '.join(sorted(config.OPTIONS[key].name for key in given))}")
    path = record.write(folder, chosen, figures, said, shlex.join(argv))
    total = f"{duration(figures.seconds)} of training without validations, {figures.peak_gib:.1f} GiB"
    print(f"--auto: {total}, by {trial.STEPS} steps that were tried; {path} has the plan", flush=True)
    return str(path)


def _measured(argv: Sequence[str], images: int, values: Mapping[str, Any]) -> trial.Measured:
    """Try a few steps with these values; the words of the command line win, as they do in the run."""
    print(f"--auto: {trial.STEPS} steps of {values['TRAIN.BATCH_SIZE']} images are tried ...", flush=True)
    options = record.yaml_text([rules.Choice(key, value, "tried") for key, value in values.items()])
    try:
        return trial.run(argv, options)
    except UserError as error:
        if images > 1:
            raise
        raise UserError(f"{error}; there is one training image, so that no batch has two: add some") from None


def _looked_at(data: facts.DataFacts, machine: facts.MachineFacts) -> str:
    size = f"{data.size[1]}x{data.size[0]}"
    name, share = data.rarest
    if not name:
        raise UserError(f"--auto: none of the {data.looked_at} labels that were looked at has a pixel of a class")
    seen = f"{data.images} training images, about {size}; {len(data.classes)} classes, the rarest {name} with "
    seen += f"{100 * share:.2f} % of the pixels of {data.looked_at} labels"
    beside = f" in each of {machine.world} processes" if machine.world > 1 else ""
    return f"--auto: {seen}; {machine.name}{beside}, {machine.memory / 2**30:.1f} GiB free"


def _shown(choice: rules.Choice) -> str:
    value = config.OPTIONS[choice.key].written(choice.value)
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
