"""Masks and overlays for a folder of pictures, from a checkpoint alone.

python demo_folder.py --demo-folder DIR --snapshot CKPT --save-dir DIR
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from engine import demonstrate
from utils.cli import start


def parser() -> argparse.ArgumentParser:
    """Make the options of the demo; all others are those of train.py."""
    p = demonstrate.parser("Masks and overlays for a folder of pictures.")
    p.add_argument("--demo-folder", required=True, help="pictures of any sizes, in any depth")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, 2 for a user's mistake or unreadable pictures, 130 if it was stopped."""
    return demonstrate.main("demo_folder.py", parser(), argv)


if __name__ == "__main__":
    sys.exit(start(main))
