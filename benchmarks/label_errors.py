"""How many planted label faults does scripts/find_label_errors.py find? Beside it cleanlab, if it is installed.

python benchmarks/label_errors.py --snapshot CKPT --dataset camvid --data_root DIR --shares 0.05,0.1 --out DIR

Faults are planted in a share of the labels' objects (benchmarks/planted_faults.py). Of the 100 areas with the highest
scores those count as found of which half the pixels or more were changed. Where fewer faults than 100 were planted, no
more than these can be found: the table has that bound beside it, and the precision of as many areas as there are faults
(R-precision), which a perfect ranking would bring to 100 %. Images are predicted once, into --out; the table has a row
for each share, mean and spread over --seeds. Other words go to the options of train.py.

cleanlab's functions for segmentation see the same labels and probabilities: its pixels with issues, joined to areas,
are ranked by the mean of its scores and by their size. It knows no ignored pixels: there it is given the prediction.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import math
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import datasets
import inference
from benchmarks.planted_faults import KINDS, Planted, places, plant_all
from engine.label_errors import MODES
from evaluation.labelcheck.areas import Compared, mask_of
from evaluation.labelcheck.finder import Finder
from evaluation.objects import connected
from inference import from_file
from network import weights
from utils import amp
from utils.cli import comma_list, exit_code, place_to_write, start
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.files import write_file
from utils.plural import percent
from utils.progress import progress

TOP = 100
COUNTS = 0.5  # share of an area's pixels that planting has to have changed
LEAST = 0.001  # cleanlab's areas of a smaller share of their image are left out: they only take places from faults
AT_ONCE = 2e8  # numbers that cleanlab is given; of more, every n-th row and column


class Predicted(NamedTuple):
    """Of some images their names, labels (H, W) uint8 as they are, and probabilities (K, H, W) float16, in files."""

    spec: DatasetSpec
    names: list[str]
    labels: list[np.ndarray]
    files: list[Path]


class Outcome(NamedTuple):
    """Of one way of finding: the share of its first TOP areas that lie on faults, and which of the faults these are.

    `r_precision`: the share of as many first areas as there are faults.
    """

    precision: float
    r_precision: float
    found: set[int]


def parser() -> argparse.ArgumentParser:
    """Make the command line; what else stands on it goes to the options of train.py."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    p.add_argument("--snapshot", required=True, help="a network that was trained on the labels as they are")
    p.add_argument("--splits", type=comma_list, default="val", help="train, val, or both")
    p.add_argument("--shares", type=comma_list, default="0.05,0.1", help="of the objects that get a fault")
    p.add_argument("--seeds", type=comma_list, default="0,1,2", help="which objects, and what faults")
    p.add_argument("--out", type=place_to_write, required=True, help="folder for the probabilities")
    p.add_argument("--no_cleanlab", action="store_true", help="leave it out, also where it is installed")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Predict, plant, find, print the table; gives the exit code."""
    args, rest = parser().parse_known_args(argv)
    return exit_code(lambda: run(args, rest), args.out)


def run(args: argparse.Namespace, rest: Sequence[str]) -> None:
    """Print a table of all shares, with a row for each way of finding."""
    for split in args.splits:
        if split not in MODES:
            raise UserError(f"--splits takes {' and '.join(MODES)}, not {split!r}")
    everything = predict(args, rest)
    where = places(everything.labels, everything.spec.ignore_label)
    print(f"{len(everything.labels)} images, {len(where)} objects that can get a fault", flush=True)
    head = [
        "share",
        "way",
        "faults",
        "precision at 100",
        "at most",
        "at as many areas as faults",
        "of the faults found",
    ]
    print(f"| {' | '.join([*head, *KINDS])} |")
    print("|---" * (len(head) + len(KINDS)) + "|")
    ways = [ours, *([] if args.no_cleanlab else peers())]
    ignore = everything.spec.ignore_label
    for share in args.shares:
        trials = [plant_all(everything.labels, where, float(share), ignore, int(seed)) for seed in args.seeds]
        for way in ways:
            outcomes = [way(everything, planted) for planted in trials]
            for title in outcomes[0]:
                print(row(share, title, trials, [one[title] for one in outcomes]), flush=True)


def row(share: str, title: str, trials: Sequence[Planted], outcomes: Sequence[Outcome]) -> str:
    """Write a line of the table: means over the trials, and the spread of the precisions."""
    found = [len(one.found) / len(planted.kinds) for one, planted in zip(outcomes, trials, strict=True)]
    cells = [share, title, "/".join(str(len(t.kinds)) for t in trials), spread([one.precision for one in outcomes])]
    cells.append(percent(statistics.mean(min(1, len(planted.kinds) / TOP) for planted in trials)))
    cells += [spread([one.r_precision for one in outcomes]), percent(statistics.mean(found))]
    for kind in KINDS:
        of_kind = [{n for n, k in enumerate(planted.kinds) if k == kind} for planted in trials]
        shares = [len(one.found & all_) / max(1, len(all_)) for one, all_ in zip(outcomes, of_kind, strict=True)]
        cells.append(percent(statistics.mean(shares)))
    return f"| {' | '.join(cells)} |"


def spread(values: Sequence[float]) -> str:
    """Write a mean with the lowest and the highest value."""
    between = f" (from {percent(min(values))} to {percent(max(values))})" if len(values) > 1 else ""
    return percent(statistics.mean(values)) + between


# What a network says ------------------------------------------------------------------------------------------------


def predict(args: argparse.Namespace, rest: Sequence[str]) -> Predicted:
    """Predict all images of the splits, but for those whose probabilities an earlier run of the same words has left."""
    names: list[str] = []
    labels: list[np.ndarray] = []
    files: list[Path] = []
    spec: DatasetSpec | None = None
    for split in args.splits:
        argv = [*rest, "--eval", MODES[split], "--snapshot", args.snapshot]
        cfg, spec, net, _ = from_file.build(argv)
        check_record(args.out / f"{split}.json", {"snapshot": args.snapshot, "argv": list(rest)})
        weights.load(net, cfg.SNAPSHOT).require_complete(args.snapshot)
        ranks = DistributedContext()
        predictor = inference.build_predictor(cfg, net, amp.build(False, "O0", ranks.device))
        loader, before = datasets.build_val(cfg, ranks, MODES[split]), len(files)
        for batch in progress(loader, f"images of {split}", len(loader), lines=10):
            for name, image, label in zip(batch["name"], batch["image"], batch["label"], strict=True):
                if label is None:
                    continue
                file = args.out / split / f"{len(files) - before:06d}.npy"
                if not file.exists():
                    (found,) = predictor([image], scores=True)
                    write_array(file, probabilities(found.scores, predictor.rule.average).half().numpy())
                names.append(name)
                labels.append(label)
                files.append(file)
    assert spec is not None
    return Predicted(spec, names, labels, files)


def check_record(path: Path, made: Mapping[str, Any]) -> None:
    """Write down what the probabilities are of; UserError where there are others."""
    text = json.dumps(made)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise UserError(f"{path} tells of other probabilities, {path.read_text(encoding='utf-8')}: give another --out")
    write_file(path, text.encode())


def probabilities(scores: torch.Tensor | None, average: str) -> torch.Tensor:
    """(K, H, W) scores, averaged as `EvalRule.average` says -> probabilities."""
    assert scores is not None
    values = scores.float().cpu()
    if average == "logits":
        return values.softmax(0)
    return values / values.sum(0) if average == "exp" else values


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array as a file that can be mapped."""
    data = io.BytesIO()
    np.save(data, array, allow_pickle=False)
    write_file(path, data.getvalue())


# Ways of finding ------------------------------------------------------------------------------------------------------


def ours(everything: Predicted, planted: Planted) -> dict[str, Outcome]:
    """Rank areas as scripts/find_label_errors.py does."""
    spec = everything.spec
    finder = Finder(spec.num_classes, most=max(10 * TOP, looked_at(planted)))
    predictions: list[np.ndarray] = []
    for place, file in enumerate(everything.files):
        label = planted.labels.get(place, everything.labels[place])
        p = np.load(file, mmap_mode="r")
        valid = label != spec.ignore_label
        classes = p.argmax(0).astype(np.uint8)
        of_label = np.take_along_axis(p, np.where(valid, label, 0)[None].astype(np.int64), 0)[0]
        finder.add(str(place), Compared(label, classes, of_label.astype("f4"), p.max(0).astype("f4"), valid))
        predictions.append(classes)
    masks = []
    for area in finder.result().areas[: looked_at(planted)]:
        place = int(area.image)
        label = planted.labels.get(place, everything.labels[place])
        masks.append((place, mask_of(area, label, predictions[place], spec.ignore_label)))
    return {"ours": judge(masks, planted)}


def looked_at(planted: Planted) -> int:
    """Count the areas that are judged: TOP, or as many as there are faults where these are more."""
    return max(TOP, len(planted.kinds))


def judge(masks: Iterable[tuple[int, np.ndarray]], planted: Planted) -> Outcome:
    """Say how many areas, (image, (H, W) bool) each, the worst first, planting has changed by COUNTS or more."""
    faults = [fault_of(place, mask, planted) for place, mask in masks]
    right = np.array([fault is not None for fault in faults])
    count = max(1, len(planted.kinds))
    found = {fault for fault in faults[:TOP] if fault is not None}
    return Outcome(float(right[:TOP].sum()) / TOP, float(right[:count].sum()) / count, found)


def fault_of(place: int, mask: np.ndarray, planted: Planted) -> int | None:
    """Give the number of the fault that an area shows, None where planting has changed less than COUNTS of it."""
    if place not in planted.faults:
        return None
    numbers = planted.faults[place][mask]
    return int(np.bincount(numbers[numbers >= 0]).argmax()) if (numbers >= 0).mean() >= COUNTS else None


def peers() -> list[Any]:
    """Give cleanlab's way where it is installed, and say so where it is not."""
    if importlib.util.find_spec("cleanlab") is None:
        print("cleanlab is not installed (pip install cleanlab; look at its license first): left out", flush=True)
        return []
    return [cleanlabs]


def cleanlabs(everything: Predicted, planted: Planted) -> dict[str, Outcome]:
    """Rank the areas of cleanlab's issues, by the mean of its scores and by their size."""
    find_label_issues = importlib.import_module("cleanlab.segmentation.filter").find_label_issues
    get_label_quality_scores = importlib.import_module("cleanlab.segmentation.rank").get_label_quality_scores
    spec, sizes = everything.spec, {label.shape for label in everything.labels}
    if len(sizes) > 1:
        raise UserError("cleanlab takes images of one size alone: give --no_cleanlab")
    step = math.ceil(math.sqrt(len(everything.labels) * spec.num_classes * math.prod(*sizes) / AT_ONCE))
    cut = np.s_[..., ::step, ::step]
    labels = np.stack([planted.labels.get(i, one)[cut] for i, one in enumerate(everything.labels)]).astype(np.int64)
    p = np.stack([np.load(file, mmap_mode="r")[cut].astype("f4") for file in everything.files])
    p /= p.sum(1, keepdims=True)
    ignored = labels == spec.ignore_label
    labels[ignored] = p.argmax(1)[ignored]
    issues = find_label_issues(labels, p, n_jobs=1, verbose=False) & ~ignored
    _, quality = get_label_quality_scores(labels, p, n_jobs=1, verbose=False)
    areas = list(areas_of(issues, quality))
    outcomes = {}
    for title, key in {"mean score": lambda a: a[1], "size": lambda a: -a[2]}.items():
        best = sorted(areas, key=key)[: looked_at(planted)]
        full = everything.labels[0].shape
        masks = ((i, enlarged(pixels, issues.shape[1:], step, full)) for i, _, _, pixels in best)
        outcomes[f"cleanlab, by {title}" + (f", one pixel of {step * step}" * (step > 1))] = judge(masks, planted)
    return outcomes


def areas_of(issues: np.ndarray, quality: np.ndarray) -> Iterator[tuple[int, float, int, np.ndarray]]:
    """Join pixels with issues (N, H, W) to areas: image, mean quality, how many pixels, their places in the image."""
    for place, mask in enumerate(issues):
        numbers, sizes = connected(mask.view(np.uint8), [1])
        sums = np.bincount(numbers[mask], quality[place][mask], len(sizes))
        for n in np.flatnonzero(sizes >= LEAST * mask.size):
            yield place, float(sums[n] / sizes[n]), int(sizes[n]), np.flatnonzero(numbers == n)


def enlarged(pixels: np.ndarray, size: Sequence[int], step: int, full: Sequence[int]) -> np.ndarray:
    """Draw pixels of an image of `size`, of which every one stands for a square of side `step`, as a mask of `full`."""
    mask = np.zeros(math.prod(size), bool)
    mask[pixels] = True
    return mask.reshape(size).repeat(step, 0).repeat(step, 1)[: full[0], : full[1]]


if __name__ == "__main__":
    sys.exit(start(main))
