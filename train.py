"""Train, evaluate, predict: the one driver.

python train.py --dataset cityscapes --arch ocrnet.HRNet_Mscale ...        train
python train.py --eval val --snapshot best.pth                             evaluate
python train.py --eval folder --eval_folder pictures --snapshot best.pth   predict
python train.py --device 0-3 ...                                           the same on several GPUs of this machine
torchrun --nproc_per_node=8 train.py ...                                   and of several machines
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

import config
import datasets
import inference
import loss
import network
from engine import certainty, elastic, launch, plan, session
from engine.endings import explain, last_words
from engine.meter import StepMeter
from engine.nonfinite import record_losses
from engine.outcome import Evaluation, publish_results
from engine.session import Run
from engine.state import TrainState
from engine.stop import StopRequest, terminable
from engine.training import Trainer, build_trainer
from engine.validation import validation, validation_due, validation_missing
from evaluation import sinks
from evaluation.metrics import ConfusionMatrix
from network.summary import summary
from network.weights import metadata
from utils import amp, distributed
from utils.cli import exit_code, start
from utils.contracts import Batch
from utils.errors import LoadingError, MemoryShortageError


def fit(run: Run, trainer: Trainer) -> int:
    """Train to the end of the budget, validate as asked. Gives the exit code: 0, or 128 + signal if asked to stop."""
    cfg, state, budget, stop = run.cfg, trainer.state, trainer.budget, StopRequest(run.folder / "preempt")
    meter = StepMeter(cfg.TRAIN.BATCH_SIZE * run.ranks.world, budget.left, run.ranks.device)
    if validation_missing(run, state, budget.over):
        validate(run, state)
    while not budget.over:
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
        close_epoch(run, trainer, meter)
        budget.close_epoch()
        budget.time("save", lambda: save(run, state, state.epoch))
        if validation_due(cfg, state.epoch, budget.over):
            budget.time("validation", lambda: validate(run, state))
    run.saver.wait()
    budget.tell(run.log.line)
    return 0


def train_epoch(run: Run, trainer: Trainer, meter: StepMeter, stop: StopRequest) -> bool:
    """The epoch after the last finished one, from the iteration it stands at. False if it was asked to stop."""
    cfg, state, epoch = run.cfg, trainer.state, trainer.state.epoch + 1
    trainer.loader.set_epoch(epoch, start=state.iteration)
    trainer.net.start_epoch(epoch)
    total = len(trainer.loader)
    state.before = epoch * (cfg.TRAIN.SAVE_INTERVAL if cfg.TRAIN.MAX_ITERS else total)
    trainer.forward.train()
    state.settle()
    batches = trainer.budget.in_time(datasets.agreed(iter(trainer.loader), run.ranks, trainer.loader.left_out))
    progress = run.log.progress(batches, f"epoch {epoch}", total, state.iteration)
    for batch in progress:
        lr = trainer.lr(epoch, state.iteration, total)
        group = min(cfg.TRAIN.ACCUM, total - state.iteration // cfg.TRAIN.ACCUM * cfg.TRAIN.ACCUM)
        state.iteration += 1
        step_now = state.iteration % cfg.TRAIN.ACCUM == 0 or state.iteration == total
        work, asked = partial(backward, run, trainer, epoch), step_now and stop.asked(run.ranks)
        value, stops = trainer.open_step.add(run, work, batch, group, step_now, asked)
        if step_now:
            optimizer_step(run, trainer, lr)
            state.settle()
        meter.tick()
        if state.iteration % cfg.TRAIN.LOG_EVERY == 0 or state.iteration == total:
            record_losses(run, state)
            figures = meter.figures(float(value), lr)
            progress.set_postfix(figures, refresh=False)
            text = " ".join(f"{name} {figure}" for name, figure in figures.items())
            run.log.line(f"epoch {epoch} [{state.iteration}/{total}] {text}")
            run.log.scalars({"train/step_loss": float(value), "train/lr": lr}, state.before + state.iteration)
        if step_now and stops:
            return False
    return True


def close_epoch(run: Run, trainer: Trainer, meter: StepMeter) -> None:
    """Log the epoch whose batches are through, and give all ranks the running statistics of the main one."""
    state = trainer.state
    record_losses(run, state)
    run.log.metric("train", {"loss": state.finish_epoch()}, state.epoch)
    run.log.metric("cost", meter.cost(), state.epoch)
    if skipped := int(run.ranks.sum(trainer.criterion.skipped)):
        run.log.line(f"{skipped} terms of the loss left out so far: no labeled pixel in the image, or no finite value")
    run.ranks.broadcast_module(state.net)
    run.ranks.broadcast_module(state.evaluated)


def backward(run: Run, trainer: Trainer, epoch: int, batch: Batch, divisor: float) -> Tensor:
    """Forward and backward pass of a batch, or of a part of one; gradients are added up, each through `divisor`.

    Gives the loss over all ranks, a float64 scalar that the device may still be computing.
    """
    device = run.ranks.device
    image = trainer.normalize(batch["image"].to(device, non_blocking=True))  # (N, 3, H, W)
    label = batch["label"].to(device, non_blocking=True)  # (N, h, w)
    trainer.guard.keep()
    with run.precision.autocast():
        outputs = trainer.forward(image, label.shape[-2:])
    total, _ = trainer.criterion(outputs, label, epoch)
    run.precision.scaler.scale(total / divisor).backward()
    value = run.ranks.sum(total.detach()).double() / run.ranks.world
    trainer.guard.check(value)
    return value


def optimizer_step(run: Run, trainer: Trainer, lr: float) -> None:
    """Clip, step, follow with the moving average, zero. What is not finite is left out, on all ranks alike."""
    state, scaler, finite = trainer.state, run.precision.scaler, trainer.guard.take()
    loss.optimizer.set_rate(state.optimizer, lr, state.epoch + 1)
    if scaler.is_enabled():
        scaler.unscale_(state.optimizer)
    taken = finite & clip_grad_norm_(state.net.parameters(), run.cfg.TRAIN.GRAD_CLIP or math.inf).isfinite()
    state.judge(taken | finite & ~amp.is_least(scaler, taken))  # gradients overflow until the scale has come down
    loss.optimizer.step_if(state.optimizer, taken)
    amp.update_if(scaler, finite)
    state.step += taken
    if state.ema:
        state.ema.update(state.net, taken)
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
    record_losses(run, state)
    packed = state.pack(run.ranks, run.facts(run.log.best("val", "mean_iu")))
    if run.ranks.is_main:
        run.saver.last(packed, epoch)


def validate(run: Run, state: TrainState) -> None:
    """Score the validation images; the checkpoint of the best epoch so far is kept under its own name."""
    try:
        result = evaluate(run, state.evaluated, "val")
    except MemoryShortageError as error:
        if run.ranks.world > 1:
            raise
        run.log.line(f"no validation of epoch {state.epoch}: {error}")
        return
    state.spent.scores[state.epoch] = float(result.scores.mean_iu)
    packed = state.pack(run.ranks, run.facts(float(result.scores.mean_iu)))
    if run.ranks.is_main and result.scores.mean_iu >= run.log.best("val", "mean_iu"):
        run.saver.best(packed, state.epoch)
    publish_results(run, result, "val", state.epoch)


def evaluate(run: Run, net: torch.nn.Module, mode: str) -> Evaluation:
    """Predict every image of `mode` (val, trn, test, folder) once, score what has a label, feed the sinks."""
    cfg, ranks, log = run.cfg, run.ranks, run.log
    began = time.perf_counter()
    loader = validation(run, mode)
    predictor = inference.build_predictor(cfg, net, run.precision, log.line, temperature=certainty.temperature_of(run))
    writers = sinks.build(cfg, run.spec, run.folder, len(loader.dataset), loader.dataset.conditions)
    confusion = ConfusionMatrix(cfg.DATASET.NUM_CLASSES, cfg.DATASET.IGNORE_LABEL, ranks.device)
    notes: set[str] = set()
    ranks.barrier()  # no process writes results before the sinks of all have seen what is there
    for batch in log.progress(loader, mode):
        predictions = predictor(batch["image"], extras=writers.extras)
        notes.update(prediction.note for prediction in predictions if prediction.note)
        items = [*sinks.items(batch, predictions)]
        for item in items:
            item.counts = None if item.label is None else confusion.update(item.prediction.classes, item.label)
        writers.add_batch(items)
    confusion.reduce(ranks)
    found, seen = writers.results(ranks), loader.seen(ranks)
    for line in (*found.lines, *(seen.lines if cfg.EVAL.MODE or seen.left_out else ())):
        log.line(line)
    notes = {seen.note, *(note for part in ranks.gather(notes) for note in part)} - {""}
    facts = {"images": str(seen.total - len(seen.left_out)), "evaluated in": f"{time.perf_counter() - began:.1f} s"}
    scores = confusion.scores(run.spec.categories)
    return Evaluation(scores, found, "; ".join(sorted(notes)), facts, len(seen.left_out))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; gives the exit code: 0, 2 for a user's mistake, 128 + signal where a signal ended it."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--help" in argv or "-h" in argv:
        print(config.help_text(next((topic for topic in ("all", "arch") if topic in argv), "")))
        return 0
    try:
        with terminable():
            return exit_code(
                lambda: run_command(argv), stopped="--resume auto goes on with a training", explain=explain
            )
    finally:
        distributed.close()


def run_command(argv: Sequence[str]) -> int:
    """Build what the command line asks for, then fit or evaluate."""
    cfg = config.load(argv)
    if cfg.OPTIONS.DEVICES and not (cfg.OPTIONS.SUMMARY or cfg.OPTIONS.PLAN):
        code = launch.on(cfg.OPTIONS.DEVICES, [str(Path(__file__).resolve()), *argv])
        if code is not None:
            return code
    ranks = session.join(cfg)
    words = plan.completed(argv, cfg, ranks)
    if words is None:  # a plan alone was asked for
        return 0
    if words != argv:
        cfg = config.load(words)
    start = distributed.from_main(ranks, partial(session.starting_point, cfg))
    if start.path:
        cfg = config.load(elastic.followed(words, cfg, ranks, start), metadata.of_start(start.path, cfg.MODEL.ARCH))
    torch.manual_seed(cfg.SEED)
    net = network.build(cfg)
    if cfg.OPTIONS.SUMMARY:
        print(summary(net, cfg.DATASET.CROP_SIZE))
        return 0
    run = session.open_run(cfg, ranks, argv, start)
    try:
        session.log_header(run, start.notes)
        session.write_batch_script(run, argv)
        if cfg.EVAL.MODE:
            session.load_for_evaluation(run, net, start)
            result = evaluate(run, session.to_device(run, net), cfg.EVAL.MODE)
            code = publish_results(run, result, "val", epoch=0)
        else:
            code = fit(run, build_trainer(run, net, start))
        if code in (0, 2) and (run.folder / "report.html").exists():
            run.log.line(f"report: {run.folder / 'report.html'}")
        run.ranks.barrier()  # nobody leaves while others still talk to it
        return code
    except (Exception, KeyboardInterrupt) as error:
        run.log.note(last_words(error))
        raise
    finally:
        run.close()


if __name__ == "__main__":
    sys.exit(start(main))
