"""Measures networks of timm as trunks: levels, parameters, multiply-adds, what they can. Computes on shapes alone.

python benchmarks/timm_trunks.py [NAME ...]      adds to docs/timm_trunks.csv, or measures anew what stands there
python -m options.arch_help                      takes the table into docs/networks.md
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from torch import nn

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from network.summary import multiply_adds
from network.trunk.timm_nets import TimmTrunk
from options.arch_help import TRIED
from utils.cli import exit_code, start
from utils.errors import UserError
from utils.files import csv_text, write_file

SIZE = (512, 512)  # of the image for the multiply-adds


def measured(name: str) -> dict[str, str]:
    """The row of a network."""
    trunk = TimmTrunk(name)
    return {
        "trunk": f"timm:{name}",
        **size_of(trunk),
        "multiply-adds, G": f"{multiply_adds(nn.Sequential(trunk), SIZE).total() / 1e9:.2f}",
        "--grad_ckpt": "yes" if _can(name, grad_ckpt=True) else "no",
        "--drop_path": "yes" if _can(name, drop_path=0.1) else "no",
    }


def size_of(trunk: TimmTrunk) -> dict[str, str]:
    """What of a row does not have to be computed."""
    return {
        "kind": type(trunk.body).__name__,
        "parameters, M": f"{sum(p.numel() for p in trunk.parameters()) / 1e6:.2f}",
        "maps: stride x channels": " ".join(f"{level.stride:g}x{level.channels}" for level in trunk.levels),
        "sides": str(trunk.multiple),
    }


def _can(name: str, **option: float) -> bool:
    try:
        TimmTrunk(name, **option)  # type: ignore[arg-type]
    except UserError:
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one line for a user's mistake."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="networks of timm to add; none: measure anew what stands there")
    args = parser.parse_args(argv)
    return exit_code(lambda: _write(args.names))


def _write(names: Sequence[str]) -> None:
    with open(TRIED, encoding="utf-8", newline="") as file:
        rows = {row["trunk"]: row for row in csv.DictReader(file)}
    for name in names or [trunk.partition(":")[2] for trunk in rows]:
        row = measured(name)
        rows[row["trunk"]] = row
        print(" | ".join(row.values()), flush=True)
    found = sorted(rows.values(), key=lambda row: (row["kind"].lower(), row["trunk"]))
    write_file(TRIED, csv_text([list(found[0]), *(row.values() for row in found)]).encode())


if __name__ == "__main__":
    sys.exit(start(main))
