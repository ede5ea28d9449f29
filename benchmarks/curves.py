"""The first losses of each recipe, narrowed, on the embedded scenes, compared bit for bit with those that are kept.

    python benchmarks/curves.py                          all recipes of scripts/cfg, 200 losses each
    python benchmarks/curves.py quickstart --steps 12    one of them, its first losses
    python benchmarks/curves.py --write                  keep the losses anew, after a change that is meant to move them

One thread, AVX2 and not what a processor has beyond it, without oneDNN: so that bits depend on as little as may be. A
file holds the torch and the processor that made it, by its maker and instructions. Another torch or processor prints a
table of differences, which is no failure; with the same ones a bit that differs is one (exit code 1).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import config
import datasets
import network
import toyworld
import train
from engine.log import RunLog
from engine.meter import StepMeter
from engine.session import Run, Start
from engine.survival import OpenStep, Work
from engine.training import build_trainer
from utils import amp, machine
from utils.cli import exit_code, number, start
from utils.contracts import Batch
from utils.distributed import DistributedContext
from utils.errors import UserError, nearest

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "tests/golden/curves"
STEPS = 200
PLAIN = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2"}
SMALL = ("--bs_trn", "2", "--num_workers", "0", "--do_eval", "false", "TRAIN.FP16", "false")
CROPS = ("--crop_size", "64", "--class_uniform_tile", "32")
_HRNET = ("--width_mult", "0.1", "MODEL.OCR.MID_CHANNELS", "16", "MODEL.OCR.KEY_CHANNELS", "8")
_HEAD = ("--segattn_bot_ch", "8", "MODEL.OCR.MID_CHANNELS", "16", "MODEL.OCR.KEY_CHANNELS", "8")
_BLOCKS = (
    *("MODEL.OCR_EXTRA.STAGE1.NUM_BLOCKS", "1", "MODEL.OCR_EXTRA.STAGE2.NUM_BLOCKS", "1,1"),
    *("MODEL.OCR_EXTRA.STAGE3.NUM_MODULES", "1", "MODEL.OCR_EXTRA.STAGE3.NUM_BLOCKS", "1,1,1"),
    *("MODEL.OCR_EXTRA.STAGE4.NUM_MODULES", "1", "MODEL.OCR_EXTRA.STAGE4.NUM_BLOCKS", "1,1,1,1"),
)
_RANDOM = ("MODEL.TRUNK_WEIGHTS", "")
_LITE = ("--arch", "timm:test_efficientnet+ocr+hierarchical", *_RANDOM, *_HEAD)
# What each recipe is narrowed by, so that it takes a second or two a hundred steps; its rates, losses and order stay.
NARROWED: dict[str, Sequence[str]] = {
    "ade20k": ("MODEL.ENCODER", "resnet18dilated", "--imgSize", "48,64", "--imgMaxSize", "128"),
    "ade20k_convnext": ("--arch", "timm:test_convnext+upernet", *_RANDOM),
    "ade20k_dinov3": ("--arch", "timm:test_vit+plain", *_RANDOM),
    "ade20k_swin": ("--arch", "timm:test_vit2+upernet", *_RANDOM),
    "camvid_fast": ("--arch", "timm:test_efficientnet+plain", *_RANDOM, "--segattn_bot_ch", "8"),
    "camvid_pretrained": (*_LITE, "LOSS.CLASS_WEIGHTS", "cityscapes"),
    "camvid_trial": ("--arch", "timm:test_efficientnet+plain+hierarchical", *_RANDOM, "--segattn_bot_ch", "8"),
    "offset_acdc": (*_HRNET, *_BLOCKS, "SNAPSHOT", "", "MODEL.FREEZED_PAR", "false", "MODEL.OFFSET_PRETRAINED", ""),
    "offset_cityscapes": (*_HRNET, *_BLOCKS),
    "quickstart": ("--width_mult", "0.1", *_HEAD),
    "quickstart_gpu": ("--width_mult", "0.2", *_HEAD, *_BLOCKS, "--channels_last", "off"),
    "quickstart_pretrained": _LITE,
}


class Curve(NamedTuple):
    """Losses of a recipe from its first step on, and what computed them."""

    torch: str
    processor: str
    losses: list[float]


class _Noting:
    """A training's open step that keeps each batch's loss."""

    def __init__(self, step: OpenStep, steps: int) -> None:
        self.step, self.steps, self.losses = step, steps, list[float]()

    def add(
        self, run: Run, work: Work, batch: Batch, group: int, last: bool, stop: bool = False
    ) -> tuple[Tensor, bool]:
        """Do a batch as the step does it."""
        value, stops = self.step.add(run, work, batch, group, last, stop)
        self.losses.append(float(value))
        return value, stops

    def asked(self, ranks: DistributedContext) -> bool:
        """Tell, as a request to stop does, whether the losses are enough with the batch that comes."""
        return len(self.losses) + 1 >= self.steps


def here() -> tuple[str, str]:
    """Name torch, without its build, and the processor."""
    return str(torch.__version__).partition("+")[0], machine.processor()


def curve(recipe: str, scenes: Path, steps: int) -> Curve:
    """Train the first `steps` of a recipe on `scenes`, and keep nothing but its losses."""
    words = ["--cfg", str(ROOT / f"scripts/cfg/{recipe}.yaml"), "--dataset", "toy", "--data_root", str(scenes)]
    with tempfile.TemporaryDirectory() as place:
        sizes = () if "--imgSize" in NARROWED[recipe] else CROPS
        cfg = config.load([*words, *SMALL, *sizes, *NARROWED[recipe], "DATASET.CENTROID_ROOT", place])
        ranks = DistributedContext()
        torch.manual_seed(cfg.SEED)
        net, precision = network.build(cfg), amp.build(cfg.TRAIN.FP16, cfg.TRAIN.AMP_OPT_LEVEL, ranks.device)
        log = RunLog(Path(place), main=False, track=())
        run = Run(cfg, datasets.spec(cfg), ranks, log, precision, "curves")
        trainer = build_trainer(run, net, Start())
        noting = trainer.open_step = _Noting(trainer.open_step, steps)  # type: ignore[assignment]
        meter = StepMeter(1, lambda: 0.0, ranks.device)
        while train.train_epoch(run, trainer, meter, noting):  # type: ignore[arg-type]
            train.close_epoch(run, trainer, meter)
    return Curve(*here(), noting.losses)


def kept(recipe: str) -> Curve | None:
    """Read the losses that are kept of a recipe, if there are any."""
    file = KEPT / f"{recipe}.json"
    return Curve(**json.loads(file.read_text())) if file.is_file() else None


def write(recipe: str, found: Curve) -> None:
    """Keep losses, each with all of its digits."""
    KEPT.mkdir(exist_ok=True)
    lines = ",\n".join(", ".join(map(repr, found.losses[i : i + 8])) for i in range(0, len(found.losses), 8))
    head = json.dumps({"torch": found.torch, "processor": found.processor})[:-1]
    (KEPT / f"{recipe}.json").write_text(f'{head}, "losses": [\n{lines}\n]}}\n')


def compared(recipe: str, found: Curve, known: Curve) -> tuple[str, bool]:
    """Say how losses differ from those that are kept, and whether that is a failure."""
    pairs = list(zip(found.losses, known.losses, strict=False))
    odd = [i for i, (a, b) in enumerate(pairs) if a != b and not (math.isnan(a) and math.isnan(b))]
    if not odd:
        return f"{recipe:22} {len(pairs)} losses equal to the bit", not pairs
    largest = max(abs(a - b) / max(abs(b), 1e-30) for a, b in pairs)
    text = f"{recipe:22} {len(odd)} of {len(pairs)} differ, from step {odd[0] + 1} on, by up to {largest:.2e} of it"
    same = (found.torch, found.processor) == (known.torch, known.processor)
    other = f"; kept of torch {known.torch}, {known.processor}; here {found.torch}, {found.processor}"
    return text + ("" if same else other), same


def one(recipe: str, scenes: Path, steps: int, keep: bool) -> tuple[str, bool]:
    """Keep or compare the losses of a recipe; gives a line, and whether it tells of a failure."""
    known = kept(recipe)
    if not (keep or known):
        return f"{recipe:22} none are kept yet: --write keeps them", False
    found = curve(recipe, scenes, steps if keep or not known else min(steps, len(known.losses)))
    if keep or not known:
        write(recipe, found)
        return f"{recipe:22} {len(found.losses)} losses kept", False
    return compared(recipe, found, known)


def parser() -> argparse.ArgumentParser:
    """Make the command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("recipes", nargs="*", help=f"of {', '.join(NARROWED)} [all]")
    p.add_argument("--steps", type=number(int, 1, STEPS), default=STEPS, help=f"losses of each [{STEPS}]")
    p.add_argument("--scenes", type=Path, help="folder of the scenes, drawn where it is empty [a temporary one]")
    p.add_argument("--write", action="store_true", help="keep the losses instead of comparing them")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Compare or keep: exit code 0, 1 where a bit differs that must not, 2 for a wrong name."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(words)
    if any(os.environ.get(name) != value for name, value in PLAIN.items()):  # read when torch is loaded
        command = [sys.executable, str(Path(__file__).resolve()), *words]
        return subprocess.run(command, env=os.environ | PLAIN, check=False).returncode
    return exit_code(lambda: work(args))


def work(args: argparse.Namespace) -> int:
    """Do it, a line each."""
    if odd := [name for name in args.recipes if name not in NARROWED]:
        raise UserError(f"no recipe {odd[0]!r}{nearest(odd[0], NARROWED)}; known: {', '.join(NARROWED)}")
    torch.set_num_threads(1)
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    failed = False
    with tempfile.TemporaryDirectory() as place:
        scenes = args.scenes or Path(place)
        toyworld.write(scenes, counts={"train": 8, "val": 4}, size=(64, 128), workers=1)
        for recipe in args.recipes or NARROWED:
            line, bad = one(recipe, scenes, args.steps, args.write)
            failed |= bad
            print(line, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(start(main))
