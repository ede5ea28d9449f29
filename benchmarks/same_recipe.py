"""How often trainings of one recipe are called different: pairs and groups of seeds that scripts/compare.py has scored.

python benchmarks/same_recipe.py OUT

OUT: the folder of a comparison (scripts/compare.py RUN RUN ... --out OUT) whose runs differ by their seed alone. Every
pair is compared as two recipes of one run each would be, and 400 draws of two and of three seeds against as many
others; beside each stands how many the interval over images alone would call different.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine.scored_images import ScoredImages  # noqa: E402
from evaluation.comparison import MEAN, Entry, compare  # noqa: E402
from evaluation.imagecounts import ImageCounts  # noqa: E402
from utils.cli import exit_code, start  # noqa: E402
from utils.errors import UserError  # noqa: E402

TRIALS, DRAWS = 400, 200
Split = tuple[Sequence[int], Sequence[int]]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the counts; gives the exit code."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("out", type=Path, help="folder of a comparison of seeds of one recipe")
    args = flags.parse_args(argv)
    return exit_code(lambda: print("\n".join(lines(runs_of(args.out)))))


def runs_of(out: Path) -> list[ImageCounts]:
    """Read what a comparison has kept of its runs. UserError where there are not two."""
    found = []
    for path in sorted(out.glob("scores-*.sqlite")):
        with closing(ScoredImages(path)) as images:
            found.append(images.counts(sorted(images.names())))
    if len(found) < 2:
        raise UserError(f"{out} has the scores of {len(found)} runs: compare two seeds or more with --out {out} first")
    return found


def lines(runs: Sequence[ImageCounts]) -> list[str]:
    """Say how the scores scatter, and how many comparisons of them are called different."""
    scores = [100 * float(run.total()[MEAN]) for run in runs]
    found = [f"mean IoU of {len(runs)} runs: {', '.join(f'{score:.2f}' for score in scores)}"]
    pairs = [((a,), (b,)) for a, b in itertools.combinations(range(len(runs)), 2)]
    found.append(f"one seed each: {counted(runs, pairs)}")
    for seeds in (2, 3):
        if len(runs) >= 2 * seeds:
            found.append(f"{seeds} seeds each: {counted(runs, drawn(len(runs), seeds))}")
    return found


def drawn(count: int, seeds: int) -> list[Split]:
    """Draw TRIALS times so many runs, and as many others."""
    dice = random.Random(0)
    samples = (dice.sample(range(count), 2 * seeds) for _ in range(TRIALS))
    return [(sample[:seeds], sample[seeds:]) for sample in samples]


def counted(runs: Sequence[ImageCounts], splits: Iterable[Split]) -> str:
    """Compare the two sides of each split; say how many differ, with seeds and over images alone."""
    names = [str(k) for k in range(runs[0].classes)]
    found = [
        compare(
            [Entry(name, [runs[i] for i in side]) for name, side in zip("ab", split, strict=True)], names, draws=DRAWS
        )
        for split in splits
    ]
    seeds = sum(one.differences[0].differs for one in found)
    images = sum(one.differences[0].checkpoints_differ for one in found)
    return f"{seeds} of {len(found)} comparisons differ; over images alone {images}"


if __name__ == "__main__":
    sys.exit(start(main))
