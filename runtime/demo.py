"""The demo of an exported file, without torch: demo.py and demo_folder.py with --model."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runtime import files, render
from runtime.apply import Applied
from runtime.facts import SMALLEST, Facts
from runtime.taken import LOG, OVERWRITE
from utils.cli import exit_code, number, place_to_write
from utils.errors import UserError, nearest
from utils.files import append, locked, writing
from utils.names import shown

SNAPSHOT, SAVE_DIR = "./pretrained_models/cityscapes_best.pth", "./save"  # where a published command says nothing
DONE = "what is done is written"

# Runs a command line by a checkpoint: (script, its flags, words).
ByCheckpoint = Callable[[str, argparse.ArgumentParser, "list[str]"], int]


def parser(what: str) -> argparse.ArgumentParser:
    """Make the command line of a demo but for its source; what else stands on it belongs to `_further` or train.py."""
    epilog = (
        "With --model also --tile, --tile_overlap, --image_bits, --visualize. With --snapshot further flags and KEY "
        "VALUE pairs as train.py takes them: --arch, --dataset, --n_scales, --fp16, ..."
    )
    p = argparse.ArgumentParser(description=what, epilog=epilog, allow_abbrev=False)
    network = p.add_mutually_exclusive_group()
    network.add_argument(
        "--snapshot", default=SNAPSHOT, help="checkpoint or run folder, which may tell its network and classes"
    )
    network.add_argument("--model", metavar="FILE", help="exported .onnx or .xml, run without torch")
    p.add_argument(
        "--save-dir", type=place_to_write, default=SAVE_DIR, help="folder for masks, overlays and the legend"
    )
    p.add_argument(
        OVERWRITE, action="store_true", help="replace masks there that are not of an earlier run of this command"
    )
    p.add_argument(
        "--confidence", action="store_true", help="also how sure each pixel is, as PNG of 8 bits (probability * 255)"
    )
    return p


def _further(words: Sequence[str]) -> argparse.Namespace:
    """Read the flags that a checkpoint's demo has from train.py, as far as an exported file has them too."""
    p = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    p.add_argument("--tile", type=number(int, 0, float("inf")), default=0)
    p.add_argument("--tile_overlap", type=number(float, 0, 0.9), default=0.25)
    p.add_argument("--image_bits", type=int, choices=(0, *range(8, 17)), default=0)
    p.add_argument("--visualize", action="store_true")
    found, unknown = p.parse_known_args(words)
    if unknown:
        known = ("--tile", "--tile_overlap", "--image_bits", "--visualize")
        raise UserError(
            f"{unknown[0]} is no flag of --model{nearest(unknown[0], known)}; it has {', '.join(known)}: what else a "
            "network does is in the file, as scripts/export.py was told"
        )
    return found


@contextmanager
def rendering(args: argparse.Namespace, words: Sequence[str], command: str) -> Iterator[render.Renderer]:
    """Open an exported file for pictures; at the end write the legend, also after Ctrl-C."""
    more, path, folder = _further(words), Path(args.model), Path(args.save_dir)
    run, facts = files.open_file(path)
    _check(path, facts, args.confidence, more.tile)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, f"waiting for another demo that writes to {folder}"):

        def say(text: str) -> None:
            append(folder / LOG, f"{text}\n")
            print(text, flush=True)

        package = files.OPENERS[path.suffix][0]
        say(f"{command}\n{shown(path.name)}, {facts.precision}, {facts.spec.name}, by {package} on the CPU")
        if args.confidence:
            say("certainties are the network's own: a file holds no temperature")
        predict = Applied(run, facts, say, more.tile, more.tile_overlap, args.confidence)
        renderer = render.Renderer(folder, facts.spec, predict, say, more.visualize, more.image_bits)
        with render.finishing(renderer):
            yield renderer


def _check(path: Path, facts: Facts, confident: bool, tile: int) -> None:
    """Raise UserError for what a file cannot give or take."""
    if confident and facts.output == "argmax":
        raise UserError(f"--confidence: {path} gives classes alone; export it with --output softmax")
    if tile and facts.size:
        raise UserError(
            f"--tile {tile}: {path} takes {facts.size[0]}x{facts.size[1]}, which is its tile: leave --tile out"
        )
    if 0 < tile < SMALLEST:
        raise UserError(f"--tile {tile}: {path} takes sides from {SMALLEST} on")


def main(
    script: str, flags: argparse.ArgumentParser, argv: Sequence[str] | None, load: Callable[[], ByCheckpoint]
) -> int:
    """Run a command line by its --model, or by what `load` gives for checkpoints, which needs torch.

    Exit code 0, 2 with one line for a user's mistake, 130 if it was stopped.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    args, rest = flags.parse_known_args(words)
    if args.model is not None:  # an empty one, of an unset variable, is no wish for a checkpoint
        command = f"python {script} {shlex.join(words)}"
        return exit_code(lambda: render.run(args, lambda: rendering(args, rest, command), command), args.save_dir, DONE)
    return exit_code(lambda: _loaded(load)(script, flags, words))


def _loaded(load: Callable[[], ByCheckpoint]) -> ByCheckpoint:
    try:
        return load()
    except ModuleNotFoundError as error:
        what = "a checkpoint is run by torch and others: pip install -r requirements.txt"
        raise UserError(f"{error.name} is not installed; {what}, or give an exported file as --model") from None
