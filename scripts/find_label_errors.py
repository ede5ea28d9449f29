"""Find labels that are probably wrong, with a trained network.

python scripts/find_label_errors.py --snapshot CKPT --dataset camvid --data_root DIR --split val --out DIR

Looks where label and prediction disagree, area by area, and ranks the areas. Writes label_errors.html with pictures of
the worst, label_errors.csv and label_errors.json with all of them. Under torchrun several GPUs share the images.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine import label_errors, tool
from utils.cli import number, place_to_write, start


def parser() -> argparse.ArgumentParser:
    """Make the command line; what else stands on it goes to the options of train.py."""
    p = tool.parser(
        "Find labels that are probably wrong, with a trained network.", "--dataset, --data_root, --n_scales, --bs_val"
    )
    p.add_argument("--snapshot", required=True, help="checkpoint, which tells its network, and its dataset's name")
    p.add_argument("--split", choices=label_errors.MODES, default="val", help="whose labels are looked at")
    beside = "folder for the results; else label_errors_SPLIT beside the checkpoint"
    p.add_argument("--out", type=place_to_write, default=None, help=beside)
    p.add_argument("--overwrite", action="store_true", help="replace the results of an earlier search in that folder")
    p.add_argument("--worst", type=number(int, 1, float("inf")), default=100, help="areas on the page")
    p.add_argument("--most", type=number(int, 1, float("inf")), default=10_000, help="areas in the tables")
    p.add_argument(
        "--least", type=number(float, 0, 1), default=0.0, help="share of its image below which an area is left out"
    )
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, 2 with one line for a user's mistake, 130 if it was stopped."""
    return tool.main("scripts/find_label_errors.py", parser(), label_errors.run, "out", argv, "nothing was written")


if __name__ == "__main__":
    sys.exit(start(main))
