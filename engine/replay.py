"""A step of a training once more: the checkpoint before it, its options, and the training as it stood there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from yacs.config import CfgNode

import config
import datasets
import network
from engine import checkpoint
from engine.anatomy import Watched
from engine.log import RunLog
from engine.meter import StepMeter
from engine.session import Run, Start
from engine.training import Trainer, build_trainer
from utils import amp, machine, textfile
from utils.distributed import DistributedContext
from utils.errors import UserError, clipped

# The line of a start in train.log, behind its time: network, dataset, processes. Names of files stand in other lines.
_HEADER = re.compile(r"^[-\d]+ [:\d]+ [^\s,/]+, .*, ([1-9]\d{0,5}) process\(es\) on \w+, run folder ", re.MULTILINE)
_NEAR = 1000  # epochs to each side in which a step is looked for, where they differ in length


class Place(NamedTuple):
    """A batch of a run: its epoch, counted from 0, and its iteration there, counted from 1; in order of time."""

    epoch: int
    iteration: int


class Record(NamedTuple):
    """What a checkpoint tells: the first batch after it, and the options and the machine that wrote it."""

    place: Place
    path: Path
    options: Mapping[str, Any]
    machine: Mapping[str, str]
    world: int


class Plan(NamedTuple):
    """A step to do again: the checkpoint before it (None: the run's start), remarks on whether bits can be equal."""

    target: Place
    source: Record | None
    notes: list[str]

    def opening(self) -> list[str]:
        """Say what is done again from where, and what may differ."""
        source = self.source.path if self.source else "the run's start"
        step = f"epoch {self.target.epoch}, iteration {self.target.iteration}, from {source}"
        return [step, *(f"note: {note}" for note in self.notes)]

    def batches(self, trainer: Trainer) -> int:
        """Count the batches from where a training stands to the end of the step."""
        state, (epoch, iteration) = trainer.state, self.target
        return (epoch - state.epoch - 1) * len(trainer.loader) + iteration - state.iteration


def world_of(folder: Path) -> int:
    """Count the processes of a run's last start by its log."""
    log = folder / "train.log"
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    return int((_HEADER.findall(text) or ["1"])[-1])


def records(folder: Path, notes: list[str]) -> list[Record]:
    """Read all intact checkpoints of a run, in order of time; damaged ones go to `notes`."""
    found = []
    for path in sorted(folder.glob("*checkpoint_ep*.pth")):
        try:
            kept = checkpoint.load(path)
        except UserError as error:
            notes.append(f"left out: {error}")
            continue
        place = Place(kept["epoch"] + 1, kept["iteration"] + 1)
        found.append(Record(place, path, kept["config"], kept.get("versions", {}), kept["world"]))
    return sorted(found, key=lambda record: record.place)


def started_with(folder: Path, known: Sequence[Record]) -> dict[str, Any]:
    """Read {key: value} of the options of a run's last start. UserError for a folder that is none of a training."""
    file = folder / "hparams.json"
    if not file.is_file():
        raise UserError(f"{folder} is no run folder (no hparams.json): give the --result_dir of a training")
    try:
        told = textfile.read_json(file)
        keys = {option.name.lstrip("-"): key for key, option in config.OPTIONS.items()}
        values = {keys[name]: value for name, value in told.items() if name in keys}
    except (ValueError, AttributeError) as error:
        raise UserError(f"{file} cannot be read ({error}): it is the record of the run's options") from None
    if mode := values.get("EVAL.MODE"):
        raise UserError(f"{folder} is the folder of an evaluation (--eval {mode}): give the --result_dir of a training")
    return {
        key: record.options[key] for record in known[-1:] for key in ("ASSETS_PATH",) if key in record.options
    } | values


def read_config(options: Mapping[str, Any], argv: Sequence[str], scratch: Path) -> CfgNode:
    """Make the options of a run that is recorded whole; `argv` changes some of them.

    Nothing is written where a record says, nor started without bound: class centroids go to `scratch`, which gets links
    to those that are there, nothing is kept decoded, and there are no more loader processes than cores.
    """
    key = "DATASET.NUM_WORKERS"
    workers = config.OPTIONS[key].coerce(options.get(key, 0), key)
    kept = {**options, "DATASET.DUMP_IMAGES": False, "OPTIONS.DEVICES": "", "DATASET.CACHE_DECODED": ""}
    kept[key] = min(workers, os.cpu_count() or 1)
    if kept.get("TRAIN.EPOCH_ITERS"):  # what follows from it is made anew
        kept = {key: x for key, x in kept.items() if key not in ("TRAIN.MAX_ITERS", "TRAIN.SAVE_INTERVAL")}
    cfg = config.load(argv, kept)
    for file in Path(cfg.DATASET.CENTROID_ROOT).glob("*.npz"):
        with suppress(FileExistsError):
            (scratch / file.name).symlink_to(file.resolve())
    cfg.defrost()
    cfg.DATASET.CENTROID_ROOT = str(scratch)
    cfg.freeze()
    return cfg


def plan(
    folder: Path, step: str, argv: Sequence[str], ranks: DistributedContext, scratch: Path
) -> tuple[CfgNode, Plan]:
    """Choose the options of a step, and what to do it again from: the last checkpoint before it, else the run's start.

    `step`: the batch of the run, from 1, or EPOCH:ITERATION; `scratch`: an empty folder. UserError where it cannot be
    rebuilt.
    """
    notes: list[str] = []
    known = records(folder, notes)
    last = started_with(folder, known)
    target = _place(step, read_config(last, argv, scratch), ranks)
    source = next((record for record in reversed(known) if record.place <= target), None)
    later = next((record for record in known if record.place > target), None)
    cfg = read_config(later.options if later else last, argv, scratch)
    written = source or later
    world = written.world if written else world_of(folder)
    if world != ranks.world:
        raise UserError(
            f"{folder} was trained by {world} process(es), these are {ranks.world}: its steps need as many "
            f"(torchrun --nproc_per_node={world} scripts/replay.py ...)"
        )
    return cfg, Plan(target, source, notes + _remarks(cfg, written, ranks))


def _remarks(cfg: CfgNode, record: Record | None, ranks: DistributedContext) -> list[str]:
    """Say what may make bits differ from those of the training."""
    notes, now = [], machine.facts(ranks.device)
    odd = machine.differences(record.machine, now) if record else ""
    if odd:
        notes.append(f"bits may differ from those of the training: {odd}")
    if record is None or not {*now} <= {*record.machine}:
        notes.append("the run has no record of its versions, processor and threads: with others, bits may differ")
    if ranks.device.type == "cuda" and not cfg.OPTIONS.DETERMINISTIC:
        notes.append("a GPU without --deterministic adds in any order: the last bits may differ")
    if ranks.world > 2:
        notes.append("sums over more than two processes depend on how gradients travel together: last bits may differ")
    if cfg.TRAIN.COMPILE:
        notes.append("compiled parts are looked at as one: --compile false tells their layers apart, with other bits")
    if cfg.TRAIN.TIME_LIMIT:
        notes.append("with --time_limit the learning rate goes by the clock: steps behind the checkpoint differ")
    return notes


def _place(step: str, cfg: CfgNode, ranks: DistributedContext) -> Place:
    """Find the epoch and the iteration of a step. UserError where the run has none of that number."""
    loader = datasets.build_train(cfg, ranks)
    size, epochs = len(loader), cfg.TRAIN.MAX_EPOCH
    epoch, colon, iteration = step.partition(":")
    texts = (epoch, iteration) if colon else (step,)
    numbers = [int(text) if text.isdecimal() and len(text) < 10 else -1 for text in texts]
    if min(numbers) < 0:
        raise UserError(f"--step {clipped(step)}: give a number from 1 on, or EPOCH:ITERATION as the log has them, 0:7")
    # Epochs may differ in length, where classes lack images from some epoch on.
    guess = numbers[0] if colon else (numbers[0] - 1) // size
    span = range(max(0, guess - _NEAR), min(epochs, guess + _NEAR))
    near = [guess] if colon else sorted(span, key=lambda e: abs(e - guess))
    for e in near:
        loader.set_epoch(e)
        before = e * (cfg.TRAIN.SAVE_INTERVAL if cfg.TRAIN.MAX_ITERS else len(loader))
        place = Place(e, numbers[-1] if colon else numbers[-1] - before)
        if e < epochs and 1 <= place.iteration <= len(loader):
            return place
    raise UserError(f"--step {step}: the run has {epochs} epochs of {size} steps, from 1 to {epochs * size}")


class Replay(NamedTuple):
    """A training that stands at its source, the step to stop at, and the eyes on it."""

    run: Run
    trainer: Trainer
    target: Place
    watched: Watched
    changes: list[str]

    def told(self) -> list[str]:
        """Give what there is to say of the step on this rank, once it is done."""
        found, batch = self.watched.found, self.watched.batch
        if found is None or batch is None:
            return []
        lines = [f"loss over all processes: {found.loss!r}", *self.watched.files(), *found.lines]
        return [*lines, *filter(None, [self.watched.anomaly()])]

    def asked(self, ranks: DistributedContext) -> bool:
        """Tell, as a request to stop does, that the step is done; the loop asks where a step closes."""
        state = self.trainer.state
        return (state.epoch + 1, state.iteration) >= self.target


class _Said(RunLog):
    """A log that writes nothing, and keeps what was said."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, main=False, track=())
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        """Keep a message."""
        self.lines += text.splitlines()


@contextmanager
def opened(cfg: CfgNode, found: Plan, ranks: DistributedContext, scratch: Path) -> Iterator[Replay]:
    """Build the training as it stood at the plan's source. Nothing is written but into `scratch`."""
    torch.manual_seed(cfg.SEED)
    net = network.build(cfg)
    start = Start(found.source.path, True) if found.source else _first(cfg)
    log = _Said(scratch)
    precision = amp.build(cfg.TRAIN.FP16, cfg.TRAIN.AMP_OPT_LEVEL, ranks.device)
    run = Run(cfg, datasets.spec(cfg), ranks, log, precision, "replay")
    trainer = build_trainer(run, net, start)
    trainer.budget.limit = 0  # no clock ends it
    state = trainer.state
    if (state.epoch + 1, state.iteration + 1) > found.target:
        raise UserError(f"the run begins behind that step, in epoch {state.epoch + 1}: no checkpoint is before it")
    watched = Watched(trainer, run, found.target)
    trainer.open_step = watched  # type: ignore[assignment]
    changes = [line for line in log.lines if line.startswith("changed options")]
    try:
        yield Replay(run, trainer, found.target, watched, changes)
    finally:
        trainer.loader.close()


def _first(cfg: CfgNode) -> Start:
    """Give what the run itself began with."""
    if cfg.RESUME and cfg.RESUME != "auto":
        return Start(Path(cfg.RESUME), True)
    return Start(Path(cfg.SNAPSHOT) if cfg.SNAPSHOT else None)


class Counting(StepMeter):
    """A meter that says on the way how many batches are done again."""

    def __init__(self, replay: Replay, bar: Iterator[int]) -> None:
        super().__init__(1, lambda: 0.0, replay.run.ranks.device)
        self._bar = bar

    def tick(self) -> None:
        """Count one more batch."""
        super().tick()
        next(self._bar, None)
