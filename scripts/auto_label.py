"""Label a folder of images with a trained network, for a further training on them.

python scripts/auto_label.py --snapshot TEACHER.pth --images DIR --out DIR --threshold 0.9 --scales 0.5,1.0,2.0

Started again it goes on where it was stopped. Under torchrun several GPUs share the images.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine import labeling, tool
from utils.cli import comma_list, comma_list_or_none, place_to_write, start


def parser() -> argparse.ArgumentParser:
    """Make the command line; what else stands on it goes to the options of train.py."""
    p = tool.parser("Label a folder of images with a trained network.", "--do_flip, --fp16, --arch, --dataset")
    p.add_argument("--snapshot", required=True, help="the teacher: a checkpoint or folder of a run")
    p.add_argument("--images", required=True, help="folder of images, in any depth, of any sizes")
    p.add_argument("--out", required=True, type=place_to_write, help="folder for the labels, the record and the report")
    least = "least confidence; of single classes: 0.9,road=0.95,bus=0.5"
    p.add_argument("--threshold", type=comma_list, default="0.9", help=least)
    scales = "scales that the teacher combines"
    p.add_argument("--scales", "--n_scales", type=comma_list_or_none, default="0.5,1.0,2.0", help=scales)
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, 2 with one line for a user's mistake, 130 if it was stopped."""
    return tool.main("scripts/auto_label.py", parser(), labeling.run, "out", argv)


if __name__ == "__main__":
    sys.exit(start(main))
