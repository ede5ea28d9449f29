"""Published pseudo-labels of Cityscapes' coarse images -> labels of train ids, in folders of cities.

python scripts/convert_cityscapes_autolabelling.py --dataset_root DIR

DIR/refinement_final/train_extra/<city>/*.png -> DIR/convert_autolabelled/<city>/*.png, raw ids to train ids, as palette
images. Started again it goes on.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets import labelrecord
from datasets.cityscapes import SPEC
from datasets.reading import find_folder, read_label
from media.files import is_hidden
from utils.cli import exit_code, start
from utils.errors import UserError
from utils.visualize import bit_colors, encode_indexed
from utils.workers import convert

SOURCE, TARGET = "refinement_final/train_extra", "convert_autolabelled"
COLORS = 255  # of the palette


def parser() -> argparse.ArgumentParser:
    """Make the command line."""
    p = argparse.ArgumentParser(description="Pseudo-labels: raw ids -> train ids.", allow_abbrev=False)
    p.add_argument("--dataset_root", required=True, help=f"folder with {SOURCE} in it")
    p.add_argument("--num_workers", type=int, default=os.cpu_count() or 1, help="processes")
    return p


def table() -> np.ndarray:
    """(256,) uint8: raw id -> train id, or ignored; values that are no id stay as they are."""
    ids = np.arange(256, dtype=np.uint8)
    for raw, train_id in (SPEC.id_to_train or {}).items():
        ids[raw % 256] = train_id
    return ids


def relabel(source: Path) -> bytes:
    """Label image of raw ids -> PNG of train ids."""
    label = read_label(str(source))
    if label.dtype != np.uint8:
        raise UserError(f"{source} has {8 * label.dtype.itemsize} bits a pixel; labels have 8")
    return encode_indexed(table()[label], bit_colors()[:COLORS], level=6)


def run(root: str, workers: int) -> str:
    """Write what is missing, and a record of the ids; gives a line about it."""
    folder = find_folder(root, (SOURCE,), "published pseudo-labels")
    target = Path(root) / TARGET
    sources = [path for path in sorted(folder.glob("*/*_leftImg8bit.png")) if not is_hidden(path.name)]
    if not sources:
        raise UserError(f"no <city>/*_leftImg8bit.png in {folder}")
    pairs = [(source, target / source.parent.name / source.name) for source in sources]
    written, before = convert(relabel, pairs, "labels", workers, target)
    labelrecord.write(target, replace(SPEC, train_to_id=()), {"converted from": SOURCE})
    return (
        f"{written} labels written, {before} were there before: {len(sources)} in {target}\n"
        f"for training: --coarse_multiple 1 --custom_coarse_prob 0 --custom_coarse_dir {target}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, 2 with one line for a user's mistake, 130 if it was stopped."""
    args = parser().parse_args(argv)
    return exit_code(lambda: print(run(args.dataset_root, args.num_workers)), args.dataset_root)


if __name__ == "__main__":
    sys.exit(start(main))
