"""How fast it is, against the published way of doing it and what people would use instead: both sides in turns.

    python benchmarks/run.py --what metrics
    python benchmarks/run.py --what eval --size 512,1024 --steps 5 --arch ocrnet.HRNet_Mscale
    python benchmarks/run.py --what train --size 256 --bs_trn 2 --rmi_loss --hrnet_width 18
    python benchmarks/run.py --what train,eval,start --baseline smp,torchvision --size 256,512 --out peers.json
    python benchmarks/run.py --what all --out all.json

--what data (decode, augment, crop), cached (the same from what --cache_decoded keeps), centroids, metrics (confusion
matrix), eval (images to class maps), train (steps), start (Python until there is a network), scaling
(benchmarks/scaling.py), all. --baseline eager, the published way (benchmarks/baselines.py), smp and torchvision
(benchmarks/others.py: eval, train and start, by the same encoder).
All other flags are options of train.py. Prints the median, the spread, the ratio and the memory, of networks also the
operations and their share of what this machine's own matrix product or convolution reaches; --out FILE.json keeps
the numbers, which benchmarks/render.py takes into the documentation. --clock cpu counts seconds of the processors, for
a machine that has other work. Uses the GPU if there is one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import torch

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import config
from benchmarks import measure, others, pairs
from benchmarks.pairs import Job
from options.table import OPTIONS
from utils import amp
from utils.cli import comma_list, exit_code, place_to_write, start
from utils.errors import UserError, nearest
from utils.files import write_file

PUBLISHED_ARCH = "ocrnet.HRNet_Mscale"
NETWORKS = ("eval", "train")  # whose operations are counted
EAGER = (*pairs.PAIRS, "start")
WHAT = (*EAGER, "scaling")
BASELINES = {"eager": EAGER, **dict.fromkeys(others.OTHERS, (*NETWORKS, "start"))}


def measured(what: str, against: str, job: Job, steps: int, clock: str = "wall") -> dict[str, Any]:
    """Measure one pair and print it."""
    if against == "eager" and what != "start":
        pair = pairs.PAIRS[what](job)
    else:
        pair = others.pair(what, against, job)
    sides = measure.in_turns(pair, steps, job.device, clock)
    result = measure.summary(what, job.size, job.device, pair, sides, against) | {"clock": clock}
    if what in NETWORKS:
        o = job.cfg.TRAIN
        dtype = amp.build(o.FP16, o.AMP_OPT_LEVEL, job.device).dtype or torch.float32
        result |= {"arch": job.cfg.MODEL.ARCH, "dtype": str(dtype).removeprefix("torch.")}
        measure.add_operations(result, pair, measure.best_rates(job.device, dtype, clock))
    print(measure.table(result), flush=True)
    return result


@contextmanager
def prepared(size: str, arch: str, rest: Sequence[str], device: torch.device | None = None) -> Iterator[Job]:
    """Prepare a job; its files are gone afterwards, and thread counts as before. `arch`: unless a flag names one;
    `device`: the GPU if there is one.
    """
    cfg = config.load(rest, checkpoint_config={"MODEL.ARCH": arch})
    threads = cv2.getNumThreads(), torch.get_num_threads()
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Job(cfg, OPTIONS["DATASET.CROP_SIZE"].coerce(size, "--size"), device, Path(folder))
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])


def chosen(what: Sequence[str], against: Sequence[str]) -> list[tuple[str, str]]:
    """List the pairs (what, baseline) of a command line. UserError for an unknown one, and where none is left."""
    for flag, words, known in (("--what", what, (*WHAT, "all")), ("--baseline", against, (*BASELINES, "all"))):
        for word in words:
            if word not in known:
                raise UserError(f"unknown {flag} {word!r}{nearest(word, known)} Known: {', '.join(known)}")
    names = [name for name in BASELINES if name in against or "all" in (*against, *what)]
    found = [(one, name) for name in names for one in EAGER if one in BASELINES[name] and {one, "all"} & {*what}]
    found += [("scaling", "")] if {"scaling", "all"} & {*what} else []
    if not found:
        raise UserError(f"--baseline {','.join(against)} does {', '.join(BASELINES[against[0]])}, not {','.join(what)}")
    return found


def scaling() -> dict[str, Any]:
    """Measure cost against the size of the work, where benchmarks/scaling.py is there."""
    return import_module("benchmarks.scaling").main([])


def run(args: argparse.Namespace, rest: Sequence[str]) -> dict[str, Any]:
    """Measure every pair that is asked for; the numbers are written after each."""
    wanted, results = chosen(args.what, args.baseline), list[dict[str, Any]]()
    for what, against in wanted:
        reason = others.missing(against)
        if what == "scaling" and not find_spec("benchmarks.scaling"):
            reason = "benchmarks/scaling.py is not there"
        if reason and len(wanted) > 1:
            print(f"{what} against {against or 'size'}: left out, {reason}")
            continue
        results.append(one(what, against, args, rest))
        if args.out:
            kept = results[0] if len(wanted) == 1 else {"results": results}
            write_file(args.out, (json.dumps(kept, indent=1) + "\n").encode())
    return results[0] if len(wanted) == 1 else {"results": results}


def one(what: str, against: str, args: argparse.Namespace, rest: Sequence[str]) -> dict[str, Any]:
    """Measure one pair of a command line."""
    if what == "scaling":
        return scaling()
    with prepared(args.size, PUBLISHED_ARCH if against == "eager" else others.ARCH, rest) as job:
        if args.clock == "cpu" and job.device.type != "cpu":
            raise UserError(f"--clock cpu says nothing of {job.device.type}: leave it out")
        return measured(what, against, job, args.steps, args.clock)


def parser() -> argparse.ArgumentParser:
    """Make the command line; what it does not know goes to config.load."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    p.add_argument("--what", required=True, type=comma_list, help=f"{', '.join(WHAT)}, or all; several by commas")
    p.add_argument("--baseline", default=["eager"], type=comma_list, help=f"{', '.join(BASELINES)}, or all [eager]")
    p.add_argument("--size", default="512,1024", help='image size, one number or "height,width"')
    p.add_argument("--steps", type=int, default=10, help="timed calls of each side")
    p.add_argument("--clock", choices=list(measure.CLOCKS), default="wall", help="cpu: beside other work [wall]")
    p.add_argument("--out", type=place_to_write, help="file for the numbers, JSON")
    return p


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print, write."""
    return run(*parser().parse_known_args(argv))


if __name__ == "__main__":
    sys.exit(start(lambda: exit_code(main, stopped="what is measured so far is in --out")))
