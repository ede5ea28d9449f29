"""A local page: drop a picture, see the mask, the attention over scales and the certainty; and runs with their reports.

python scripts/serve.py --snapshot CKPT              a checkpoint, or the folder of a run
python scripts/serve.py logs                         a run, or a folder of runs: their list, reports and networks

It answers this machine alone, writes nothing, and ends with Ctrl-C. Needs Flask: pip install -r requirements-serve.txt
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import config
from utils.cli import exit_code, start
from utils.errors import UserError

NEEDS = "the page needs Flask: pip install -r requirements-serve.txt"


def parser() -> argparse.ArgumentParser:
    """Make the command line; what else stands on it goes to the options of train.py."""
    p = argparse.ArgumentParser(
        usage="%(prog)s [RUN_OR_FOLDER_OF_RUNS] [--snapshot CKPT] [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Further flags and KEY VALUE pairs as train.py takes them: --n_scales, --do_flip, --fp16, --arch, ...",
        allow_abbrev=False,
    )
    p.add_argument("--snapshot", default="", help="checkpoint, or folder of a run, whose network is shown")
    p.add_argument("--host", default="127.0.0.1", help="address to listen on; others than this machine's own are open")
    p.add_argument("--port", type=int, default=0, help="port to listen on [8765, or the next one that is free]")
    p.add_argument("--max_upload", type=float, default=30, help="size of a picture's file at most, in MB [30]")
    p.add_argument("--max_megapixels", type=float, default=64, help="size of a picture at most, in megapixels [64]")
    return p


def read(argv: Sequence[str] | None) -> tuple[argparse.Namespace, str, list[str]]:
    """Read a command line: its options, the folder that it names, "" for none, and what goes to train.py's options."""
    args, rest = parser().parse_known_args(argv)
    # As a positional of the parser it would swallow the value of a flag that train.py knows and the parser does not.
    named = bool(rest) and not rest[0].startswith("-") and rest[0] not in config.OPTIONS
    return (args, rest[0], rest[1:]) if named else (args, "", rest)


def run(args: argparse.Namespace, place: str, rest: Sequence[str]) -> None:
    """Load, listen, say where, answer until Ctrl-C."""
    try:
        from serving import site
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("flask", "werkzeug"):
            raise UserError(NEEDS) from None
        raise
    bounds = site.Bounds(args.max_upload, args.max_megapixels)
    site.serve(site.prepared(place, args.snapshot, rest, args.host, bounds), args.port)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, also after Ctrl-C, or 2 with one line for a user's mistake."""
    args, place, rest = read(argv)
    return exit_code(lambda: run(args, place, rest), place or args.snapshot)


if __name__ == "__main__":
    sys.exit(start(main))
