"""Options of train_sdcnet.py, and what can be wrong with them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from network.flow.sdcnet import MODELS
from network.flow.sources import SOURCES
from utils.cli import place_to_write
from utils.errors import UserError

# What a run has to be continued with.
FIXED = ("model", "sequence_length", "width", "sample_rate", "train_file", "crop_size", "batch_size", "train_n_batches",
         "skip_aug", "seed", "flow_source")  # fmt: skip


def parser(text: str = "") -> argparse.ArgumentParser:
    """The command line, explained by `text`; published names and defaults where there are such."""
    p = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", choices=tuple(MODELS), default="SDCNet2D")
    p.add_argument("--width", type=float, default=1.0, help="share of the published channels, in steps of 1/128")
    p.add_argument("--sequence_length", type=int, default=2, help="frames that are seen; SDCNet2DRecon sees one more")
    p.add_argument("--flow_source", choices=tuple(SOURCES), default="flownet2", help="flow between the frames seen")
    p.add_argument("--flow_weights", "--flownet2_checkpoint", default="", help="its weights")
    p.add_argument("--train_file", default="", help="folder of frames, or Cityscapes folder with sequences")
    p.add_argument("--val_file", default="", help="the same, to measure on")
    p.add_argument("--sample_rate", type=int, default=1, help="step from one frame of a clip to the next")
    p.add_argument("-s", "--save", "--save_root", type=place_to_write, default=Path("."), help="folder of runs")
    p.add_argument("-n", "--name", default="sdctrain", help="folder of this run in it")
    p.add_argument("--resume", default="", help="checkpoint to go on from; auto: the newest of this run")
    p.add_argument("--snapshot", default="", help="weights to start from, published ones too")
    p.add_argument("--eval", action="store_true", help="measure --snapshot on --val_file only")
    p.add_argument("--write_images", action="store_true", help="with --eval, write the predicted frames to this run")
    p.add_argument("--epochs", type=int, default=500)
    p.add_argument("-b", "--batch_size", type=int, default=4)
    p.add_argument("--crop_size", type=int, nargs=2, default=[448, 448], metavar=("H", "W"))
    p.add_argument("--skip_aug", action="store_true", help="the middle of each frame, not mirrored")
    p.add_argument("--lr", "--learning_rate", type=float, default=1e-4)
    p.add_argument("--lr_milestones", type=int, nargs="+", default=[250, 450], help="epochs at which lr falls")
    p.add_argument("--lr_gamma", type=float, default=0.1, help="factor by which it falls")
    p.add_argument("--wd", "--weight_decay", type=float, default=1e-3)
    p.add_argument("--clip_gradients", type=float, default=-1.0, help="largest norm of the gradient; negative: any")
    p.add_argument("--train_n_batches", type=int, default=-1, help="most batches of an epoch; negative: all")
    p.add_argument("--val_n_batches", type=int, default=-1, help="most clips to measure on; negative: all")
    p.add_argument("--val_freq", type=int, default=20, help="epochs from one measurement to the next")
    p.add_argument("--save_freq", type=int, default=20, help="epochs from one checkpoint to the next")
    p.add_argument("--print_freq", type=int, default=100, help="steps from one line to the next")
    p.add_argument("--stride", type=int, default=64, help="whole frames are reflected to multiples of it")
    p.add_argument("-j", "--workers", type=int, default=4, help="processes that read")
    p.add_argument("--seed", type=int, default=1234)
    p.add_argument("--device", default="", help="else the GPU if there is one")
    return p


def fixed(args: argparse.Namespace) -> dict[str, Any]:
    """{option: value} of those that a run keeps."""
    return {key: getattr(args, key) for key in FIXED}


def check(args: argparse.Namespace) -> None:
    """UserError for values that mean nothing."""
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
