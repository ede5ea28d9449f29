"""Propagate images and labels to the frames around them, for training on more.

python scripts/propagate_labels.py --source_dir CITYSCAPES --target_dir OUT --propagate 3 --flow dis
python scripts/propagate_labels.py --frames DIR --labels DIR --target_dir OUT --flow dis --ignore_inconsistent

The first reads `leftImg8bit_sequence` and `gtFine` and writes `leftImg8bit` and `gtFine`, the second reads any frames
whose names end with their numbers and writes `train/images` and `train/labels` (--dataset folder). The labeled frames
are copied. Started again it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine import chain_flow, propagation
from utils.cli import exit_code, place_to_write, start


def parser() -> argparse.ArgumentParser:
    """Make the command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--source_dir", default="", help="Cityscapes folder with leftImg8bit_sequence and gtFine")
    p.add_argument("--split", default="train", help="of --source_dir")
    p.add_argument("--frames", default="", help="plain folder of frames, in place of --source_dir")
    p.add_argument("--labels", default="", help="plain folder with labels of some of the --frames")
    p.add_argument("--target_dir", type=place_to_write, required=True, help="folder to write to")
    p.add_argument("--propagate", type=int, default=1, help="frames each way from a labeled one")
    chain_flow.add_flags(p)
    p.add_argument("--ignore_inconsistent", action="store_true", help="ignore pixels whose flow does not lead back")
    p.add_argument("--ignore_id", type=int, default=None, help="their label; else 0, and 255 for plain folders")
    p.add_argument("--keep_frames", action="store_true", help="write the frames as they are, not the moved images")
    p.add_argument("--published", action="store_true", help="move what was moved before, images nearest, cut to bytes")
    p.add_argument("--skip_missing", action="store_true", help="leave out what lacks frames")
    p.add_argument("--vis", action="store_true", help="write labels in color as well")
    p.add_argument("--device", default="", help="else the GPU if there is one")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, 2 with one line for a user's mistake, 130 if it was stopped."""
    args = parser().parse_args(argv)
    return exit_code(lambda: propagation.run(args), args.target_dir)


if __name__ == "__main__":
    sys.exit(start(main))
