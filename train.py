"""Train, evaluate, predict: the one driver.

python train.py --dataset cityscapes --arch ocrnet.HRNet_Mscale ...        train
python train.py --eval val --snapshot best.pth                             evaluate
python train.py --eval folder --eval_folder pictures --snapshot best.pth   predict
torchrun --nproc_per_node=8 train.py ...                                   the same on several GPUs
"""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel
from yacs.config import CfgNode

import config
import datasets
import loss
import network
from network.evalrule import normalise
from network.summary import summary
from network.weights import restore
from utils import amp, checkpoint, distributed, sinks
from utils.contracts import Batch, DatasetSpec
from utils.ema import ModelEma
from utils.errors import UserError
from utils.log import RunLog
from utils.meter import StepMeter
from utils.metrics import ConfusionMatrix, Scores, format_table
from utils.report import Report, ReportData, environment
from utils.state import TrainState
from utils.stop import StopRequest


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


def fit(run: Run, trainer: Trainer) -> int:
    """Train to the last epoch and validate as asked. Gives the exit code: 0, or 128 + signal if asked to stop."""
    cfg, state, stop = run.cfg, trainer.state, StopRequest()
    steps = (cfg.TRAIN.MAX_EPOCH - state.epoch - 1) * len(trainer.loader) - state.iteration
    meter = StepMeter(cfg.TRAIN.BATCH_SIZE * run.ranks.world, steps, run.ranks.device)
    if state.iteration == 0 and validation_due(cfg, state.epoch) and not validated(run, state.epoch):
        validate(run, state)  # the run ended between a checkpoint and its validation
    while state.epoch + 1 < cfg.TRAIN.MAX_EPOCH:
        meter.pause()
        if not train_epoch(run, trainer, meter, stop):
            save(run, state, state.epoch + 1)
            run.log.line(
                f"stopped as asked in epoch {state.epoch + 1}, iteration {state.iteration}: --resume auto goes on"
            )
            return stop.exit_code
        mean_loss = state.finish_epoch()
        save(run, state, state.epoch)
        run.log.metric("train", {"loss": mean_loss}, state.epoch)
        if validation_due(cfg, state.epoch):
            validate(run, state)
    return 0


def train_epoch(run: Run, trainer: Trainer, meter: StepMeter, stop: StopRequest) -> bool:
    """The epoch after the last finished one, from the iteration it stands at. False if it was asked to stop."""
    cfg, state = run.cfg, trainer.state
    epoch, total, healthy = state.epoch + 1, len(trainer.loader), True
    trainer.loader.set_epoch(epoch, start=state.iteration)
    trainer.forward.train()
    progress = run.log.progress(trainer.loader, f"epoch {epoch}", total, state.iteration)
    for batch in progress:
        lr = cfg.OPTIM.LR * trainer.lr_factor(epoch + state.iteration / total if cfg.OPTIM.PER_ITER else epoch)
        state.iteration += 1
        step_now = state.iteration % cfg.TRAIN.ACCUM == 0 or state.iteration == total
        value = backward(run, trainer, batch, epoch, sync=step_now)
        healthy = count(run, state, value, batch) and healthy
        if step_now:
            optimizer_step(run, state, lr, healthy)
            healthy = True
        figures = meter.tick(value, lr)
        progress.figures(**figures)
        if state.iteration % cfg.TRAIN.LOG_EVERY == 0 or state.iteration == total:
            run.log.line(
                f"epoch {epoch} [{state.iteration}/{total}] " + " ".join(f"{k} {v}" for k, v in figures.items())
            )
            run.log.scalars({"train/step_loss": value, "train/lr": lr}, epoch * total + state.iteration)
        if step_now and stop.asked(run.ranks):
            return False
    return True


def backward(run: Run, trainer: Trainer, batch: Batch, epoch: int, sync: bool) -> float:
    """Forward and backward pass of one batch; gradients are added up. Gives the loss over all ranks."""
    cfg, forward, device = run.cfg, trainer.forward, run.ranks.device
    rule = network.eval_rule(cfg)
    image = normalise(batch["image"].to(device, non_blocking=True), rule)  # (N, 3, H, W)
    label = batch["label"].to(device, non_blocking=True)  # (N, h, w)
    alone = isinstance(forward, DistributedDataParallel) and not sync
    with forward.no_sync() if alone else nullcontext():
        with run.precision.autocast():
            outputs = forward(image, label.shape[-2:])
        total, _ = trainer.criterion(outputs, label, epoch)
        run.precision.scaler.scale(total / cfg.TRAIN.ACCUM).backward()
    return float(run.ranks.sum(total.detach())) / run.ranks.world


def count(run: Run, state: TrainState, value: float, batch: Batch) -> bool:
    """Add a finite loss to the epoch's mean. Of another one say which files it came from; too many end the run."""
    if math.isfinite(value):
        state.loss_sum, state.loss_count, state.bad_steps = state.loss_sum + value, state.loss_count + 1, 0
        return True
    state.bad_steps += 1
    names = ", ".join(name for part in run.ranks.gather(batch["name"]) for name in part)
    where = f"loss {value} in epoch {state.epoch + 1}, iteration {state.iteration}: {names}"
    run.log.line(f"{where}; the step is left out")
    if state.bad_steps >= run.cfg.TRAIN.NAN_PATIENCE:
        raise UserError(
            f"{state.bad_steps} losses in a row were not finite, the last: {where}; lower --lr, or --grad_clip 1"
        )
    return False


def optimizer_step(run: Run, state: TrainState, lr: float, healthy: bool) -> None:
    """Clip, step, follow with the moving average, zero. Gradients of a loss that was not finite are dropped."""
    cfg, scaler = run.cfg, run.precision.scaler
    if healthy:
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        if cfg.TRAIN.GRAD_CLIP:
            scaler.unscale_(state.optimizer)
            torch.nn.utils.clip_grad_norm_(state.net.parameters(), cfg.TRAIN.GRAD_CLIP)
        scaler.step(state.optimizer)
        scaler.update()
        state.step += 1
        if state.ema:
            state.ema.update(state.net)
    state.optimizer.zero_grad(set_to_none=True)


def save(run: Run, state: TrainState, epoch: int) -> None:
    """Write the last checkpoint, and one to keep every SAVE_EVERY epochs. All ranks call it."""
    cfg = run.cfg
    best = max((row["mean_iu"] for row in run.log.history("val")), default=0.0)
    facts = {
        "arch": cfg.MODEL.ARCH,
        "num_classes": cfg.DATASET.NUM_CLASSES,
        "class_names": list(run.spec.classes),
        "mean_iu": float(best),
        "command": run.command,
        "config": config.flat(cfg),
    }
    packed = state.pack(run.ranks, facts)
    if run.ranks.is_main:
        path = checkpoint.save_last(packed, run.folder, epoch)
        if cfg.TRAIN.SAVE_EVERY and state.iteration == 0 and (epoch + 1) % cfg.TRAIN.SAVE_EVERY == 0:
            checkpoint.copy_as(path, run.folder / f"checkpoint_ep{epoch}.pth")


def validation_due(cfg: CfgNode, epoch: int) -> bool:
    """Every VAL_FREQ epochs, and after the last one."""
    return epoch >= 0 and ((epoch + 1) % cfg.TRAIN.VAL_FREQ == 0 or epoch + 1 == cfg.TRAIN.MAX_EPOCH)


def validated(run: Run, epoch: int) -> bool:
    """Whether the scores of an epoch stand in the run folder."""
    return any(run.ranks.gather(any(row["epoch"] == epoch for row in run.log.history("val"))))


def validate(run: Run, state: TrainState) -> None:
    """Score the validation images; the checkpoint of the best epoch so far is kept under its own name."""
    scores = evaluate(run, state.evaluated, "val", state.epoch)
    best = max((row["mean_iu"] for row in run.log.history("val")), default=0.0)
    if run.ranks.is_main and scores.mean_iu >= best:
        last = run.folder / f"last_checkpoint_ep{state.epoch}.pth"
        best_path = run.folder / f"best_checkpoint_ep{state.epoch}.pth"
        checkpoint.copy_as(last, best_path, replaces="best_checkpoint_ep*.pth")


def evaluate(run: Run, net: torch.nn.Module, mode: str, epoch: int) -> Scores:
    """Predict every image of `mode` (val, trn, folder) once, score what has a label, feed the sinks, write the page."""
    cfg, ranks, log = run.cfg, run.ranks, run.log
    began = time.perf_counter()
    loader = datasets.build_val(cfg, ranks, mode)
    predictor = network.build_predictor(cfg, net, run.precision, log.line)
    writers = sinks.build(cfg, run.spec, run.folder, expected=len(loader.dataset))
    confusion = ConfusionMatrix(cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL, ranks.device)
    notes: set[str] = set()
    for batch in log.progress(loader, mode):
        predictions = predictor(batch["image"], extras=writers.extras)
        notes.update(prediction.note for prediction in predictions if prediction.note)
        for item in sinks.items(batch, predictions, confusion):
            writers.add(item)
    confusion.reduce(ranks)
    for line in writers.close(ranks):
        log.line(line)
    scores = confusion.scores(run.spec.categories)
    note = "; ".join(sorted({note for part in ranks.gather(notes) for note in part}))
    if scores.pixels and not cfg.EVAL.NO_METRICS:
        log.metric("val", scores.summary(), epoch)
        log.line(format_table(scores, run.spec.classes) + (f"\n({note})" if note else ""))
    write_report(
        run,
        scores,
        writers,
        note,
        {"images": str(len(loader.dataset)), "seconds": f"{time.perf_counter() - began:.1f}"},
    )
    return scores


def write_report(run: Run, scores: Scores, writers: sinks.Sinks, note: str, facts: dict[str, str]) -> None:
    """The run's HTML page, from its history and the latest evaluation."""
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
    run.log.line(f"report: {Report(run.folder).write(data)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; gives the exit code: 0, 2 for a user's mistake, 128 + signal where a signal ended it."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "--help" in words or "-h" in words:
        print(config.help_text(full="all" in words))
        return 0
    try:
        return drive(words)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except torch.OutOfMemoryError as error:
        print(
            f"error: out of memory on the GPU ({str(error).splitlines()[0]}); "
            "lower --bs_trn or --crop_size, or add --fp16 or --grad_ckpt",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        distributed.close()


def drive(words: list[str]) -> int:
    """Build what the command line asks for, then fit or evaluate."""
    cfg = config.load(words)
    ranks = distributed.init(cfg.TRAIN.LOCAL_RANK)
    source, notes = starting_file(cfg)
    if source and not cfg.MODEL.ARCH:
        cfg = config.load(words, restore.recorded(source))
    torch.manual_seed(cfg.SEED)
    net = network.build(cfg)
    if cfg.OPTIONS.SUMMARY:
        crop = [int(side) for side in cfg.DATASET.CROP_SIZE.split(",")]
        print(summary(net, (crop[0], crop[-1])))
        return 0
    log = RunLog(Path(cfg.RESULT_DIR), ranks.is_main)
    precision = amp.build(cfg.TRAIN.FP16, cfg.TRAIN.AMP_OPT_LEVEL, ranks.device)
    run = Run(cfg, datasets.spec(cfg), ranks, log, precision, shlex.join(["python", "train.py", *words]))
    try:
        introduce(run, notes)
        if not cfg.EVAL.MODE:
            code = fit(run, build_trainer(run, net, source))
            log.line(f"report: {run.folder / 'report.html'}")
            return code
        assert source is not None  # config.problems asks for one
        log.line(str(network.weights.load(net, source)))
        evaluate(run, placed(run, net), cfg.EVAL.MODE, epoch=0)
        return 0
    finally:
        log.close()


def starting_file(cfg: CfgNode) -> tuple[Path | None, list[str]]:
    """The checkpoint that --resume or --snapshot names, and notes on damaged ones that `auto` passed over."""
    folder = Path(cfg.RESULT_DIR)
    if cfg.RESUME == "auto":
        path, notes = checkpoint.newest(folder)
        return path or (Path(cfg.SNAPSHOT) if cfg.SNAPSHOT else None), notes
    if not cfg.RESUME and not cfg.EVAL.MODE and not cfg.OPTIONS.SUMMARY:
        for old in folder.glob("last_checkpoint_ep*.pth"):
            raise UserError(
                f"{folder} holds a run already ({old.name}): --resume auto continues it, or give another --result_dir"
            )
    named = cfg.RESUME or cfg.SNAPSHOT
    return (Path(named) if named else None), []


def introduce(run: Run, notes: Sequence[str]) -> None:
    """What a reader of the log wants to know first."""
    cfg, log, gpus = run.cfg, run.log, torch.cuda.device_count()
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


def build_trainer(run: Run, net: torch.nn.Module, source: Path | None) -> Trainer:
    """Network with its starting weights, optimizer, criterion and data, continued from `source` if asked."""
    cfg, ranks, log = run.cfg, run.ranks, run.log
    resumed = source is not None and cfg.RESUME != "" and (cfg.RESUME != "auto" or str(source) != cfg.SNAPSHOT)
    if source and not resumed:
        log.line(str(network.weights.load(net, source)))
    elif not source:
        log.line(network.start_trunk(cfg, net))
    net = placed(run, net)
    if cfg.TRAIN.SYNCBN:
        net = distributed.sync_batchnorm(net, ranks)
    ema = ModelEma(net, cfg.TRAIN.EMA) if cfg.TRAIN.EMA else None
    optimizer = loss.optimizer.build(cfg, net)
    state = TrainState(net, optimizer, run.precision.scaler, ema, epoch=cfg.TRAIN.START_EPOCH - 1)
    torch.manual_seed(cfg.SEED + 1 + ranks.rank)  # dropout differs between the ranks
    if source and resumed:
        log.line(restore.resume(source, state, cfg.MODEL.ARCH, ranks))
    elif source and cfg.TRAIN.RESTORE_OPTIMIZER:
        restore.restore_optimizer(network.weights.read_file(source).optimizer, state, source)
    if cfg.TRAIN.COMPILE:
        network.compile_parts(net)
    log.start(config.hparams(cfg))
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


if __name__ == "__main__":
    sys.exit(main())
