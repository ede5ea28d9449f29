"""Train SDCNet2D or SDCNet2DRecon on the frames of videos.

python scripts/train_sdcnet.py --model SDCNet2DRecon --train_file CITYSCAPES --val_file CITYSCAPES --flow_source raft \
    --flow_weights raft_large_C_T_SKHT_V2-ff5fadd5.pth -s OUT
python scripts/train_sdcnet.py --train_file FRAMES --flow_source dis -s OUT --resume auto

FRAMES is any tree of images whose names end with their numbers; of a Cityscapes folder leftImg8bit_sequence is read.
The network and all that a resume needs are in OUT/NAME/last_checkpoint_ep<n>.pth.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from datasets.clips import ClipDataset, ClipLoader, listing  # noqa: E402
from datasets.samplers import ClassUniformSampler  # noqa: E402
from engine import checkpoint  # noqa: E402
from engine.log import RunLog  # noqa: E402
from engine.runfolder import enter, go_back  # noqa: E402
from engine.runlock import FolderLock  # noqa: E402
from engine.stop import StopRequest  # noqa: E402
from loss.prediction import PredictionLoss, prediction_loss  # noqa: E402
from network.flow import sdcnet  # noqa: E402
from network.flow.sdcnet import MODELS, Flow, SDCNet2D, SDCNet2DRecon  # noqa: E402
from network.flow.sources import device_of, flow_source  # noqa: E402
from network.flow.warp import warp  # noqa: E402
from scripts.sdcnet_options import check, fixed, parser  # noqa: E402
from utils.cli import exit_code, start  # noqa: E402
from utils.distributed import DistributedContext  # noqa: E402
from utils.errors import UserError  # noqa: E402
from utils.files import write_file  # noqa: E402
from utils.progress import progress  # noqa: E402
from utils.visualize import encode_png  # noqa: E402


@dataclass
class Run:
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
        return self.args.save / self.args.name

    def save(self) -> None:
        """Write the checkpoint, aside first, and remove the one before."""
        state = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "arch": self.args.model}
        place = {"epoch": self.epoch, "iteration": self.iteration, "step": self.step}
        told = {"config": fixed(self.args), "command": shlex.join(sys.argv)}
        checkpoint.save_last({**state, **place, **told}, self.folder, self.epoch)

    def restore(self, path: Path) -> None:
        """Continue the run that wrote `path`; UserError if it was another."""
        state = checkpoint.load(path)
        before, wanted = state.get("config", {}), fixed(self.args)
        for key, value in wanted.items():
            if before.get(key) != value:
                was = f"was {before[key]!r}, is {value!r}" if key in before else "is not recorded there"
                raise UserError(f"--resume {path}: {key} {was}; keep it, or start anew with --snapshot")
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.iteration, self.step = state["epoch"], state["iteration"], state["step"]
        self.log.line(f"resumed from {path}: epoch {self.epoch} done, {self.iteration} steps of the next")


def build(args: argparse.Namespace, start: Path | None, lock: FolderLock) -> Run:
    """Data first, since most mistakes are there; then the source of flow, the network, and where it starts.

    The folder is taken with `lock`, and cleared of what an earlier run has left unless this one continues `start`.
    """
    length = args.sequence_length + 1  # SDCNet2D sees all of them but the last, SDCNet2DRecon all
    found = listing(args.train_file, "train", length, args.sample_rate)
    if len(found.clips) < args.batch_size:
        raise UserError(f"{found.summary}, which do not fill a batch of {args.batch_size}: lower --batch_size")
    lines, val = [f"train: {found.summary}"], None
    if args.val_file:
        val, line = measured_on(args, length)
        lines.append(line)
    data = ClipDataset(found.clips, (args.crop_size[0], args.crop_size[1]), not args.skip_aug)
    most = max(0, args.train_n_batches)
    sampler = ClassUniformSampler(range(len(data)), {}, 1, 0.0, args.batch_size, seed=args.seed, most_steps=most)
    device = device_of(args.device)
    torch.manual_seed(args.seed)
    net = MODELS[args.model](source_of(args, device), args.sequence_length, args.width)
    if args.snapshot:
        lines.append(str(sdcnet.load(net, args.snapshot)))
    optimizer = torch.optim.Adam(net.to(device).parameters(), args.lr, weight_decay=args.wd)
    folder, notes = enter(args.save / args.name, lock, shlex.join(sys.argv), "", start, start is not None)
    log = RunLog(folder)
    for line in [*notes, *lines]:
        log.line(line)
    return Run(args, log, device, net, optimizer, ClipLoader(data, sampler, args.workers), sampler, val)


def measured_on(args: argparse.Namespace, length: int) -> tuple[ClipLoader, str]:
    """Clips of whole frames of --val_file, and the line on them."""
    found = listing(args.val_file, "val", length, args.sample_rate)
    clips = found.clips[: args.val_n_batches if args.val_n_batches > 0 else None]
    return ClipLoader(ClipDataset(clips, stride=args.stride), workers=args.workers), f"val: {found.summary}"


def source_of(args: argparse.Namespace, device: torch.device) -> Flow:
    """The source of flow that the command line names."""
    return flow_source(args.flow_source, args.flow_weights, device)


def placed(frames: Tensor, device: torch.device) -> list[Tensor]:
    """(N, L, 3, H, W) uint8 -> L frames (N, 3, H, W) float32 on the device."""
    return list(frames.to(device, non_blocking=True).float().unbind(1))


def train_step(run: Run, frames: Tensor) -> PredictionLoss:
    """One batch of clips (N, L, 3, H, W)."""
    clip = placed(frames, run.device)
    out = run.net(clip[: run.net.inputs])
    loss = prediction_loss(out.image, out.flow, clip[-1])
    run.optimizer.zero_grad()
    loss.total.backward()
    if run.args.clip_gradients > 0:
        nn.utils.clip_grad_norm_(run.net.parameters(), run.args.clip_gradients)
    run.optimizer.step()
    return PredictionLoss(*(part.detach() for part in loss))


def train_epoch(run: Run, stop: StopRequest) -> bool:
    """The epoch after the last finished one, from where it stands. False if it was asked to stop."""
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
    """The parts of the loss by name."""
    return dict(zip((*PredictionLoss._fields, "loss"), values.tolist(), strict=True))


def named(values: Tensor) -> str:
    """The same as text, the whole first."""
    parts = numbers(values)
    return f"loss {parts.pop('loss'):.4f} (" + ", ".join(f"{key} {x:.4f}" for key, x in parts.items()) + ")"


@torch.no_grad()
def measure(net: SDCNet2D, clips: ClipLoader, device: torch.device, folder: Path | None = None) -> dict[str, float]:
    """L1 (as a share of 255) and PSNR, means over clips, of predicted frames, beside what needs no network: the frame
    before as it is, and for SDCNet2DRecon moved by the flow that the network is given.

    `folder`: predicted frames are written to, as <number of the clip>_<name of the frame>.png.
    """
    net.eval()
    sums: dict[str, float] = {}
    for number, batch in enumerate(progress(clips, "validation", len(clips))):
        height, width = batch.size
        clip = placed(batch.frames, device)
        seen = clip[: net.inputs]
        flows = net.flows(seen)
        images = {"predicted": net(seen, flows=flows).image, "copied": clip[-2]}
        if isinstance(net, SDCNet2DRecon):
            images["source"] = warp(clip[-2], flows[-1])
        for name, image in images.items():
            error = (image - clip[-1])[..., :height, :width] / 255
            for kind, value in (("l1", float(error.abs().mean())), ("psnr", psnr_of(error))):
                sums[f"{name}_{kind}"] = sums.get(f"{name}_{kind}", 0.0) + value
        if folder is not None:
            frame = images["predicted"][0, :, :height, :width].flip(0).round().clamp(0, 255).byte()  # RGB
            pixels = np.ascontiguousarray(frame.permute(1, 2, 0).cpu().numpy())
            write_file(folder / f"{number:05d}_{clips.names[number]}.png", encode_png(pixels))
    return {name: value / len(clips) for name, value in sums.items()}


def told(scores: dict[str, float], source: str) -> str:
    """What `measure` gave, as a line."""
    names = {"predicted": "predicted frames", "copied": "the frame before", "source": f"moved by {source}"}
    parts = [(text, name) for name, text in names.items() if f"{name}_l1" in scores]
    return "; ".join(f"{text} L1 {scores[f'{n}_l1']:.5f}, PSNR {scores[f'{n}_psnr']:.2f} dB" for text, n in parts)


def psnr_of(error: Tensor) -> float:
    """Peak signal to noise ratio in dB of an error as a share of the peak; at most 100."""
    return -10 * math.log10(max(1e-10, float(error.square().mean())))


def fit(run: Run) -> int:
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
            run.log.line(f"epoch {run.epoch}, {len(run.val)} clips: {told(scores, args.flow_source)}")
            run.log.metric("val", scores, run.epoch)
    run.log.line(f"done: {checkpoint.newest(run.folder)[0]}")
    return 0


def starting_file(args: argparse.Namespace) -> Path | None:
    """The checkpoint that --resume names; UserError where a run without it would replace that of another."""
    folder = args.save / args.name
    if not args.resume and any(folder.glob("last_checkpoint_ep*.pth")):
        raise UserError(f"{folder} holds a training: --resume auto goes on with it; or give another --name")
    return checkpoint.newest(folder)[0] if args.resume == "auto" else Path(args.resume) if args.resume else None


def evaluate(args: argparse.Namespace) -> int:
    """Measure the network of a file, which tells what it is, and print what came of it."""
    device = device_of(args.device)
    net = sdcnet.from_file(args.snapshot, source_of(args, device)).to(device)
    clips, line = measured_on(args, net.sequence_length + 1)
    print(line)
    folder = args.save / args.name / "predicted" if args.write_images else None
    scores = measure(net, clips, device, folder)
    print(f"{args.snapshot}, {type(net).__name__}: {told(scores, args.flow_source)}")
    return 0


def drive(args: argparse.Namespace) -> int:
    """Build, start where it was asked for, then train; or measure."""
    check(args)
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


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, 2 with one line for a user's mistake, 128 + signal if it was stopped."""
    args = parser(__doc__ or "").parse_args(argv)
    return exit_code(lambda: drive(args), args.save, "--resume auto goes on from the last checkpoint")


if __name__ == "__main__":
    sys.exit(start(main))
