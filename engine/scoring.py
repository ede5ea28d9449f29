"""The evaluation of a run for a comparison: once, with its own recorded options, into a file that goes on.

K classes, H x W image.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from yacs.config import CfgNode

import config
import datasets
import inference
import network
from datasets.base import SegmentationDataset, listed
from datasets.loaders import EvalLoader
from engine import tool
from engine.recipes import RecordedRun
from engine.scored_images import SMALL, ScoredImage, ScoredImages
from engine.session import Run, Start, load_for_evaluation, to_device
from evaluation import sinks
from evaluation.boundary import boundary_counts
from evaluation.calibration import bin_counts
from evaluation.metrics import ConfusionMatrix
from evaluation.objects import found_by_size, numbered
from evaluation.sinks.base import EvalItem
from inference.rule import EvalRule
from utils import digest, distributed
from utils.contracts import DatasetSpec
from utils.errors import UserError
from utils.progress import progress
from utils.visualize import shrink, to_array

VERSION = "2"  # of what is kept of an image: files of another one are made anew
BUDGET = 1_000_000  # numbers that the kept pixels of a run may have, whatever the size of the set
# Options that what is kept depends on.
_DECISIVE = ("EVAL.", "MODEL.", "DATASET.MEAN", "DATASET.STD", "DATASET.NAME", "DATASET.PRE_SIZE", "DATASET.IMG_")
_DECISIVE += ("DATASET.PADDING", "DATASET.IMAGE_BITS", "DATASET.CAMVID", "DATASET.MAPILLARY_", "TRAIN.FP16")
_DECISIVE += ("TRAIN.AMP_OPT_LEVEL", "PUBLISHED")


@dataclass(frozen=True)
class ScoredRun:
    """A run, the file that keeps what its images score, its classes, its images as they are read, and its rule."""

    run: RecordedRun
    file: Path
    spec: DatasetSpec
    dataset: SegmentationDataset
    rule: EvalRule

    @property
    def names(self) -> list[str]:
        """The names of its images, in the order of the set."""
        return [item.name for item in self.dataset.items]

    @property
    def listing(self) -> str:
        """How many images there are, and their digest."""
        return listed(self.dataset.items)


def options_of(run: RecordedRun, out: Path, more: Sequence[str]) -> CfgNode:
    """Make the options of an evaluation of `run`: as recorded, but for what the command line says (`more`)."""
    argv = ["--eval", "val", "--snapshot", str(run.checkpoint), "--result_dir", str(out), *more]
    try:
        return config.load(argv, run.start_options())
    except UserError as error:
        raise UserError(f"{run.checkpoint}: {error}") from None


def prepared(run: RecordedRun, out: Path, more: Sequence[str]) -> ScoredRun:
    """Find the images of a run and the file in `out` that keeps their scores; nothing is scored yet."""
    cfg = options_of(run, out, more)
    ranks = distributed.init(cfg.TRAIN.LOCAL_RANK)
    if ranks.world > 1:
        raise UserError("a comparison is one process: start it with python")
    dataset = datasets.build_val(cfg, ranks, "val").dataset
    path = out / f"scores-{run.digest}-{_key(cfg, dataset)}.sqlite"
    return ScoredRun(run, path, datasets.spec(cfg), dataset, inference.eval_rule(cfg))


def score(one: ScoredRun, out: Path, more: Sequence[str], command: str) -> None:
    """Score the images of a run that are not scored yet. UserError for other classes than the run's, or no labels."""
    cfg, dataset = options_of(one.run, out, more), one.dataset
    with tool.opened(cfg, one.spec, distributed.init(cfg.TRAIN.LOCAL_RANK), command, "compare.log") as opened:
        with closing(ScoredImages(one.file)) as images:
            done = images.names()
            left = [item for item in dataset.items if item.name not in done]
            before = len(dataset) - len(left)
            opened.log.line(f"{one.run.name}: {one.run.checkpoint}, {len(dataset)} images, {before} scored before")
            for note in dataset.notes:
                opened.log.line(note)
            if left:
                _score(
                    opened, replace(dataset, items=left), images, -(-BUDGET // (one.spec.num_classes * len(dataset)))
                )


def _key(cfg: CfgNode, dataset: SegmentationDataset) -> str:
    """Tell options and images from others, so that what was kept under others is not taken."""
    decisive = [f"{key}={value}" for key, value in sorted(config.flat(cfg).items())
                if key.startswith(_DECISIVE) and not key.startswith("EVAL.MEMORY")]  # fmt: skip
    files = [path for item in dataset.items for path in (item.image, item.label) if path]
    specs = {id(spec): spec for item in dataset.items for spec in [item.spec or dataset.spec]}
    meanings = [str((spec.id_to_train, spec.color_to_id)) for spec in specs.values()]
    return digest.of_names([VERSION, *decisive, listed(dataset.items), *meanings, *map(_stamp, files)])[:8]


def _stamp(path: str) -> str:
    """Tell a file from what it was before it was changed; empty for one that is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    return f"{found.st_size}-{found.st_mtime_ns}"


def _score(run: Run, dataset: SegmentationDataset, images: ScoredImages, pixels: int) -> None:
    """Predict images and keep what there is to keep, `pixels` pixels of each."""
    cfg = run.cfg
    net = network.build(cfg)
    load_for_evaluation(run, net, Start(Path(cfg.SNAPSHOT)))
    predictor = inference.build_predictor(cfg, to_device(run, net), run.precision, run.log.line)
    loader = EvalLoader(dataset, cfg.EVAL.BATCH_SIZE, cfg.DATASET.NUM_WORKERS // 2)
    average = predictor.rule.average
    for batch in progress(loader, Path(cfg.SNAPSHOT).parent.name, len(loader), lines=20):
        for item in sinks.items(batch, predictor(batch["image"], scores=True)):
            images.add(item.name, scored(item, run.spec, pixels, average))
    loader.close()


def scored(item: EvalItem, spec: DatasetSpec, pixels: int, average: str = "logits") -> ScoredImage:
    """Score an image with its label. `average`: of the rule, what the prediction's scores are."""
    label, prediction = item.label, item.prediction
    if label is None:
        raise UserError(f"{item.name} has no label, so that there is nothing to compare")
    classes, counted = to_array(prediction.classes), label != spec.ignore_label
    counts = ConfusionMatrix(spec.num_classes, spec.ignore_label).update(classes, label).numpy()
    right = np.diagonal(counts)
    bins = bin_counts(to_array(prediction.max_prob)[counted], classes[counted] == label[counted])
    logits, truth = some_pixels(prediction.scores, label, counted, pixels, average)
    return ScoredImage(
        np.stack([right, counts.sum(1) - right, counts.sum(0) - right]),
        boundary_counts(classes, label, spec.num_classes, spec.ignore_label),
        bins,
        found_by_size(classes, label, *numbered(label, spec)),
        logits,
        truth,
        shrink(classes, SMALL, smooth=False),
    )


def some_pixels(
    scores: Tensor | None, label: np.ndarray, counted: np.ndarray, count: int, average: str
) -> tuple[np.ndarray, np.ndarray]:
    """Choose up to `count` pixels, evenly over those that count: their logits (m, K) float32 and classes (m,) uint8.

    `scores` (K, H, W): averaged logits, or averaged probabilities, of which the logarithm is taken.
    """
    assert scores is not None
    places = np.flatnonzero(counted)
    if len(places) > count:
        places = places[((np.arange(count) + 0.5) * len(places) / count).astype(np.int64)]
    chosen = scores.flatten(1)[:, torch.as_tensor(places, device=scores.device)].float()  # (K, m)
    if average != "logits":
        chosen = chosen.clamp_min(1e-30).log()
    chosen = chosen - chosen.max(0, keepdim=True).values
    return chosen.T.cpu().numpy(), label.reshape(-1)[places]
