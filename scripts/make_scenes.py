"""Write parts of the embedded street scenes: coarse labels, sequences, fog, night, rain and snow.

python scripts/make_scenes.py ROOT --parts fine,coarse,sequence,fog
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import toyworld  # noqa: E402
from utils.cli import comma_list, exit_code, place_to_write, start  # noqa: E402


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write the embedded street scenes as files in the Cityscapes layout.")
    parser.add_argument("root", type=place_to_write, help="folder to write to")
    parser.add_argument("--parts", type=comma_list, default="fine", help=f"comma list of {', '.join(toyworld.PARTS)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", default="256x512", help="height x width")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument(
        "--count", action="append", default=[], metavar="NAME=N", help=f"of {', '.join(toyworld.COUNTS)}"
    )
    args = parser.parse_args(argv)
    try:
        counts = {name: int(number) for name, _, number in (item.partition("=") for item in args.count)}
        height, _, width = args.size.partition("x")
        size = (int(height), int(width))
    except ValueError:
        parser.error("--size takes HxW, --count takes NAME=N")
    return exit_code(lambda: draw(args, size, counts), args.root)


def draw(args: argparse.Namespace, size: tuple[int, int], counts: dict[str, int]) -> None:
    """Write the scenes of `size` (H, W) and say where they are."""
    toyworld.write(args.root, args.parts, args.seed, counts, size, args.workers)
    print(f"scenes are in {args.root}")


if __name__ == "__main__":
    sys.exit(start(main))
