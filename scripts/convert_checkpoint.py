"""Rewrite a checkpoint in another layout; --help says which there are.

python scripts/convert_checkpoint.py IN OUT --to LAYOUT
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from network.weights import finite, read_file, writers
from utils.cli import check_free, exit_code, place_to_write, start
from utils.files import cannot_write, whole
from utils.runfolders import checkpoint_in


def parser() -> argparse.ArgumentParser:
    """Make the command line."""
    layouts = writers()
    p = argparse.ArgumentParser(
        description="Rewrite a checkpoint in another layout.",
        epilog="layouts: " + "; ".join(f"{name}, {layout.about}" for name, layout in layouts.items()),
        allow_abbrev=False,
    )
    p.add_argument("source", metavar="IN", type=Path, help="checkpoint of any supported layout, or folder of a run")
    p.add_argument("target", metavar="OUT", type=place_to_write, help="file to write, or folder")
    p.add_argument("--to", choices=sorted(layouts), required=True, help="layout of OUT")
    p.add_argument("--arch", default="", help="network's name to write where IN does not tell it")
    p.add_argument("--overwrite", action="store_true", help="replace files that are there")
    p.add_argument("--raw", action="store_true", help="the trained weights even where IN has averaged ones (EMA)")
    return p


def convert(source: Path, target: Path, to: str, arch: str = "", raw: bool = False, overwrite: bool = False) -> str:
    """Write `target`; returns a line about it, and before it one on a run's folder. Every file appears whole or not."""
    named, note = checkpoint_in(str(source))
    source = Path(named)
    weights = read_file(source, ema=not raw)
    weights = replace(weights, arch=weights.arch or arch)
    write = writers()[to].write
    assert write is not None
    contents = {target / name if name else target: content for name, content in write(weights).items()}
    check_free(contents, overwrite, "another OUT")
    try:
        with ExitStack() as all_written:
            for path, content in contents.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                stream = all_written.enter_context(whole(path, durable=True))
                torch.save(content, stream)
                stream.flush()  # the last file is full before the first takes its place
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise cannot_write(target, error) from error
    odd = finite.odd(weights.state)
    warning = f"; warning: {odd[0]} and {len(odd) - 1} more are no finite numbers, there as here" if odd else ""
    line = f"{target}: {len(weights.state)} entries in layout {to}, from {source} ({weights.source}){warning}"
    return f"{note}\n{line}" if note else line


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line: exit code 0, or 2 with one line for a user's mistake."""
    args = parser().parse_args(argv)
    words = args.source, args.target, args.to, args.arch, args.raw, args.overwrite
    return exit_code(lambda: print(convert(*words)), args.target)


if __name__ == "__main__":
    sys.exit(start(main))
