"""Masks and overlays for a folder of pictures, from a checkpoint or an exported file alone.

python demo_folder.py --demo-folder DIR --snapshot CKPT --save-dir DIR
python demo_folder.py --demo-folder DIR --model model.onnx --save-dir DIR    without torch
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from runtime import demo as runtime_demo
from utils.cli import start


def parser() -> argparse.ArgumentParser:
    """Make the options of the demo; with a checkpoint all others are those of train.py."""
    p = runtime_demo.parser("Masks and overlays for a folder of pictures.")
    p.add_argument("--demo-folder", required=True, help="pictures of any sizes, in any depth")
    return p


def by_checkpoint() -> runtime_demo.ByCheckpoint:
    """Import what runs a checkpoint: torch, which an exported file does without."""
    from engine import demonstrate

    return demonstrate.main


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, 2 for a user's mistake or unreadable pictures, 130 if it was stopped."""
    return runtime_demo.main("demo_folder.py", parser(), argv, by_checkpoint)


if __name__ == "__main__":
    sys.exit(start(main))
