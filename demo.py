"""Masks and an overlay for one picture, a video or a camera, from a checkpoint or an exported file alone.

python demo.py --demo-image IMG --snapshot CKPT --save-dir DIR
python demo.py --demo-video FILE --snapshot CKPT --save-dir DIR      a camera: its number in place of the file
python demo.py --demo-image IMG --model model.onnx --save-dir DIR    without torch
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runtime import demo as runtime_demo
from utils.cli import start


def parser() -> argparse.ArgumentParser:
    """Make the options of the demo; with a checkpoint all others are those of train.py."""
    p = runtime_demo.parser("Masks and an overlay for one picture, a video or a camera.")
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--demo-image", help="a picture of any size")
    source.add_argument("--demo-video", help="a video, or the number of a camera")
    p.add_argument("--max_frames", type=int, default=0, help="of a video or a camera, frames at most; 0: all")
    return p


def by_checkpoint() -> runtime_demo.ByCheckpoint:
    """Import what runs a checkpoint: torch, which an exported file does without."""
    from engine import demonstrate

    return demonstrate.main


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, 2 with one line for a user's mistake, 130 if it was stopped."""
    return runtime_demo.main("demo.py", parser(), argv, by_checkpoint)


if __name__ == "__main__":
    sys.exit(start(main))
