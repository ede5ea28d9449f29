"""Do propagated frames help? Embedded sequences, one labeled frame each: labels against the truth, then trainings.

python benchmarks/propagation_gain.py --out logs/propagation [--seeds 0,1,2] [--labeled 30] [--propagate 2]
                                      [--flow files]

First the mean IoU of the propagated labels against the true ones, for every source of --flows. Then for each seed a
training on the labeled frames and one on these and the propagated ones, with as many steps. Prints each pair, and mean
and spread of the differences. What else is on the command line goes to propagate_labels.py. Started again it goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets import video_clips
from datasets.cityscapes import SPEC
from datasets.reading import label_lut, read_label, remap_labels
from engine.chain_flow import Flows, flows_of
from engine.propagation import walk
from evaluation.metrics import ConfusionMatrix
from scripts import propagate_labels
from scripts.compare import Plan, call, compare, tables
from utils.cli import comma_list, comma_list_or_none, exit_code, place_to_write, start
from utils.plural import percent

ROUNDS = 10  # of a training; the second scale joins in the last, as in the quickstart


def main(argv: Sequence[str] | None = None) -> int:
    """Score labels, run all seeds and print the tables; gives the exit code."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    flags.add_argument("--out", type=place_to_write, required=True, help="folder for scenes, moved frames and runs")
    flags.add_argument(
        "--seeds",
        type=comma_list_or_none,
        default="0,1,2",
        help="one pair of trainings each; empty: the labels' figures alone",
    )
    flags.add_argument("--labeled", type=int, default=30, help="sequences to train on, each with one labeled frame")
    flags.add_argument("--propagate", type=int, default=2, help="frames each way")
    flags.add_argument("--flow", default="files", help="source that the trainings use; files: the true motion")
    flags.add_argument("--flows", type=comma_list, default="files,dis", help="sources whose labels are compared")
    flags.add_argument("--iters", type=int, default=800, help="steps of each training")
    flags.add_argument("--size", default="256x512", help="height x width of the pictures")
    flags.add_argument("--scene_seed", type=int, default=0, help="of the scenes: not that which a prediction learned")
    flags.add_argument("--val", type=int, default=30, help="pictures of the validation")
    args, rest = flags.parse_known_args(argv)
    args.out = args.out.resolve()  # the trainings run from the repository
    return exit_code(lambda: run(args, rest), args.out)


def run(args: argparse.Namespace, rest: Sequence[str]) -> None:
    """Print the labels' table, then that of the trainings."""
    scenes = draw(args)
    print(figures(scenes, args.flows, args.propagate, rest), flush=True)
    if args.seeds:
        frames = propagated(args, scenes, rest)
        print(tables(compare(plan(args, scenes, frames), args.seeds, args.out, [])))


def draw(args: argparse.Namespace) -> Path:
    """Draw the scenes, with frames, labels and flow of as many sequences as have labels."""
    scenes, counts = args.out / "scenes", {"train": args.labeled, "val": args.val, "sequences": args.labeled}
    seed = ("--seed", str(args.scene_seed))
    counts["frames"] = 2 * args.propagate + 3  # a prediction looks one frame further
    argv = [word for name, count in counts.items() for word in ("--count", f"{name}={count}")]
    call("scripts/make_scenes.py", str(scenes), "--parts", "fine,sequence,motion", "--size", args.size, *seed, *argv)
    return scenes


def figures(scenes: Path, names: Sequence[str], reach: int, rest: Sequence[str]) -> str:
    """Make a table: for each source and number of steps, mean IoU of all pixels, and of those that pass the check."""
    lines = ["| flow | steps | mIoU, all pixels | mIoU, passing the check | share passing |", "|---|---|---|---|---|"]
    for name in names:
        argv = ["--source_dir", str(scenes), "--target_dir", ".", "--flow", name, "--propagate", str(reach), *rest]
        flows = flows_of(propagate_labels.parser().parse_args(argv))
        for k, (whole, kept, share) in quality(scenes, flows, reach).items():
            lines.append(f"| {name} | {k} | {percent(whole)} | {percent(kept)} | {percent(share)} |")
    return "\n".join(lines)


def quality(scenes: Path, flows: Flows, reach: int) -> dict[int, tuple[float, float, float]]:
    """Give {steps: (mean IoU of all pixels, of those that pass the check of the way back, share of these)}.

    Against the true labels of the sequences, over all frames of the split train. A class that the propagated label
    lacks where the truth has one counts as missed.
    """
    truth, ids = scenes / "gtFine_sequence" / "train", label_lut(SPEC)
    void = SPEC.num_classes
    counted = {k: (ConfusionMatrix(void + 1), ConfusionMatrix(void + 1), list[float]()) for k in range(1, reach + 1)}
    for chain in video_clips.chains(video_clips.cityscapes(str(scenes)), reach)[0]:
        clip = chain.clip
        for step in walk(chain, flows, ignore=0, check=True, drop=False):
            path = str(truth / clip.place / f"{clip.name}_{step.number:06d}_gtFine_labelIds.png")
            true = torch.from_numpy(remap_labels(read_label(path), ids, path, SPEC))
            moved = torch.from_numpy(remap_labels(step.moved.label[0, 0].cpu().numpy(), ids, path, SPEC))
            moved = moved.masked_fill(moved == SPEC.ignore_label, void)
            trusted = step.moved.trusted[0].cpu()
            whole, kept, shares = counted[step.k]
            whole.update(moved, true)
            kept.update(moved, true.masked_fill(~trusted, SPEC.ignore_label))
            shares.append(float(trusted.float().mean()))
    return {k: (_mean_iou(w.counts), _mean_iou(t.counts), float(np.mean(s))) for k, (w, t, s) in counted.items()}


def _mean_iou(counts: Tensor) -> float:
    """Average over K classes of counts (K + 1, K + 1), true classes as rows, found ones as columns, the last none."""
    tp = counts.diagonal()[:-1].double()
    return float((tp / (counts.sum(0) + counts.sum(1))[:-1].sub(tp)).nanmean())


def propagated(args: argparse.Namespace, scenes: Path, rest: Sequence[str]) -> Path:
    """Make labeled and propagated frames, with the same images to validate on."""
    out = args.out / f"propagated_{args.flow}"
    argv = ["--source_dir", str(scenes), "--target_dir", str(out), "--flow", args.flow]
    call("scripts/propagate_labels.py", *argv, "--propagate", str(args.propagate), "--ignore_inconsistent", *rest)
    for tree in ("leftImg8bit", "gtFine"):
        if not (out / tree / "val").exists():
            (out / tree / "val").symlink_to(scenes / tree / "val", target_is_directory=True)
    return out


def plan(args: argparse.Namespace, scenes: Path, frames: Path) -> Plan:
    """Plan trainings of the quickstart's network in rounds, validated after the last: without and with such frames."""
    interval = -(-args.iters // ROUNDS)
    rounds = -(-args.iters // interval)
    common = ["--cfg", "scripts/cfg/quickstart.yaml", "--max_iters", str(args.iters), "--save_interval", str(interval)]
    common += ["--val_freq", str(rounds), "--second_scale_from", str(rounds - 1), "--warmup", "0.25"]
    data = {"labelled": scenes, f"propagated by {args.flow}": frames}  # names of folders: they stay as written
    return Plan(common, {name: ["--data_root", str(folder)] for name, folder in data.items()})


if __name__ == "__main__":
    sys.exit(start(main))
