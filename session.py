"""What a run is made of: from options and a checkpoint to network, optimizer, criterion, data and log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn.parallel import DistributedDataParallel
from yacs.config import CfgNode

import config
import datasets
import loss
import network
from network.weights import restore
from utils import amp, checkpoint, distributed, sinks
from utils.contracts import DatasetSpec
from utils.ema import ModelEma
from utils.errors import UserError
from utils.log import RunLog
from utils.metrics import Scores
from utils.report import Report, ReportData, environment
from utils.state import TrainState

PICTURES = 4  # images that tensorboard gets of each validation


@dataclass
class Run:
    """What every part of a run needs to know."""

    cfg: CfgNode
    spec: DatasetSpec
    ranks: distributed.Ranks
    log: RunLog
    precision: amp.Precision
    command: str

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.cfg.RESULT_DIR)


@dataclass
class Trainer:
    """The moving parts of training; `forward` is the network as it is called: wrapped where distributed."""

    state: TrainState
    forward: torch.nn.Module
    criterion: loss.Supervision
    lr_factor: Callable[[float], float]
    loader: datasets.TrainLoader


class Start(NamedTuple):
    """What a run starts from: a checkpoint to take weights from, or to continue (`resumes`), or nothing."""

    path: Path | None = None
    resumes: bool = False
    notes: Sequence[str] = ()


def starting_point(cfg: CfgNode) -> Start:
    """The file that --resume or --snapshot names; `auto`: the newest intact one of the run, else --snapshot."""
    folder = Path(cfg.RESULT_DIR)
    if cfg.RESUME == "auto":
        newest, notes = checkpoint.newest(folder)
        if newest:
            return Start(newest, True, notes)
    elif cfg.RESUME:
        return Start(Path(cfg.RESUME), True)
    elif not cfg.EVAL.MODE and not cfg.OPTIONS.SUMMARY:
        for old in folder.glob("last_checkpoint_ep*.pth"):
            raise UserError(
                f"{folder} holds a run already ({old.name}): --resume auto continues it, or give another --result_dir"
            )
    return Start(Path(cfg.SNAPSHOT) if cfg.SNAPSHOT else None)


def introduce(run: Run, notes: Sequence[str]) -> None:
    """What a reader of the log wants to know first, and the options as a file."""
    cfg, log, gpus = run.cfg, run.log, torch.cuda.device_count()
    if not (cfg.EVAL.MODE and log.history("train")):  # an evaluation in a training's folder leaves its files alone
        log.start(config.hparams(cfg))
    log.line(run.command)
    log.line(
        f"{cfg.MODEL.ARCH}, {cfg.DATASET.NAME}, {run.ranks.world} process(es) on {run.ranks.device.type}, "
        f"run folder {run.folder}"
    )
    for note in (*notes, run.precision.note):
        if note:
            log.line(f"warning: {note}")
    if cfg.WITHOUT_EFFECT:
        log.line(f"warning: without effect, as ever: {' '.join(cfg.WITHOUT_EFFECT)}")
    if run.ranks.world == 1 and gpus > 1:
        log.line(f"one of {gpus} GPUs is used: torchrun --nproc_per_node={gpus} train.py ... uses all")


def build_trainer(run: Run, net: torch.nn.Module, start: Start) -> Trainer:
    """Network with its starting weights, optimizer, criterion and data; continued where `start` says so."""
    cfg, ranks, log = run.cfg, run.ranks, run.log
    if start.path is None:
        log.line(network.start_trunk(cfg, net))
    elif not start.resumes:
        log.line(str(network.weights.load(net, start.path)))
    net = placed(run, net)
    if cfg.TRAIN.SYNCBN:
        net = distributed.sync_batchnorm(net, ranks)
    ema = ModelEma(net, cfg.TRAIN.EMA) if cfg.TRAIN.EMA else None
    optimizer = loss.optimizer.build(cfg, net)
    state = TrainState(net, optimizer, run.precision.scaler, ema, epoch=cfg.TRAIN.START_EPOCH - 1)
    torch.manual_seed(cfg.SEED + 1 + ranks.rank)  # dropout differs between the ranks
    if start.path and start.resumes:
        log.line(restore.resume(start.path, state, cfg.MODEL.ARCH, ranks))
    elif start.path and cfg.TRAIN.RESTORE_OPTIMIZER:
        restore.restore_optimizer(network.weights.read_file(start.path).optimizer, state, start.path)
    if cfg.TRAIN.COMPILE:
        network.compile_parts(net)
    loader = datasets.build_train(cfg, ranks, run.folder)
    return Trainer(state, wrapped(net, ranks), loss.build(cfg, ranks), loss.schedule.build(cfg), loader)


def placed(run: Run, net: torch.nn.Module) -> torch.nn.Module:
    """On its device, in the memory layout asked for: `auto` is channels-last on a CPU and with mixed precision."""
    cfg, device = run.cfg, run.ranks.device
    torch.backends.cudnn.benchmark = not cfg.OPTIONS.DETERMINISTIC
    torch.use_deterministic_algorithms(cfg.OPTIONS.DETERMINISTIC, warn_only=True)
    auto = device.type == "cpu" or run.precision.dtype is not None
    last = {"on": True, "off": False, "auto": auto}[cfg.TRAIN.CHANNELS_LAST]
    return net.to(device, memory_format=torch.channels_last if last else torch.contiguous_format)  # type: ignore[call-overload]


def wrapped(net: torch.nn.Module, ranks: distributed.Ranks) -> torch.nn.Module:
    """The network as training calls it."""
    if ranks.world == 1:
        return net
    devices = [ranks.device] if ranks.device.type == "cuda" else None
    return DistributedDataParallel(net, device_ids=devices, gradient_as_bucket_view=True)


def show(run: Run, scores: Scores, writers: sinks.Sinks, epoch: int, note: str, facts: Mapping[str, str]) -> None:
    """An evaluation where people look: the run's HTML page with its history so far, pictures in tensorboard."""
    if not run.ranks.is_main:
        return
    data = ReportData(
        title=f"{run.cfg.MODEL.ARCH} on {run.cfg.DATASET.NAME}",
        command=run.command,
        date=time.strftime("%Y-%m-%d %H:%M"),
        class_names=run.spec.classes,
        palette=run.spec.palette,
        scores=scores,
        rows=writers.rows,
        train=run.log.history("train"),
        val=run.log.history("val"),
        facts=list(facts.items()),
        versions=environment(run.ranks.device),
        note=note,
    )
    if scores.pixels:
        scores.write(run.folder / "confusion.csv", run.spec.classes)
    run.log.line(f"report: {Report(run.folder).write(data)}")
    for row in writers.rows[:PICTURES]:
        for caption, encoded in row.panels.items():
            run.log.picture(f"{row.name}/{caption}", encoded, epoch)
    run.log.scalars({f"val/{name}": value.mean_iu for name, value in writers.scale_scores.items()}, epoch)
