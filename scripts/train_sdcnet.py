"""Train SDCNet2D or SDCNet2DRecon on the frames of videos.

python scripts/train_sdcnet.py --model SDCNet2DRecon --train_file CITYSCAPES --val_file CITYSCAPES --flow_source raft \
    --flow_weights raft_large_C_T_SKHT_V2-ff5fadd5.pth -s OUT
python scripts/train_sdcnet.py --train_file FRAMES --flow_source dis -s OUT --resume auto

FRAMES is any tree of images whose names end with their numbers; of a Cityscapes folder leftImg8bit_sequence is read.
The network and all that a resume needs are in OUT/NAME/last_checkpoint_ep<n>.pth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine import frame_prediction
from network.flow.sdcnet import MODELS
from network.flow.sources import SOURCES
from utils.cli import exit_code, place_to_write, start


def parser() -> argparse.ArgumentParser:
    """Make the command line; published names and defaults where there are such."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, 2 with one line for a user's mistake, 128 + signal if it was stopped."""
    args = parser().parse_args(argv)
    return exit_code(lambda: frame_prediction.run(args), args.save, "--resume auto goes on from the last checkpoint")


if __name__ == "__main__":
    sys.exit(start(main))
