"""Which run is better: a page on runs that are there, or the same training in several variants and a table of scores.

python scripts/compare.py RUN RUN ... --out DIR [further words for every evaluation: --data_root, ...]
python scripts/compare.py scripts/compare_losses.yaml --out logs/losses --seeds 0,1,2 [further words for every train.py]

Of run folders (or checkpoints in them) the best checkpoint is scored once on the validation images of its dataset, with
the run's own options, into a file in the output folder; the page and the lines follow from these files. Runs that
differ by their seed alone are taken together. --fit writes the temperature of each checkpoint beside it. The page of
another comparison in that folder stays, and so does another checkpoint's temperature, unless --overwrite is given.

The YAML has `common`, words for each `train.py`, and `variants`, {name: words}. Scores are the mean IoU after the last
epoch, in per cent; variants are compared with the first one seed by seed. Where a dataset has conditions (fog, night),
each has a table of its own. Started again it goes on.
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import config  # noqa: E402
from engine import comparison  # noqa: E402
from engine.log import RunLog  # noqa: E402
from utils import yamlfile  # noqa: E402
from utils.cli import comma_list, exit_code, place_to_write, start  # noqa: E402
from utils.errors import UserError  # noqa: E402

Scores = Mapping[str, Mapping[str, float]]  # {variant: {seed: mean IoU}}
Folders = Mapping[str, Mapping[str, Path]]  # {variant: {seed: folder of the run}}
MEAN = "mean_iu"
FINISHED = "finished"  # in a run folder: the words of the training that has come to its end


@dataclass(frozen=True)
class Plan:
    """Words for every training, and those of each variant."""

    common: list[str]
    variants: dict[str, list[str]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is not there yet and print the table; gives the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    args, more = parser().parse_known_args(words)

    def work() -> None:
        if not is_plan(Path(args.what[0])):
            comparison.run(args, more, f"python scripts/compare.py {shlex.join(words)}")
            return
        if len(args.what) > 1:
            raise UserError(
                f"{args.what[0]} is a plan of trainings, {args.what[1]} none of its words: give one or runs"
            )
        plan, out = read(Path(args.what[0])), args.out.resolve()
        os.chdir(ROOT)  # where the trainings are started
        check(plan, more)
        print(tables(compare(plan, args.seeds, out, more)))

    return exit_code(work, args.out)


def parser() -> argparse.ArgumentParser:
    """Make the command line; other words go to every training or evaluation."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    flags.add_argument("what", nargs="+", help="run folders or checkpoints in them; or a YAML file of variants")
    flags.add_argument(
        "--out", type=place_to_write, required=True, help="folder of the page; of variants OUT/VARIANT/seedN"
    )
    flags.add_argument("--seeds", type=comma_list, default="0,1,2", help="one training of each variant a seed")
    flags.add_argument(
        "--snapshot", default="", help="runs: name or pattern of the checkpoint in each, not the best one"
    )
    flags.add_argument("--seed_sd", type=_points, help="runs: points of mean IoU between two seeds, if you know them")
    flags.add_argument("--fit", action="store_true", help="runs: write temperature.json beside each checkpoint")
    flags.add_argument("--overwrite", action="store_true", help="runs: replace a page or a temperature of others")
    return flags


def is_plan(path: Path) -> bool:
    """Tell a plan from a run: a file that is no checkpoint, or would be a YAML file if it were there."""
    return path.suffix in (".yaml", ".yml") or (path.is_file() and path.suffix != ".pth")


def _points(text: str) -> float:
    """Read points of mean IoU, as a type for argparse; ValueError for what is none."""
    value = float(text)
    if not 0 <= value <= 100:
        raise ValueError
    return value / 100


def read(path: Path) -> Plan:
    """Read the plan in a YAML file; UserError for anything else."""
    tree = yamlfile.load(path)
    try:
        variants = {name: _words(argv) for name, argv in tree["variants"].items()}
        if not variants:
            raise KeyError
        return Plan(_words(tree.get("common")), variants)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UserError(
            f"{path} is no plan: give `common: words for train.py` and `variants: {{name: words}}`"
        ) from None


def _words(text: str | None) -> list[str]:
    """Read the words of a plan; ValueError for `no`, 0 and the like, which are no text."""
    if text is not None and not isinstance(text, str):
        raise ValueError
    return shlex.split(text or "")


def check(plan: Plan, more: Sequence[str]) -> None:
    """Raise UserError, before any training, for words that train.py refuses and for two variants in one folder."""
    folders: dict[str, str] = {}
    for name, argv in plan.variants.items():
        other = folders.setdefault(_folder(name), name)
        if other != name:
            raise UserError(f"{other!r} and {name!r} would write to one folder, {_folder(name)}: name them differently")
        try:
            config.load([*plan.common, *argv, *more], dry=True)
        except UserError as error:
            raise UserError(f"variant {name!r}: {'; '.join(str(error).splitlines())}") from None


def _folder(name: str) -> str:
    return name.replace(" ", "_")


def compare(plan: Plan, seeds: Sequence[str], out: Path, more: Sequence[str]) -> Folders:
    """Train each variant with each seed, seed after seed, so that variants can be compared early."""
    folders: dict[str, dict[str, Path]] = {name: {} for name in plan.variants}
    for seed in seeds:
        for name, argv in plan.variants.items():
            folder = out / _folder(name) / f"seed{seed}"
            train_once(folder, [*plan.common, *argv, "--seed", seed], more, f"{name}, seed {seed}")
            folders[name][seed] = folder
    return folders


def train_once(folder: Path, argv: Sequence[str], more: Sequence[str], title: str = "") -> None:
    """Train to the end, unless `finished` in the folder says that it was done; UserError where that was another."""
    finished, said = folder / FINISHED, shlex.join([*argv, *more])
    before = finished.read_text(encoding="utf-8") if finished.exists() else None
    if before and before != said + "\n":  # empty: from before it was written down
        raise UserError(f"{folder} has a training of other words: {before.strip()}; give another --out, or delete it")
    if before is None:
        print(f"{title}: {folder}" if title else folder, flush=True)
        call("train.py", *argv, "--result_dir", str(folder), "--resume", "auto", *more)
        finished.write_text(said + "\n", encoding="utf-8")


def call(script: str, *argv: str) -> None:
    """Run a script of ours to its end; UserError where it fails (it has said why)."""
    code = subprocess.run([sys.executable, script, *argv], cwd=ROOT, check=False).returncode
    if code:
        raise UserError(f"{script} {shlex.join(argv)} ended with {code}; its own words stand above")


def final(folder: Path, figure: str = MEAN) -> float:
    """Read a figure after the last epoch, the mean IoU if no other is named."""
    return figures(folder)[figure]


def figures(folder: Path) -> dict[str, float]:
    """Read the last validation's mean IoU of all, and of each condition, from a run's metrics.csv."""
    last = RunLog(folder, main=False).history("val")[-1]
    return {key: value for key, value in last.items() if key.startswith(MEAN)}


def tables(folders: Folders) -> str:
    """Write the table of all images, then those of the conditions that all runs have."""
    found = [figures(folder) for of_seeds in folders.values() for folder in of_seeds.values()]
    parts = []
    for figure in [key for key in found[0] if all(key in one for one in found)]:
        scores = {name: {seed: final(folder, figure) for seed, folder in of.items()} for name, of in folders.items()}
        title = figure.removeprefix(MEAN).lstrip("_")
        parts.append((f"{title}:\n" if title else "") + table(scores))
    return "\n\n".join(parts)


def table(scores: Scores) -> str:
    """Write Markdown: a row a seed, mean and standard deviation, and the paired differences from the first variant."""
    names = list(scores)
    seeds = list(scores[names[0]])
    lines = ["| seed | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {seed} | " + " | ".join(f"{100 * scores[n][seed]:.2f}" for n in names) + " |" for seed in seeds]
    lines.append("| mean +- sd | " + " | ".join(spread([100 * v for v in scores[n].values()]) for n in names) + " |")
    for name in names[1:]:
        gains = [100 * (scores[name][seed] - scores[names[0]][seed]) for seed in seeds]
        lines.append(f"{name} - {names[0]}: {', '.join(f'{g:+.2f}' for g in gains)}; {spread(gains, '+')} points mIoU")
    return "\n".join(lines)


def spread(values: Sequence[float], sign: str = "") -> str:
    """Write the mean and standard deviation of a sample; with a single value there is none."""
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return f"{statistics.mean(values):{sign}.2f} +- {deviation:.2f}"


if __name__ == "__main__":
    sys.exit(start(main))
