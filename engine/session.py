"""A run and what it starts from: its folder, its log, its checkpoint, and its network on the device."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from yacs.config import CfgNode

import config
import datasets
import inference
import network
from datasets import classes
from datasets.base import listed
from engine import agree, checkpoint, eval_mismatch, runfolder
from engine.log import RunLog
from engine.runlock import FolderLock
from engine.saving import Saver
from network.memory_layout import crashes_channels_last
from slurm.run_script import write_run_script
from utils import amp, distributed, rendezvous
from utils.contracts import DatasetSpec
from utils.errors import UserError


@dataclass
class Run:
    """What every part of a run needs to know."""

    cfg: CfgNode
    spec: DatasetSpec
    ranks: distributed.DistributedContext
    log: RunLog
    precision: amp.Precision
    command: str  # how this run was started
    lock: FolderLock = field(default_factory=FolderLock)
    began: float = field(default_factory=lambda: time.monotonic())
    saver: Saver = field(default_factory=Saver)
    asked_batch: int = 0  # --bs_trn of the command line; 0: it is that of `cfg`

    @property
    def folder(self) -> Path:
        """Where the run writes: its folder."""
        return self.log.run_dir

    def close(self) -> None:
        """Finish what is being written, close the log, and let others into the folder: whoever stops the wait for a
        checkpoint has it written all the same, and the folder held until then.
        """
        try:
            if failed := self.saver.close():
                self.log.line(f"warning: {failed}")
        finally:
            self.log.close()
            self.saver.when_done(self.lock.release)

    def facts(self, mean_iu: float) -> dict[str, Any]:
        """Tell what a checkpoint says of its run."""
        return {
            "arch": self.cfg.MODEL.ARCH,
            "num_classes": self.cfg.DATASET.NUM_CLASSES,
            "class_names": list(self.spec.classes),
            "class_ids": classes.ids_of(self.spec),
            "class_colors": [[*color] for color in self.spec.palette],
            "mean_iu": mean_iu,
            "command": self.command,
            "bs_trn": self.asked_batch or self.cfg.TRAIN.BATCH_SIZE,
            "config": config.flat(self.cfg),
        }


class Start(NamedTuple):
    """What a run starts from: a checkpoint to take weights from, or to continue (`resumes`), or nothing.

    `asked_batch`: --bs_trn of the command line, before it follows the number of processes (`engine.elastic`).
    """

    path: Path | None = None
    resumes: bool = False
    notes: Sequence[str] = ()
    asked_batch: int = 0


def starting_point(cfg: CfgNode) -> Start:
    """Give the file that --resume or --snapshot names; `auto`: the newest intact one of the run, else --snapshot.

    A batch script sets STREETSCALE_RESUME=auto, since it may be started again: its run then goes on, if there is one.
    """
    folder = Path(cfg.RESULT_DIR)
    restarted = os.environ.get("STREETSCALE_RESUME") == "auto" and not cfg.EVAL.MODE and any(_checkpoints(folder))
    if cfg.RESUME == "auto" or restarted:
        newest, notes = checkpoint.newest(folder)
        if newest:
            return Start(newest, True, notes, cfg.TRAIN.BATCH_SIZE)
    named = Path(cfg.RESUME or cfg.SNAPSHOT)
    if not (cfg.RESUME == "auto" or restarted or cfg.EVAL.MODE or cfg.OPTIONS.SUMMARY):
        for old in _checkpoints(folder):
            if not (cfg.RESUME and named.exists() and old.samefile(named)):  # its successor would delete it
                advice = "--resume auto continues it, or give another --result_dir"
                raise UserError(f"{folder} holds a run already ({old.name}): {advice}")
    if cfg.RESUME and cfg.RESUME != "auto":
        return Start(named, True, asked_batch=cfg.TRAIN.BATCH_SIZE)
    return Start(Path(cfg.SNAPSHOT) if cfg.SNAPSHOT else None)


def _checkpoints(folder: Path) -> Iterator[Path]:
    return folder.glob("last_checkpoint_ep*.pth")


def join(cfg: CfgNode) -> distributed.DistributedContext:
    """Meet the other processes of this run. UserError where one has other options, another code or torch: it would do
    something else, while the others wait for it.
    """
    ranks = distributed.init(cfg.TRAIN.LOCAL_RANK)
    agree.compare(ranks, lambda: agree.command_facts(config.hparams(cfg), Path(__file__).parents[1]))
    return ranks


def open_run(cfg: CfgNode, ranks: distributed.DistributedContext, argv: Sequence[str], start: Start) -> Run:
    """Open a run with its log, alone in its folder. An evaluation beside a training gets a folder of its own below it.

    UserError where another run is in the folder, or where a process of this one was started otherwise than the others.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what --deterministic needs of cuBLAS
    spec, lock, e = datasets.spec(cfg), FolderLock(), cfg.EVAL
    known = [*spec.classes, *classes.ids_of(spec)]
    agree.compare(ranks, lambda: agree.start_facts(config.hparams(cfg), start.path, known))
    part = f"part{e.SPLIT_INDEX}of{e.SPLIT_COUNT}" if e.SPLIT_COUNT > 1 else ""
    command = f"train.py {shlex.join(argv)}"
    place = (Path(cfg.RESULT_DIR), lock, command, e.MODE, start.path, start.resumes, part)
    folder, notes = distributed.from_main(ranks, lambda: runfolder.enter(*place))
    precision = amp.build(cfg.TRAIN.FP16, cfg.TRAIN.AMP_OPT_LEVEL, ranks.device)
    track = [name for name in cfg.TRAIN.TRACK if name == "tensorboard" or not e.MODE]  # the others follow trainings
    log = RunLog(folder, ranks.is_main, track=track)
    run = Run(
        cfg, spec, ranks, log, precision, f"{distributed.launcher()} {command}", lock, asked_batch=start.asked_batch
    )
    distributed.on_hang(log.note)
    for note in notes:
        run.log.line(note)
    return run


def load_for_evaluation(run: Run, net: torch.nn.Module, start: Start) -> None:
    """Load all weights of `net` from the file. UserError if one is missing there, since its score would mean nothing,
    and where the processes do not see the same images.
    """
    if start.path is None:
        raise UserError(f"no checkpoint in {run.cfg.RESULT_DIR} to evaluate: give --snapshot FILE")
    report = network.weights.load(net, start.path)
    run.log.line(f"{report}\nevaluated by the rule {inference.rule_name(run.cfg)}")
    if isinstance(net, network.Net) and net.multiple > 1:
        run.log.line(
            f"note: the trunk takes sides of a multiple of {net.multiple}: others, be they smaller, are padded inside"
        )
    has_labels = run.cfg.EVAL.MODE != "folder" or run.cfg.EVAL.LABELS
    theirs = report.weights.class_names
    if has_labels and (odd := classes.other_count(theirs, run.spec) or classes.other_names(theirs, run.spec)):
        places = "--dataset, --classes and --data_root"
        raise UserError(f"{start.path} was trained on other classes: {odd}; check {places}")
    if odd := classes.other_ids(report.weights.class_ids, run.spec):
        run.log.line(f"warning: other label values than in training: {odd}; masks and labels go by the latter")
    mode = run.cfg.EVAL.MODE
    # Built for several processes alone: `compare` asks for it then.
    agree.compare(
        run.ranks, lambda: {f"{mode} images": listed(datasets.build_val(run.cfg, run.ranks, mode).dataset.items)}
    )
    for line in eval_mismatch.of(start.path, config.flat(run.cfg), inference.rule_name(run.cfg)):
        run.log.line(f"warning: {line}")
    report.require_complete(f"{run.cfg.MODEL.ARCH} with {run.cfg.DATASET.NUM_CLASSES} classes")


def log_header(run: Run, notes: Sequence[str]) -> None:
    """Log what a reader of the log wants to know first, and the options as a file."""
    cfg, log, gpus = run.cfg, run.log, torch.cuda.device_count()
    log.start(config.hparams(cfg))
    log.line(run.command)
    log.line(
        f"{cfg.MODEL.ARCH}, {cfg.DATASET.NAME}, {run.ranks.world} process(es) on {run.ranks.device.type}, "
        f"run folder {run.folder}"
    )
    for note in cfg.NOTES:
        log.line(note)
    for note in (*notes, run.precision.note):
        if note:
            log.line(f"warning: {note}")
    if cfg.WITHOUT_EFFECT:
        log.line(f"warning: without effect: {' '.join(cfg.WITHOUT_EFFECT)}")
    if rendezvous.number(os.environ, "TORCHELASTIC_MAX_RESTARTS", 0) and not (cfg.RESUME or cfg.EVAL.MODE):
        log.line("warning: torchrun --max-restarts starts this command again: only with --resume auto it goes on then")
    if run.ranks.world == 1 and gpus > 1:
        log.line(f"one of {gpus} GPUs is used: --device 0-{gpus - 1} uses all")


def write_batch_script(run: Run, argv: Sequence[str]) -> None:
    """Write `train_cmd.sh`, which runs or queues this command again, unless there is one already."""
    nodes, here = distributed.layout()
    launch = "python" if distributed.launcher() == "python" else f"torchrun --nproc_per_node={here}"
    command = f"{launch} {shlex.quote(str(Path(__file__).resolve().parents[1] / 'train.py'))} {shlex.join(argv)}"
    gpus = here if run.ranks.device.type == "cuda" else 0
    if run.ranks.is_main and (note := write_run_script(run.folder, command, bool(run.cfg.EVAL.MODE), nodes, gpus)):
        run.log.line(note)


def to_device(run: Run, net: network.Net) -> network.Net:
    """Put a network on its device in its memory layout; `auto`: channels-last on a CPU and in mixed precision."""
    cfg, device = run.cfg, run.ranks.device
    # A search for the fastest kernels pays for sizes that come again.
    torch.backends.cudnn.benchmark = not (cfg.OPTIONS.DETERMINISTIC or cfg.DATASET.IMG_SIZES)
    torch.use_deterministic_algorithms(cfg.OPTIONS.DETERMINISTIC, warn_only=True)
    last, note = channels_last(cfg, net, run.precision)
    if note:
        run.log.line(note)
    return net.to(device, memory_format=torch.channels_last if last else torch.contiguous_format)  # type: ignore[call-overload]


def channels_last(cfg: CfgNode, net: network.Net, precision: amp.Precision) -> tuple[bool, str]:
    """Tell whether a network lies in memory channels last, and what to say of it. UserError where it cannot."""
    device = precision.device
    auto = device.type == "cpu" or precision.dtype is not None
    last = {"on": True, "off": False, "auto": auto}[cfg.TRAIN.CHANNELS_LAST]
    if last and device.type == "cpu" and not cfg.EVAL.MODE and (name := crashes_channels_last(net)):
        why = f"torch's backward pass of {name}, a strided 1x1 convolution of few channels, crashes in channels-last"
        if cfg.TRAIN.CHANNELS_LAST == "on":
            raise UserError(f"{why} on a CPU: leave --channels_last on out, or raise --width_mult")
        return False, f"note: {why}: --channels_last off is taken"
    return last, ""
