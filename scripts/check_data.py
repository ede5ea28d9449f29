"""Are the data all right? Read every image and label of a dataset once and tell what is wrong.

python scripts/check_data.py --dataset camvid --data_root DIR [--out DIR]

Writes a page with pictures (check_data.html) and a table of every fault (check_data.csv), by default into
logs/check_data/DATASET. The exit code is 0 where nothing is wrong, or only warnings were found; 1 for errors, with
--strict for warnings too; 2 where the command line is wrong.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine import data_check
from utils.cli import comma_list, exit_code, number, place_to_write, start


def parser() -> argparse.ArgumentParser:
    """Make the command line; what else stands on it goes to the options of train.py."""
    more = "Further flags and KEY VALUE pairs as train.py takes them: --dataset, --data_root, --class_uniform_pct, ..."
    p = argparse.ArgumentParser(
        description=__doc__, epilog=more, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--out", type=place_to_write, default=None, help="folder for the page and the table")
    p.add_argument("--overwrite", action="store_true", help="replace a page or a table of others in that folder")
    p.add_argument(
        "--workers", type=number(int, 0, 256), default=0, help="threads that read; 0: one a CPU core, 16 at most"
    )
    p.add_argument("--strict", action="store_true", help="warnings end with exit code 1 too")
    p.add_argument("--accept", type=comma_list, default=[], help="kinds of faults that are no news: duplicate,leak")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; gives the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args, rest = parser().parse_known_args(argv)
    command = f"python scripts/check_data.py {shlex.join(argv)}"
    return exit_code(lambda: data_check.run(args, rest, command), args.out or "", "nothing was written")


if __name__ == "__main__":
    sys.exit(start(main))
