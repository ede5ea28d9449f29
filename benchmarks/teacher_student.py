"""Do pseudo-labels help? Embedded scenes, few of them labeled: a teacher, its labels, a student trained on them.

python benchmarks/teacher_student.py --out logs/teacher_student [--seeds 0,1,2] [--fraction 0.33] [--epochs 100]

For each seed: a network is trained on a share of the fine images (the teacher, and what the student is compared with);
it labels the coarse images; a second one is trained on the same fine images and those labels, with as many steps,
from random weights. Prints each pair, and mean and spread of the differences. Started again it goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.compare import call, final, table, train_once
from utils.cli import comma_list, exit_code, place_to_write, start

TEACHER, STUDENT = "fine only", "fine + pseudo-labels"
# As the published recipe has it (scripts/train_cityscapes_sota.yml).
COARSE = ("--coarse_boost_classes", "3,4,6,7,9,11,12,13,14,15,16,17,18", "--custom_coarse_prob", "0.5")


def main(argv: Sequence[str] | None = None) -> int:
    """Run all seeds and print the table; gives the exit code."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--out", type=place_to_write, required=True, help="folder for scenes, runs and labels")
    flags.add_argument("--seeds", type=comma_list, default="0,1,2", help="one pair of trainings each")
    flags.add_argument("--fraction", type=float, default=0.33, help="share of the 120 fine images that has labels")
    flags.add_argument("--epochs", type=int, default=100)
    flags.add_argument("--threshold", default="0.9", help="least confidence of the teacher's labels")
    args = flags.parse_args(argv)
    return exit_code(lambda: run(args), args.out)


def run(args: argparse.Namespace) -> None:
    """Draw the scenes, train all pairs, print their table."""
    call("scripts/make_scenes.py", str(args.out / "scenes"), "--parts", "fine,coarse")
    pairs = {seed: pair(args, seed) for seed in args.seeds}
    columns = (TEACHER, STUDENT)
    print(table({name: {seed: pairs[seed][i] for seed in pairs} for i, name in enumerate(columns)}))


def pair(args: argparse.Namespace, seed: str) -> tuple[float, float]:
    """Train teacher and student of one seed; gives their mean IoU."""
    folder, scenes = args.out / f"seed{seed}", args.out / "scenes"
    teacher, labels, student = (folder / name for name in ("teacher", "labels", "student"))
    train(args, seed, teacher)
    snapshot = str(teacher / f"last_checkpoint_ep{args.epochs - 1}.pth")
    images = str(scenes / "leftImg8bit" / "train_extra")
    argv = ["--snapshot", snapshot, "--images", images, "--out", str(labels), "--threshold", args.threshold]
    call("scripts/auto_label.py", *argv, "--scales", "0.5,1.0,2.0")
    train(args, seed, student, *COARSE, "DATASET.CITYSCAPES_CUSTOMCOARSE", str(labels))
    return final(teacher), final(student)


def train(args: argparse.Namespace, seed: str, folder: Path, *more: str) -> None:
    """Run one training of the quickstart's network; its coarse images, if any, are left out for the last seventh."""
    lower = str(args.epochs * 9 // 10)  # the second scale for the last tenth, as in the quickstart
    argv = ["--cfg", "scripts/cfg/quickstart.yaml", "--data_root", str(args.out / "scenes"), "--seed", seed]
    argv += ["--train_fraction", str(args.fraction), "--max_epoch", str(args.epochs), "--val_freq", str(args.epochs)]
    # All crops class-uniform: it is their share that coarse images have a part in.
    argv += ["--class_uniform_pct", "1.0", "--max_cu_epoch", str(args.epochs * 6 // 7), "--second_scale_from", lower]
    train_once(folder, argv, more)


if __name__ == "__main__":
    sys.exit(start(main))
