"""Train, evaluate, predict: the one driver.

python train.py --dataset cityscapes --arch ocrnet.HRNet_Mscale ...        train
python train.py --eval val --snapshot best.pth                             evaluate
python train.py --eval folder --eval_folder pictures --snapshot best.pth   predict
python train.py --device 0-3 ...                                           the same on several GPUs of this machine
torchrun --nproc_per_node=8 train.py ...                                   and of several machines
"""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_
from yacs.config import CfgNode

import config
import datasets
import inference
import loss
import network
from engine import checkpoint, launch
from engine.endings import explain, last_words
from engine.meter import StepMeter
from engine.outcome import Evaluation, end, publish_results
from engine.session import (
    Run,
    Trainer,
    build_trainer,
    load_for_evaluation,
    log_header,
    open_run,
    starting_point,
    to_device,
    validation,
    write_batch_script,
)
from engine.state import TrainState
from engine.stop import StopRequest
from evaluation import sinks
from evaluation.metrics import ConfusionMatrix
from inference.evalrule import normalise
from network.summary import summary
from network.weights import metadata
from utils import distributed
from utils.cli import exit_code, start
from utils.contracts import Batch
from utils.errors import LoadingError, MemoryShortageError, UserError


def fit(run: Run, trainer: Trainer) -> int:
    """Train to the last epoch and validate as asked. Gives the exit code: 0, or 128 + signal if asked to stop."""
    cfg, state, stop = run.cfg, trainer.state, StopRequest(run.folder / "preempt")
    total, one = cfg.TRAIN.MAX_ITERS or cfg.TRAIN.MAX_EPOCH * len(trainer.loader), len(trainer.loader)
    steps = total - (state.epoch + 1) * one - state.iteration
    meter = StepMeter(cfg.TRAIN.BATCH_SIZE * run.ranks.world, steps, run.ranks.device)
    if validation_missing(run, state):
        validate(run, state)
    while state.epoch + 1 < cfg.TRAIN.MAX_EPOCH:
        meter.pause()
        try:
            goes_on = train_epoch(run, trainer, meter, stop)
        except LoadingError as error:
            raise LoadingError(f"{error}{rescue(run, state)}") from None
        if not goes_on:
            save(run, state, state.epoch + 1)
            if run.ranks.is_main:
                stop.acknowledge()
            where = f"epoch {state.epoch + 1}, iteration {state.iteration}"
            run.log.line(f"stopped as asked in {where}: the same command with --resume auto goes on")
            return stop.exit_code
        run.log.metric("train", {"loss": state.finish_epoch()}, state.epoch)
        if skipped := int(run.ranks.sum(trainer.criterion.skipped)):
            run.log.line(f"{skipped} terms of the loss left out so far, since they had no finite value")
        run.ranks.broadcast_module(state.net)
        run.ranks.broadcast_module(state.evaluated)
        save(run, state, state.epoch)
        if validation_due(cfg, state.epoch):
            validate(run, state)
    return 0


def train_epoch(run: Run, trainer: Trainer, meter: StepMeter, stop: StopRequest) -> bool:
    """The epoch after the last finished one, from the iteration it stands at. False if it was asked to stop."""
    cfg, state = run.cfg, trainer.state
    epoch, healthy = state.epoch + 1, True
    trainer.loader.set_epoch(epoch, start=state.iteration)
    trainer.net.start_epoch(epoch)
    total = len(trainer.loader)
    before = epoch * (cfg.TRAIN.SAVE_INTERVAL if cfg.TRAIN.MAX_ITERS else total)
    trainer.forward.train()
    state.settle()
    batches = datasets.agreed(iter(trainer.loader), run.ranks)
    progress = run.log.progress(batches, f"epoch {epoch}", total, state.iteration)
    for batch in progress:
        lr = trainer.lr(epoch, state.iteration, total)
        group = min(cfg.TRAIN.ACCUM, total - state.iteration // cfg.TRAIN.ACCUM * cfg.TRAIN.ACCUM)
        state.iteration += 1
        step_now = state.iteration % cfg.TRAIN.ACCUM == 0 or state.iteration == total
        value = backward(run, trainer, batch, epoch, group, sync=step_now)
        healthy = count(run, state, value, batch) and healthy
        if step_now:
            optimizer_step(run, trainer, lr, healthy)
            state.settle()
            healthy = True
        figures = meter.tick(value, lr)
        progress.figures(**figures)
        if state.iteration % cfg.TRAIN.LOG_EVERY == 0 or state.iteration == total:
            text = " ".join(f"{name} {figure}" for name, figure in figures.items())
            run.log.line(f"epoch {epoch} [{state.iteration}/{total}] {text}")
            run.log.scalars({"train/step_loss": value, "train/lr": lr}, before + state.iteration)
        if step_now and stop.requested(run.ranks):
            return False
    return True


def backward(run: Run, trainer: Trainer, batch: Batch, epoch: int, group: int, sync: bool) -> float:
    """Forward and backward pass of one of `group` batches; gradients are added up. Gives the loss over all ranks."""
    cfg, forward, device = run.cfg, trainer.forward, run.ranks.device
    image = normalise(batch["image"].to(device, non_blocking=True), inference.eval_rule(cfg))  # (N, 3, H, W)
    label = batch["label"].to(device, non_blocking=True)  # (N, h, w)
    trainer.guard.keep()
    wait = forward.no_sync() if isinstance(forward, DistributedDataParallel) and not sync else nullcontext()
    with wait:
        with run.precision.autocast():
            outputs = forward(image, label.shape[-2:])
        total, _ = trainer.criterion(outputs, label, epoch)
        run.precision.scaler.scale(total / group).backward()
    value = float(run.ranks.sum(total.detach())) / run.ranks.world
    if not math.isfinite(value):
        trainer.guard.restore()
    return value


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
        advice = "lower --lr, or --grad_clip 1"
        raise UserError(f"{state.bad_steps} losses in a row were not finite, the last: {where}; {advice}")
    return False


def optimizer_step(run: Run, trainer: Trainer, lr: float, healthy: bool) -> None:
    """Clip, step, follow with the moving average, zero. What is not finite is dropped, on all ranks alike."""
    cfg, state, scaler = run.cfg, trainer.state, run.precision.scaler
    if healthy and (cfg.TRAIN.GRAD_CLIP or not scaler.is_enabled()):
        scaler.unscale_(state.optimizer)
        norm = clip_grad_norm_(state.net.parameters(), cfg.TRAIN.GRAD_CLIP or math.inf)
        healthy = scaler.is_enabled() or bool(norm.isfinite())  # a scaler looks for itself, and lowers its scale
    if healthy:
        loss.optimizer.set_rate(state.optimizer, lr)
        scaler.step(state.optimizer)
        scaler.update()
        state.step += 1
        if state.ema:
            state.ema.update(state.net)
    state.optimizer.zero_grad(set_to_none=True)


def rescue(run: Run, state: TrainState) -> str:
    """Save what this epoch has trained so far, if it has; gives what to say of it. All ranks call it."""
    state.back()
    if not state.iteration:
        return ""
    save(run, state, state.epoch + 1)
    return f"; saved in epoch {state.epoch + 1}, iteration {state.iteration}: --resume auto goes on from there"


def save(run: Run, state: TrainState, epoch: int) -> None:
    """Write the last checkpoint, and one to keep every SAVE_EVERY epochs. All ranks call it."""
    cfg = run.cfg
    packed = state.pack(run.ranks, run.facts(run.log.best("val", "mean_iu")))
    if run.ranks.is_main:
        path = checkpoint.save_last(packed, run.folder, epoch)
        if cfg.TRAIN.SAVE_EVERY and state.iteration == 0 and (epoch + 1) % cfg.TRAIN.SAVE_EVERY == 0:
            checkpoint.copy_as(path, run.folder / f"checkpoint_ep{epoch}.pth")


def validation_due(cfg: CfgNode, epoch: int) -> bool:
    """Every VAL_FREQ epochs, and after the last one; never without DO_EVAL."""
    last = epoch + 1 == cfg.TRAIN.MAX_EPOCH
    return cfg.TRAIN.DO_EVAL and epoch >= 0 and (last or (epoch + 1) % cfg.TRAIN.VAL_FREQ == 0)


def validation_missing(run: Run, state: TrainState) -> bool:
    """Whether the run ended between a checkpoint and its validation; the main rank's files decide for all."""
    done = any(row["epoch"] == state.epoch for row in run.log.history("val"))
    there = (run.folder / f"last_checkpoint_ep{state.epoch}.pth").is_file()
    owes = there and not done and state.iteration == 0 and validation_due(run.cfg, state.epoch)
    return run.ranks.gather(owes)[0]


def validate(run: Run, state: TrainState) -> None:
    """Score the validation images; the checkpoint of the best epoch so far is kept under its own name."""
    try:
        result = evaluate(run, state.evaluated, "val")
    except MemoryShortageError as error:
        if run.ranks.world > 1:
            raise
        run.log.line(f"no validation of epoch {state.epoch}: {error}")
        return
    if run.ranks.is_main and result.scores.mean_iu >= run.log.best("val", "mean_iu"):
        # Before the score is written: whoever stops in between validates again.
        checkpoint.save_best(run.folder, state.epoch, result.scores.mean_iu)
    publish_results(run, result, "val", state.epoch)


def evaluate(run: Run, net: torch.nn.Module, mode: str) -> Evaluation:
    """Predict every image of `mode` (val, trn, test, folder) once, score what has a label, feed the sinks."""
    cfg, ranks, log = run.cfg, run.ranks, run.log
    began = time.perf_counter()
    loader = validation(run, mode)
    predictor = inference.build_predictor(cfg, net, run.precision, log.line)
    writers = sinks.build(cfg, run.spec, run.folder, len(loader.dataset), loader.dataset.conditions)
    confusion = ConfusionMatrix(cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL, ranks.device)
    notes: set[str] = set()
    ranks.barrier()  # no process writes results before the sinks of all have seen what is there
    for batch in log.progress(loader, mode):
        predictions = predictor(batch["image"], extras=writers.extras)
        notes.update(prediction.note for prediction in predictions if prediction.note)
        for item in sinks.items(batch, predictions, confusion):
            writers.add(item)
    confusion.reduce(ranks)
    seen = end(run, loader, writers)
    notes = {seen.note, *(note for part in ranks.gather(notes) for note in part)} - {""}
    facts = {"images": str(seen.total - len(seen.left_out)), "evaluated in": f"{time.perf_counter() - began:.1f} s"}
    return Evaluation(
        confusion.scores(run.spec.categories), writers, "; ".join(sorted(notes)), facts, len(seen.left_out)
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; gives the exit code: 0, 2 for a user's mistake, 128 + signal where a signal ended it."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "--help" in words or "-h" in words:
        print(config.help_text(next((topic for topic in ("all", "arch") if topic in words), "")))
        return 0
    try:
        return exit_code(lambda: drive(words), stopped="--resume auto goes on with a training", explain=explain)
    finally:
        distributed.close()


def drive(words: list[str]) -> int:
    """Build what the command line asks for, then fit or evaluate."""
    cfg = config.load(words)
    if cfg.OPTIONS.DEVICES and not cfg.OPTIONS.SUMMARY:
        code = launch.on(cfg.OPTIONS.DEVICES, [str(Path(__file__).resolve()), *words])
        if code is not None:
            return code
    ranks = distributed.init(cfg.TRAIN.LOCAL_RANK)
    start = starting_point(cfg)
    if start.path:
        cfg = config.load(words, metadata.of_start(start.path, cfg.MODEL.ARCH))
    torch.manual_seed(cfg.SEED)
    net = network.build(cfg)
    if cfg.OPTIONS.SUMMARY:
        print(summary(net, cfg.DATASET.CROP_SIZE))
        return 0
    run = open_run(cfg, ranks, shlex.join(words), start)
    try:
        log_header(run, start.notes)
        write_batch_script(run)
        if cfg.EVAL.MODE:
            load_for_evaluation(run, net, start)
            code = publish_results(run, evaluate(run, to_device(run, net), cfg.EVAL.MODE), "val", epoch=0)
        else:
            code = fit(run, build_trainer(run, net, start))
        if code in (0, 2) and (run.folder / "report.html").exists():
            run.log.line(f"report: {run.folder / 'report.html'}")
        ranks.barrier()  # nobody leaves while others still talk to it
        return code
    except (Exception, KeyboardInterrupt) as error:
        run.log.note(last_words(error))
        raise
    finally:
        run.close()


if __name__ == "__main__":
    sys.exit(start(main))
