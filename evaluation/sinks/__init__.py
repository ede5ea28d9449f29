"""Consumers of an evaluation. `build(cfg, ...)` makes those that the options ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import compat
from evaluation.sinks.autolabels import AutoLabels
from evaluation.sinks.base import ALONE, EvalItem, Results, Row, Sink
from evaluation.sinks.conditions import Conditions
from evaluation.sinks.gallery import Gallery
from evaluation.sinks.images import Images
from evaluation.sinks.labelmaps import LabelMaps
from evaluation.sinks.older import Older
from evaluation.sinks.perimage import PerImage
from evaluation.sinks.scales import ScaleScores
from evaluation.sinks.seedmaps import OUTPUTS as SEEDS
from evaluation.sinks.submission import Submission
from evaluation.sinks.worst import Worst
from utils.contracts import DatasetSpec, EvalBatch, Prediction, scale_name
from utils.distributed import DistributedContext
from utils.errors import UserError

__all__ = [
    "AutoLabels",
    "Conditions",
    "EvalItem",
    "Gallery",
    "Images",
    "LabelMaps",
    "Older",
    "PerImage",
    "Results",
    "Row",
    "ScaleScores",
    "Sink",
    "Sinks",
    "Submission",
    "Worst",
    "build",
    "items",
    "scale_outputs",
]


# Options of EVAL that ask for the folders of another system, in the order of their lines.
_OF_ROOMS = ("VISUALIZE", "DUMP_PSEUDO_COLOR", "DUMP_IMAGES")


class Sinks(list[Sink]):
    """Several consumers as one."""

    @property
    def extras(self) -> tuple[str, ...]:
        """Outputs of the network that one of them would like to see."""
        return tuple(dict.fromkeys(name for sink in self for name in sink.extras))

    def add(self, item: EvalItem) -> None:
        """Give the item to all."""
        for sink in self:
            sink.add(item)

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """What all of them have found, in their order; every rank calls it."""
        found = [sink.results(ranks) for sink in self]
        return Results(
            [line for one in found for line in one.lines],
            [row for one in found for row in one.rows],
            dict(chain.from_iterable(one.scale_scores.items() for one in found)),
            dict(chain.from_iterable(one.conditions.items() for one in found)),
        )


def items(batch: EvalBatch, predictions: Sequence[Prediction]) -> Iterator[EvalItem]:
    """What the sinks take of a batch, image by image; its pixels are not counted yet."""
    parts = (batch["name"], batch["image"], batch["label"], predictions)
    return (EvalItem(name, image, label, found) for name, image, label, found in zip(*parts, strict=True))


def scale_outputs(kind: str, scales: Sequence[float]) -> tuple[str, ...]:
    """Names of a multi-scale network's outputs: ("attn", (0.5, 1.0)) -> ("attn_05x", "attn_10x")."""
    return tuple(f"{kind}_{scale_name(scale)}" for scale in sorted(set(scales)))


def build(
    cfg: Any, spec: DatasetSpec, run_dir: Path, expected: int, conditions: Mapping[str, str] | None = None
) -> Sinks:
    """The sinks of a run folder for `expected` images over all ranks; `conditions`: {name: condition} of images.

    Always the pictures for the report and, unless --eval with --no_metrics, the IoU per image. Submission and
    auto-labels are label ids. Everything else as the options of the group EVAL say.
    """
    options, run_dir = cfg.EVAL, Path(run_dir)
    hierarchical = cfg.MODEL.N_SCALES or (cfg.MODEL.MSCALE_LO_SCALE, 1.0)
    averaged = (options.DEFAULT_SCALE, *options.EXTRA_SCALES) if options.MULTI_SCALE else ()
    if options.INFERENCE_MODE and not options.SINGLE_SCALE:
        averaged = options.SCALES
    maps, single = scale_outputs("attn", hierarchical) + SEEDS, scale_outputs("pred", (*hierarchical, *averaged))
    single += tuple(f"pred_{side}" for side in cfg.DATASET.IMG_SIZES)
    sinks = Sinks([Gallery(spec, extras=maps, seed=cfg.SEED, single=_first_pass(cfg, averaged))])
    if not (options.MODE and options.NO_METRICS):
        sinks.append(PerImage(run_dir / "per_image.csv", spec))
        if conditions:
            sinks.append(Conditions(run_dir / "conditions.csv", spec, conditions))
    if options.LOG_MSINF_TO_TB:
        sinks.append(ScaleScores(spec, single))
    if options.DUMP_ASSETS or options.DUMP_ALL_IMAGES:
        shown = (*single, *maps) if options.DUMP_ASSETS else ()
        sinks.append(Images(run_dir / "images", spec, expected, options.DUMP_ALL_IMAGES, shown))
    sinks += [make(run_dir, spec) for make in _folders_of_rooms(options)]
    if options.DUMP_PALETTE:
        sinks.append(LabelMaps(run_dir / "test_results", spec))
    if options.DUMP_TOPN:
        sinks.append(Worst(run_dir / "topn", spec, options.DUMP_TOPN, options.DUMP_TOPN_ALL))
    if options.DUMP_FOR_SUBMISSION:
        sinks.append(Submission(run_dir, spec, expected))
    if options.DUMP_FOR_AUTO_LABELLING:
        upright = options.MODE == "folder" and not options.LABELS
        sinks.append(AutoLabels(run_dir / "autolabelled", spec, made={"upright": True} if upright else {}))
    if options.MODE:
        sinks.append(Older(run_dir))
    return sinks


def _folders_of_rooms(options: Any) -> list[Callable[[Path, DatasetSpec], Sink]]:
    """What makes the asked-for folders of other systems; UserError where a system's room is not here."""
    made = {option: make for room in compat.parts("sinks") for option, make in room.FOLDERS.items()}
    asked = [option for option in _OF_ROOMS if getattr(options, option)]
    for option in asked:
        if option not in made:
            raise UserError(f"--{option.lower()} is of a room that is not here: leave it out")
    return [made[option] for option in asked]


def _first_pass(cfg: Any, averaged: Sequence[float]) -> str:
    """Of several passes that are averaged, the one whose further outputs are kept; empty where there is one."""
    sides = cfg.DATASET.IMG_SIZES
    if len(sides) > 1:
        return f"short side {sides[0]}"
    return f"scale {averaged[0]:g}x" if len({*averaged}) > 1 else ""
