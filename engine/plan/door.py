"""The words of a command line, completed by what is planned: --auto by an options file of what nobody chose,
--max_memory by pairs of what fits; --plan prints what a run takes."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import config
from engine.meter import duration
from engine.plan import estimate, facts, fit, record, rules, trace, trial
from utils.distributed import DistributedContext, from_main
from utils.errors import UserError

# Options of one start of a run, which later starts may have otherwise.
_STARTS = ("AUTO", "DRY_RUN", "DEVICES", "PLAN", "PLAN_DEVICE", "TFLOPS", "MAX_MEMORY")
_OF_A_START = {"RESUME", *(f"OPTIONS.{name}" for name in _STARTS)}


def completed(argv: Sequence[str], cfg: Any, ranks: DistributedContext) -> list[str] | None:
    """Give the words of a run: `argv`, behind `--cfg` of a plan for what it does not say where it has --auto, before
    pairs of what fits where it has --max_memory. None where a plan alone is asked for, by --plan or --dry_run.

    A plan of an earlier start in the same folder is taken again. All ranks call it; the main one plans and says so.
    """
    o, words = cfg.OPTIONS, [*argv]
    if (o.PLAN or o.MAX_MEMORY) and not (o.AUTO or cfg.MODEL.ARCH):
        raise UserError(f"{'--plan' if o.PLAN else '--max_memory'} needs a network: give --arch, or --trunk and --head")
    if o.AUTO:
        words = ["--cfg", from_main(ranks, partial(_plan, words, cfg, ranks)), *words]
    if o.MAX_MEMORY:
        words += from_main(ranks, partial(_fitting, words, ranks))
    if o.PLAN:
        from_main(ranks, partial(_estimated, words, ranks))
    if not (o.PLAN or o.DRY_RUN):
        return words
    if cfg.WITHOUT_EFFECT and ranks.is_main:  # there is no run whose log would say it
        print(f"warning: without effect: {' '.join(cfg.WITHOUT_EFFECT)}", flush=True)
    return None


def _device(cfg: Any, ranks: DistributedContext) -> torch.device:
    name = cfg.OPTIONS.PLAN_DEVICE
    return ranks.device if name == "auto" else torch.device(name)


def _world(cfg: Any, ranks: DistributedContext) -> int:
    return max(ranks.world, len(cfg.OPTIONS.DEVICES))


def _fitting(words: list[str], ranks: DistributedContext) -> list[str]:
    """Choose what fits, say so, and give it as KEY VALUE pairs."""
    cfg = config.load(words)
    found, lines = fit.choices(
        cfg, _device(cfg, ranks), _world(cfg, ranks), lambda choices: config.load([*words, *_pairs(choices)])
    )
    print("\n".join(lines), flush=True)
    return _pairs(found)


def _pairs(choices: Sequence[rules.Choice]) -> list[str]:
    return [word for choice in choices for word in (choice.key, str(choice.value))]


def _estimated(words: list[str], ranks: DistributedContext) -> None:
    cfg = config.load(words)
    for line in estimate.lines(cfg, _device(cfg, ranks), _world(cfg, ranks)):
        print(line, flush=True)


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
    measure = partial(_measured, argv, ranks, data.images, machine.memory)
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


def _measured(
    argv: Sequence[str], ranks: DistributedContext, images: int, memory: int, values: Mapping[str, Any]
) -> trial.Measured:
    """Try a few steps with these values, unless their trace needs more than the `memory` that is free; the words of
    the command line win, as they do in the run.
    """
    options = record.yaml_text([rules.Choice(key, value, "tried") for key, value in values.items()])
    batch = f"{values['TRAIN.BATCH_SIZE']} images"
    if (peak := _traced(argv, options, ranks)) > trial.SHARE * memory:
        print(f"--auto: a step of {batch} would take {estimate.gib(peak)} by its trace: it is not tried", flush=True)
        raise trial.TooLarge
    print(f"--auto: {trial.STEPS} steps of {batch} are tried ...", flush=True)
    try:
        return trial.run(argv, options)
    except UserError as error:
        if images > 1:
            raise
        raise UserError(f"{error}; there is one training image, so that no batch has two: add some") from None


def _traced(argv: Sequence[str], options: str, ranks: DistributedContext) -> int:
    """Give the peak of a step with an options file of this text, by its trace; 0, and a line, where there is none."""
    with TemporaryDirectory(prefix="streetscale-plan-") as folder:
        file = Path(folder, "traced.yaml")
        file.write_text(options, encoding="utf-8")
        cfg = config.load(["--cfg", str(file), *argv])
    try:
        return trace.training(cfg, ranks.device, ranks.world).bytes
    except UserError as error:
        print(f"--auto: {error}", flush=True)
        return 0


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
