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
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel
from yacs.config import CfgNode

import config
import datasets
import network
from network.evalrule import normalise
from network.summary import summary
from network.weights import restore
from session import Run, Trainer, build_trainer, introduce, placed, show, starting_point
from utils import amp, checkpoint, distributed, sinks
from utils.contracts import Batch
from utils.errors import UserError
from utils.log import RunLog
from utils.meter import StepMeter
from utils.metrics import ConfusionMatrix, Scores, format_table
from utils.state import TrainState
from utils.stop import StopRequest


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
    epoch, healthy = state.epoch + 1, True
    trainer.loader.set_epoch(epoch, start=state.iteration)
    state.net.start_epoch(epoch)
    total = len(trainer.loader)
    trainer.forward.train()
    progress = run.log.progress(trainer.loader, f"epoch {epoch}", total, state.iteration)
    for batch in progress:
        smooth = cfg.OPTIM.PER_ITER or epoch < cfg.OPTIM.WARMUP
        lr = cfg.OPTIM.LR * trainer.lr_factor(epoch + state.iteration / total if smooth else epoch)
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
    wait = forward.no_sync() if isinstance(forward, DistributedDataParallel) and not sync else nullcontext()
    with wait:
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
        phase = "eval" if cfg.EVAL.MODE and log.history("train") else "val"
        log.metric(phase, scores.summary(), epoch)
        log.line(format_table(scores, run.spec.classes) + (f"\n({note})" if note else ""))
    facts = {"images": str(len(loader.dataset)), "seconds": f"{time.perf_counter() - began:.1f}"}
    show(run, scores, writers, epoch, note, facts)
    return scores


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
    start = starting_point(cfg)
    if start.path and not cfg.MODEL.ARCH:
        cfg = config.load(words, restore.recorded(start.path))
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
        introduce(run, start.notes)
        if not cfg.EVAL.MODE:
            code = fit(run, build_trainer(run, net, start))
            log.line(f"report: {run.folder / 'report.html'}")
            ranks.barrier()  # nobody leaves while others still talk to it
            return code
        if start.path is None:
            raise UserError(f"no checkpoint in {run.folder} to evaluate: give --snapshot FILE")
        log.line(str(network.weights.load(net, start.path)))
        evaluate(run, placed(run, net), cfg.EVAL.MODE, epoch=0)
        ranks.barrier()
        return 0
    finally:
        log.close()


if __name__ == "__main__":
    sys.exit(main())
