"""Rewrite a checkpoint in another layout.

python scripts/convert_checkpoint.py IN OUT --to nvidia    as NVIDIA's code saves and loads it
python scripts/convert_checkpoint.py IN OUT --to hrnet     as HRNet's code and the one with offset vectors do
python scripts/convert_checkpoint.py IN OUT --to plain     {name: tensor} and nothing else
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from network.weights import hrnet, nvidia, plain, read_file  # noqa: E402
from utils.cli import exit_code  # noqa: E402
from utils.errors import UserError  # noqa: E402

LAYOUTS = {"hrnet": hrnet.layout, "nvidia": nvidia.layout, "plain": plain.layout}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(description="Rewrite a checkpoint in another layout.", allow_abbrev=False)
    p.add_argument("source", metavar="IN", type=Path, help="checkpoint of any supported layout")
    p.add_argument("target", metavar="OUT", type=Path, help="file to write")
    p.add_argument("--to", choices=sorted(LAYOUTS), required=True, help="layout of OUT")
    p.add_argument("--arch", default="", help="network's name to write where IN does not tell it (nvidia)")
    p.add_argument("--raw", action="store_true", help="the trained weights even where IN has averaged ones (EMA)")
    return p


def convert(source: Path, target: Path, to: str, arch: str = "", raw: bool = False) -> str:
    """Write `target`; returns one line about it. The file appears whole or not at all."""
    weights = read_file(source, ema=not raw)
    weights = replace(weights, arch=weights.arch or arch)
    partial = target.with_name(target.name + ".tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            torch.save(LAYOUTS[to](weights), file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        with suppress(OSError):
            partial.unlink()
        raise UserError(f"{target}: cannot be written ({error}); check the folder and the free space") from error
    return f"{target}: {len(weights.state)} entries in layout {to}, from {source} ({weights.source})"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one line for a user's mistake."""
    args = parser().parse_args(argv)
    return exit_code(lambda: print(convert(args.source, args.target, args.to, args.arch, args.raw)), args.target)


if __name__ == "__main__":
    sys.exit(main())
