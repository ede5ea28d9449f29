"""A trained network as a file for other runtimes, compared with the network itself before anybody relies on it.

python scripts/export.py --snapshot CKPT --out model.onnx [--output softmax] [--uint8] [--half | --int8]
python scripts/export.py --snapshot CKPT --out model.pt2 --size 1024,2048

.onnx is for ONNX Runtime, .xml for OpenVINO, .engine for TensorRT, .tflite for LiteRT, .pt2 for torch: docs/export.md
has what each needs. In the file and in a .json beside it stand classes, colors, mean and deviation. Any checkpoint that
train.py reads, with further flags of train.py where they change the network: --arch, --n_scales 0.5,1.0,2.0, ...
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.export import work
from inference import export
from utils.cli import exit_code, place_to_write, start


def parser() -> argparse.ArgumentParser:
    """Make the command line; what else stands on it goes to the options of train.py."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    suffixes = ", ".join(dict.fromkeys(target.suffix for target in export.TARGETS.values()))
    p.add_argument("--snapshot", required=True, help="checkpoint or run folder, which may tell its network and classes")
    p.add_argument("--out", type=place_to_write, required=True, help=f"file to write: {suffixes}")
    p.add_argument("--overwrite", action="store_true", help="replace files that are there")
    p.add_argument("--runtime", default="", help=f"whose file it is: {', '.join(export.TARGETS)} [by the suffix]")
    p.add_argument("--output", choices=list(export.OUTPUTS), default="argmax", help="what the file gives [argmax]")
    p.add_argument("--size", default="", metavar="H,W", help="take images of this size only")
    p.add_argument("--dynamic", action="store_true", help="take images of any size from 64 on; --size is an example")
    p.add_argument("--fixed", action="store_true", help="as --size alone, of 512,1024 where none is given")
    p.add_argument("--uint8", action="store_true", help="take (N, H, W, 3) uint8 RGB, not normalized (N, 3, H, W)")
    p.add_argument("--half", action="store_true", help="in float16")
    p.add_argument("--int8", action="store_true", help="in int8, as far as the mean IoU stays; see --calibration")
    p.add_argument("--calibration", default="", metavar="DATASET", help="whose training pictures int8 is fitted to")
    p.add_argument("--labeled", default="", metavar="DATASET", help="whose validation pictures the file is scored on")
    p.add_argument("--images", type=positive, default=16, help="pictures of each of the two [16]")
    p.add_argument("--max_drop", type=points, help="points of mean IoU that may be lost [fp32 0.01, fp16 0.1, int8 1]")
    p.add_argument("--image", default="", help="picture to compare on as well")
    return p


def positive(text: str) -> int:
    """Read a number from 1 on, as a type for argparse."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def points(text: str) -> float:
    """Read a number from 0 to 100, as a type for argparse."""
    number = float(text)
    if not 0 <= number <= 100:
        raise ValueError
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, 2 with one line for a user's mistake, 130 if it was stopped."""
    args, rest = parser().parse_known_args(argv)
    return exit_code(lambda: work.run(args, rest), args.out, "nothing was written")


if __name__ == "__main__":
    sys.exit(start(main))
