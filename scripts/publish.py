"""A run's network as a folder that can be uploaded as it is: weights, options, a card, the exported files of the run.

python scripts/publish.py RUN DIR [--license apache-2.0] [--picture street.jpg] [--push OWNER/NAME]

RUN is the folder of a run, of which the best checkpoint is taken, or a checkpoint. DIR is a new or an empty folder; it
has nothing of this machine in it. --snapshot DIR loads it, --snapshot hf:OWNER/NAME from the hub of Hugging Face.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.publish import work
from utils.cli import exit_code, place_to_write, start


def parser() -> argparse.ArgumentParser:
    """Make the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    p.add_argument("run", metavar="RUN", type=Path, help="folder of a run, or one of its checkpoints")
    p.add_argument("out", metavar="DIR", type=place_to_write, help="folder to write, new or empty")
    p.add_argument("--license", type=license_name, help="of the weights, as Hugging Face calls it [unknown]")
    p.add_argument("--picture", default="", help="picture that the card shows with its mask [a drawn street scene]")
    p.add_argument("--push", type=repository, metavar="OWNER/NAME", help="upload it to Hugging Face as well")
    return p


def license_name(text: str) -> str:
    """Read a name like cc-by-nc-4.0, as a type for argparse."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", text):
        raise ValueError
    return text


def repository(text: str) -> str:
    """Read OWNER/NAME, as a type for argparse."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        raise ValueError
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, 2 with one line for a user's mistake, 130 if it was stopped."""
    args = parser().parse_args(argv)
    return exit_code(lambda: work.run(args), args.out, "nothing was written")


if __name__ == "__main__":
    sys.exit(start(main))
