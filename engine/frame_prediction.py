"""Training of video prediction, SDCNet2D or SDCNet2DRecon, on the frames of videos: scripts/train_sdcnet.py."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from datasets.clips import ClipDataset, ClipLoader, listing
from datasets.samplers import ClassUniformSampler
from engine import checkpoint
from engine.log import RunLog
from engine.runfolder import enter, go_back
from engine.runlock import FolderLock
from engine.stop import StopRequest
from loss.prediction import PredictionLoss, prediction_loss
from network.flow import sdcnet
from network.flow.sdcnet import MODELS, SDCNet2D, SDCNet2DRecon
from network.flow.sources import device_of, flow_source
from network.flow.warp import warp
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.files import write_file
from utils.progress import progress
from utils.runfolders import checkpoint_in
from utils.visualize import encode_png

# What a run has to be continued with.
FIXED = ("model", "sequence_length", "width", "sample_rate", "train_file", "crop_size", "batch_size", "train_n_batches",
         "skip_aug", "seed", "flow_source")  # fmt: skip
PLACE = ("epoch", "iteration", "step")  # how far it is


@dataclass
class Training:
    """What a run is made of, and how far it is: `epoch` last finished, `iteration` steps done in the next."""

    args: argparse.Namespace
    log: RunLog
    device: torch.device
    net: SDCNet2D
    optimizer: torch.optim.Optimizer
    loader: ClipLoader
    sampler: ClassUniformSampler
    val: ClipLoader | None
    epoch: int = -1
    iteration: int = 0
    step: int = 0

    @property
    def folder(self) -> Path:
        """Where the run writes."""
        return self.args.save / self.args.name

    def save(self) -> None:
        """Write the checkpoint, aside first, and remove the one before."""
        state = {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "arch": self.args.model,
            **{name: getattr(self, name) for name in PLACE},
            "config": {name: getattr(self.args, name) for name in FIXED},
            "command": shlex.join(sys.argv),
        }
        checkpoint.save_last(state, self.folder, self.epoch, self.log.line)

    def restore(self, path: Path) -> None:
        """Continue the run that wrote `path`; UserError if it was another."""
        state = checkpoint.load(path)
        before = state.get("config", {})
        for key in FIXED:
            now = getattr(self.args, key)
            if before.get(key) != now:
                was = f"was {before[key]!r}, is {now!r}" if key in before else "is not recorded there"
                raise UserError(f"--resume {path}: {key} {was}; keep it, or start anew with --snapshot")
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in PLACE:
            setattr(self, name, state[name])
        self.log.line(f"resumed from {path}: epoch {self.epoch} done, {self.iteration} steps of the next")


def build(args: argparse.Namespace, start: Path | None, lock: FolderLock) -> Training:
    """Build the data first, since most mistakes are there; then the source of flow, the network, and where it starts.

    The folder is taken with `lock`, and cleared of what an earlier run has left unless this one continues `start`.
    """
    length = args.sequence_length + 1  # SDCNet2D sees all of them but the last, SDCNet2DRecon all
    found = listing(args.train_file, "train", length, args.sample_rate)
    if len(found.clips) < args.batch_size:
        raise UserError(f"{found.summary}, which do not fill a batch of {args.batch_size}: lower --batch_size")
    val, line = measured_on(args, length) if args.val_file else (None, "")
    data = ClipDataset(found.clips, (args.crop_size[0], args.crop_size[1]), not args.skip_aug)
    most = max(0, args.train_n_batches)
    sampler = ClassUniformSampler(range(len(data)), {}, 1, 0.0, args.batch_size, seed=args.seed, most_steps=most)
    device = device_of(args.device)
    torch.manual_seed(args.seed)
    net = MODELS[args.model](flow_source(args.flow_source, args.flow_weights, device), args.sequence_length, args.width)
    loaded = str(sdcnet.load(net, args.snapshot)) if args.snapshot else ""
    optimizer = torch.optim.Adam(net.to(device).parameters(), args.lr, weight_decay=args.wd)
    folder, notes = enter(args.save / args.name, lock, shlex.join(sys.argv), "", start, start is not None)
    log = RunLog(folder)
    log.line("\n".join(filter(None, [*notes, f"train: {found.summary}", line, loaded])))
    return Training(args, log, device, net, optimizer, ClipLoader(data, sampler, args.workers), sampler, val)


def measured_on(args: argparse.Namespace, length: int) -> tuple[ClipLoader, str]:
    """Give the clips of whole frames of --val_file, and the line on them."""
    found = listing(args.val_file, "val", length, args.sample_rate)
    clips = found.clips[: args.val_n_batches if args.val_n_batches > 0 else None]
    return ClipLoader(ClipDataset(clips, stride=args.stride), workers=args.workers), f"val: {found.summary}"


def frames_on(frames: Tensor, device: torch.device) -> list[Tensor]:
    """Move (N, L, 3, H, W) uint8 -> L frames (N, 3, H, W) float32 on the device."""
    return list(frames.to(device, non_blocking=True).float().unbind(1))


def train_step(run: Training, frames: Tensor) -> PredictionLoss:
    """Train on one batch of clips (N, L, 3, H, W)."""
    clip = frames_on(frames, run.device)
    out = run.net(clip[: run.net.inputs])
    loss = prediction_loss(out.image, out.flow, clip[-1])
    run.optimizer.zero_grad()
    loss.total.backward()
    if run.args.clip_gradients > 0:
        nn.utils.clip_grad_norm_(run.net.parameters(), run.args.clip_gradients)
    run.optimizer.step()
    return PredictionLoss(*(part.detach() for part in loss))


def train_epoch(run: Training, stop: StopRequest) -> bool:
    """Train the epoch after the last finished one, from where it stands. False if it was asked to stop."""
    args, epoch, total = run.args, run.epoch + 1, len(run.loader)
    lr = args.lr * args.lr_gamma ** sum(epoch >= milestone for milestone in args.lr_milestones)
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    run.sampler.set_epoch(epoch, start=run.iteration)
    run.net.train()
    sums, count, began = torch.zeros(4), 0, time.perf_counter()
    for batch in run.log.progress(run.loader, f"epoch {epoch}", total, run.iteration):
        loss = train_step(run, batch.frames)
        values = torch.stack((*loss, loss.total)).cpu()
        run.iteration, run.step, sums, count = run.iteration + 1, run.step + 1, sums + values, count + 1
        if not values.isfinite().all():
            raise UserError(f"the loss is {float(values[-1])} in epoch {epoch}, step {run.iteration}: lower --lr")
        if run.step % args.print_freq == 0:
            pace = (time.perf_counter() - began) / count
            run.log.line(f"epoch {epoch} step {run.iteration}/{total}, {named(sums / count)}, {pace:.2f} s a step")
        if stop.requested(DistributedContext()) and run.iteration < total:
            return False
    run.epoch, run.iteration = epoch, 0
    run.log.metric("train", {**numbers(sums / count), "lr": lr}, epoch)
    return True


def numbers(values: Tensor) -> dict[str, float]:
    """Give the parts of the loss by name."""
    return dict(zip((*PredictionLoss._fields, "loss"), values.tolist(), strict=True))


def named(values: Tensor) -> str:
    """Write the parts of the loss as text, the whole first."""
    parts = numbers(values)
    return f"loss {parts.pop('loss'):.4f} (" + ", ".join(f"{key} {x:.4f}" for key, x in parts.items()) + ")"


@torch.no_grad()
def measure(net: SDCNet2D, clips: ClipLoader, device: torch.device, folder: Path | None = None) -> dict[str, float]:
    """Measure L1 (as a share of 255) and PSNR, means over clips, of predicted frames, beside what needs no network: the
    frame before as it is, and for SDCNet2DRecon moved by the flow that the network is given.

    `folder`: predicted frames are written to, as <number of the clip>_<name of the frame>.png.
    """
    net.eval()
    sums: dict[str, float] = {}
    for number, batch in enumerate(progress(clips, "validation", len(clips))):
        height, width = batch.size
        clip = frames_on(batch.frames, device)
        seen = clip[: net.inputs]
        flows = net.flows(seen)
        images = {"predicted": net(seen, flows=flows).image, "copied": clip[-2]}
        if isinstance(net, SDCNet2DRecon):
            images["source"] = warp(clip[-2], flows[-1])
        for name, image in images.items():
            error = (image - clip[-1])[..., :height, :width] / 255
            psnr = -10 * math.log10(max(1e-10, float(error.square().mean())))  # dB, at most 100
            for kind, value in (("l1", float(error.abs().mean())), ("psnr", psnr)):
                sums[f"{name}_{kind}"] = sums.get(f"{name}_{kind}", 0.0) + value
        if folder is not None:
            frame = images["predicted"][0, :, :height, :width].flip(0).round().clamp(0, 255).byte()  # RGB
            pixels = np.ascontiguousarray(frame.permute(1, 2, 0).cpu().numpy())
            write_file(folder / f"{number:05d}_{clips.names[number]}.png", encode_png(pixels))
    return {name: value / len(clips) for name, value in sums.items()}


def described(scores: dict[str, float], source: str) -> str:
    """Tell what `measure` gave, as a line."""
    names = {"predicted": "predicted frames", "copied": "the frame before", "source": f"moved by {source}"}
    parts = [(text, name) for name, text in names.items() if f"{name}_l1" in scores]
    return "; ".join(f"{text} L1 {scores[f'{n}_l1']:.5f}, PSNR {scores[f'{n}_psnr']:.2f} dB" for text, n in parts)


def fit(run: Training) -> int:
    """Train to the last epoch. Gives the exit code: 0, or 128 + signal if it was asked to stop."""
    args, stop = run.args, StopRequest(run.folder / "preempt")
    while run.epoch + 1 < args.epochs:
        if not train_epoch(run, stop):
            run.save()
            stop.acknowledge()
            run.log.line("stopped; the same command with --resume auto goes on from here")
            return stop.exit_code
        done, last = run.epoch + 1, run.epoch + 1 == args.epochs
        if last or done % args.save_freq == 0:
            run.save()
        if run.val is not None and (last or done % args.val_freq == 0):
            scores = measure(run.net, run.val, run.device)
            run.log.line(f"epoch {run.epoch}, {len(run.val)} clips: {described(scores, args.flow_source)}")
            run.log.metric("val", scores, run.epoch)
    run.log.line(f"done: {checkpoint.newest(run.folder)[0]}")
    return 0


def starting_file(args: argparse.Namespace) -> Path | None:
    """Give the checkpoint that --resume names; UserError where a run without it would replace that of another."""
    folder = args.save / args.name
    if not args.resume and any(folder.glob("last_checkpoint_ep*.pth")):
        raise UserError(f"{folder} holds a training: --resume auto goes on with it; or give another --name")
    return checkpoint.newest(folder)[0] if args.resume == "auto" else Path(args.resume) if args.resume else None


def evaluate(args: argparse.Namespace) -> int:
    """Measure the network of a file, which tells what it is, and print what came of it."""
    device = device_of(args.device)
    net = sdcnet.from_file(args.snapshot, flow_source(args.flow_source, args.flow_weights, device)).to(device)
    clips, line = measured_on(args, net.sequence_length + 1)
    print(line)
    folder = args.save / args.name / "predicted" if args.write_images else None
    scores = measure(net, clips, device, folder)
    print(f"{args.snapshot}, {type(net).__name__}: {described(scores, args.flow_source)}")
    return 0


def check(args: argparse.Namespace) -> None:
    """Raise UserError for values that mean nothing."""
    least = 1 if args.model == "SDCNet2DRecon" else 2
    for key, low in (
        ("sequence_length", least), ("sample_rate", 1), ("batch_size", 1), ("epochs", 1), ("val_freq", 1),
        ("save_freq", 1), ("print_freq", 1), ("stride", 1), ("workers", 0), ("lr", 0), ("wd", 0),
    ):  # fmt: skip
        if not getattr(args, key) >= low:
            raise UserError(f"--{key} {getattr(args, key)}: give {low} or more")
    if min(args.crop_size) < 1 or not 0 < args.width <= 4:
        size = " ".join(map(str, args.crop_size))
        raise UserError(f"--crop_size {size}, --width {args.width}: give positive ones, and a width up to 4")
    if args.resume and args.snapshot:
        raise UserError("give --resume to go on, or --snapshot to start from weights, not both")
    if args.eval:
        args.snapshot = args.snapshot or args.resume  # which it is called makes no difference then
    if args.eval and not (args.val_file and args.snapshot):
        raise UserError("--eval needs --snapshot and --val_file")
    if not args.eval and not args.train_file:
        raise UserError("give --train_file, a folder of frames")


def run(args: argparse.Namespace) -> int:
    """Build, start where it was asked for, then train; or measure. Gives the exit code."""
    check(args)
    args.snapshot, note = checkpoint_in(args.snapshot)
    if note:
        print(note)
    if args.eval:
        return evaluate(args)
    with FolderLock() as lock:
        path = starting_file(args)
        run = build(args, path, lock)
        if path is not None:
            run.restore(path)
            if note := go_back(run.folder, path, run.epoch, run.epoch):
                run.log.line(note)
        return fit(run)
