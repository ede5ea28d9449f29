"""What a training is made of: the network with its starting weights, optimizer, criterion and data, perhaps resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

import config
import datasets
import loss
import network
from datasets.base import listed
from engine import agree, budget, preflight, restore, runfolder, saving, teacher
from engine.budget import Budget
from engine.ema import ModelEma
from engine.session import Run, Start, to_device
from engine.state import FiniteGuard, TrainState
from engine.survival import OpenStep, survive_step
from media import decoding
from utils import distributed, heap
from utils.collectives import DataParallel
from utils.normalization import Normalization


@dataclass
class Trainer:
    """The moving parts of training.

    `forward` is the network as it is called: beside its teacher if it has one, averaging gradients where distributed.
    """

    state: TrainState
    net: network.Net
    forward: torch.nn.Module | DataParallel
    criterion: loss.Criterion
    lr: Callable[[int, int, int], float]
    loader: datasets.TrainLoader
    normalize: Normalization
    guard: FiniteGuard
    budget: Budget
    open_step: OpenStep = field(init=False)

    def __post_init__(self) -> None:
        self.open_step = OpenStep(self.net, self.state, self.guard, self.criterion, self.forward)


def build_trainer(run: Run, net: network.Net, start: Start) -> Trainer:
    """Build the network with its starting weights, optimizer, criterion and data; continued where `start` says so."""
    cfg, ranks, log = run.cfg, run.ranks, run.log
    if ranks.device.type == "cpu":
        heap.keep()
    if start.path is None:
        log.line(network.start_trunk(cfg, net))
    elif not start.resumes:
        log.line(network.start_snapshot(cfg, net, start.path, run.spec.classes))
    preflight.check_batchnorm(cfg, net, ranks)
    taught_by = teacher.named(run)  # before the data, which take long, and before dropout is seeded
    net = to_device(run, net)
    if cfg.TRAIN.SYNCBN:
        distributed.sync_batchnorm(net, ranks)
    ema = ModelEma(net, cfg.TRAIN.EMA) if cfg.TRAIN.EMA else None
    optimizer = loss.optimizer.build(cfg, net, net.trunk_layers(cfg.OPTIM.LAYER == "stage"))
    net.wait(optimizer.param_groups)
    state = TrainState(net, optimizer, run.precision.scaler, ema, epoch=cfg.TRAIN.START_EPOCH - 1)
    run.saver = saving.build(cfg, run.folder, log.line, state.spent)
    loader = datasets.build_train(cfg, ranks, run.folder)
    splits = {"training": loader.dataset} | ({"val": loader.validation.dataset} if loader.validation else {})
    agree.compare(ranks, lambda: {f"{split} images": listed(part.items) for split, part in splits.items()})
    torch.manual_seed(cfg.SEED + 1 + ranks.rank)  # dropout differs between the ranks
    if start.path and start.resumes:
        unread = config.unread(cfg)
        log.line(restore.resume(start.path, state, config.flat(cfg), ranks, len(loader), unread, run.spec))
        _go_back(run, start.path, state, len(loader))
    elif start.path and cfg.TRAIN.RESTORE_OPTIMIZER:
        log.line(f"optimizer from {start.path}{restore.restore_optimizer(start.path, state)}")
    for note in preflight.notes(cfg, state, len(loader)):
        log.line(f"note: {note}")
    if cfg.TRAIN.COMPILE:
        log.line(network.compile_parts(net))
    if loader.sampler.note:
        log.line(f"warning: {loader.sampler.note}")
    for line in (*datasets.audit_labels(cfg, ranks, loader), decoding.note()):
        log.once(line)
    loader.left_out.say = log.line
    left = budget.build(run, state, len(loader), start.resumes)
    criterion = loss.build(cfg, ranks)
    lr = loss.schedule.rate_function(cfg, left.progress if left.limit else None)
    normalize = Normalization(cfg.DATASET.MEAN, cfg.DATASET.STD, ranks.device)
    ranks.broadcast_module(net, weights=True)
    survive_step(optimizer)
    forward = teacher.beside(net, taught_by)
    if ranks.world > 1:
        forward = DataParallel(forward, ranks)
    return Trainer(state, net, forward, criterion, lr, loader, normalize, FiniteGuard(net), left)


def _go_back(run: Run, path: Path, state: TrainState, length: int) -> None:
    """Take out of the run folder what came after the checkpoint: its curves have each step once."""
    if run.ranks.is_main:
        steps_per_epoch = run.cfg.TRAIN.SAVE_INTERVAL if run.cfg.TRAIN.MAX_ITERS else length
        note = runfolder.go_back(run.folder, path, state.epoch, (state.epoch + 1) * steps_per_epoch + state.iteration)
        if note:
            run.log.line(note)
        if state.iteration == 0:
            run.saver.complete(path, state.epoch)
