"""Consumers of an evaluation: `SINKS` is their table, `build` makes those that the options ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

import compat
from evaluation.sinks.base import ALONE, EvalItem, Results, Sink
from evaluation.sinks.base import Row as Row
from evaluation.sinks.conditions import Conditions
from evaluation.sinks.confidence import ConfidenceMaps
from evaluation.sinks.gallery import Gallery
from evaluation.sinks.images import Images
from evaluation.sinks.labelmaps import LabelMaps
from evaluation.sinks.perimage import PerImage
from evaluation.sinks.pseudolabels import PseudoLabels
from evaluation.sinks.scales import ScaleGain, ScaleScores
from evaluation.sinks.seedmaps import OUTPUTS as SEEDS
from evaluation.sinks.stale_results import StaleResults
from evaluation.sinks.submission import Submission
from evaluation.sinks.worst import Worst
from utils.contracts import DatasetSpec, EvalBatch, Prediction, scale_name
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.hostcopy import HostCopy


@dataclass(frozen=True)
class Request:
    """What an evaluation tells its sinks: options, classes, run folder, number of images over all ranks, and the
    condition of each image, by its name.
    """

    cfg: Any
    spec: DatasetSpec
    folder: Path
    expected: int
    conditions: Mapping[str, str]

    @property
    def scored(self) -> bool:
        """Whether labels are compared, if there are any."""
        return not (self.cfg.EVAL.MODE and self.cfg.EVAL.NO_METRICS)


class SinkEntry(NamedTuple):
    """A row of the table: whether a request asks for the sink, and what makes it."""

    asked: Callable[[Request], object]
    make: Callable[[Request], Sink]


def when(option: str, make: Callable[[Request], Sink]) -> SinkEntry:
    """Make a row for what an option of the group EVAL asks for."""
    return SinkEntry(lambda r: getattr(r.cfg.EVAL, option), make)


def of_system(option: str) -> SinkEntry:
    """Make the row of another system's folders, which an option asks for. UserError where it is not here."""

    def make(r: Request) -> Sink:
        for part in compat.parts("sinks"):
            if option in part.FOLDERS:
                return part.FOLDERS[option](r.folder, r.spec)
        raise UserError(f"--{option.lower()} is of a system that is not here: leave it out")

    return when(option, make)


# In the order of their lines in the log.
SINKS: tuple[SinkEntry, ...] = (
    SinkEntry(lambda r: True, lambda r: Gallery(r.spec, extras=maps(r.cfg), seed=r.cfg.SEED, single=first_pass(r.cfg))),
    SinkEntry(lambda r: r.scored, lambda r: PerImage(r.folder / "per_image.csv", r.spec)),
    SinkEntry(
        lambda r: r.scored and r.conditions, lambda r: Conditions(r.folder / "conditions.csv", r.spec, r.conditions)
    ),
    when("LOG_MSINF_TO_TB", lambda r: ScaleScores(r.spec, logits(r.cfg))),
    SinkEntry(
        lambda r: r.scored and r.cfg.EVAL.SCALE_TABLE,
        lambda r: ScaleGain(
            r.folder / "scales.csv", r.spec, scale_outputs("pred", _hierarchical(r.cfg)), bool(r.cfg.EVAL.DO_FLIP)
        ),
    ),
    SinkEntry(
        lambda r: r.cfg.EVAL.DUMP_ASSETS or r.cfg.EVAL.DUMP_ALL_IMAGES,
        lambda r: Images(r.folder / "images", r.spec, r.expected, r.cfg.EVAL.DUMP_ALL_IMAGES, assets(r.cfg)),
    ),
    of_system("VISUALIZE"),
    of_system("DUMP_PSEUDO_COLOR"),
    of_system("DUMP_IMAGES"),
    when("DUMP_PALETTE", lambda r: LabelMaps(r.folder / "test_results", r.spec)),
    when("DUMP_CONFIDENCE", lambda r: ConfidenceMaps(r.folder / "confidence")),
    when("DUMP_TOPN", lambda r: Worst(r.folder / "topn", r.spec, r.cfg.EVAL.DUMP_TOPN, r.cfg.EVAL.DUMP_TOPN_ALL)),
    when("DUMP_FOR_SUBMISSION", lambda r: Submission(r.folder, r.spec, r.expected)),
    when("DUMP_FOR_AUTO_LABELLING", lambda r: PseudoLabels(r.folder / "autolabelled", r.spec, made=upright(r.cfg))),
    when("MODE", lambda r: StaleResults(r.folder)),
)


class Sinks(list[Sink]):
    """Several consumers as one."""

    _late: Sequence[EvalItem] = ()  # whose counts are on their way to the host

    @property
    def extras(self) -> tuple[str, ...]:
        """Outputs of the network that one of them would like to see."""
        return tuple(dict.fromkeys(name for sink in self for name in sink.extras))

    def add(self, item: EvalItem) -> None:
        """Give the item to all."""
        for sink in self:
            sink.add(item)

    def add_batch(self, items: Sequence[EvalItem]) -> None:
        """Give the items of a batch to all; what a device still counts, with the next batch: nobody waits for it."""
        late = [item for item in items if isinstance(item.counts, Tensor)]
        for item in late:
            item.counts = HostCopy(item.counts)
        if self._late or any(item.counts.coming for item in late):
            items, self._late = self._late, items
        for item in items:
            if isinstance(item.counts, HostCopy):
                item.counts = item.counts.numpy()
            self.add(item)

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Join what all of them have found, in their order; every rank calls it."""
        items, self._late = self._late, []
        self.add_batch(items)
        found = [sink.results(ranks) for sink in self]
        return Results(
            [line for one in found for line in one.lines],
            [row for one in found for row in one.rows],
            dict(chain.from_iterable(one.scale_scores.items() for one in found)),
            dict(chain.from_iterable(one.conditions.items() for one in found)),
            next((one.scales for one in found if one.scales), None),
        )


def items(batch: EvalBatch, predictions: Sequence[Prediction]) -> Iterator[EvalItem]:
    """Give what the sinks take of a batch, image by image; its pixels are not counted yet."""
    parts = (batch["name"], batch["image"], batch["label"], predictions)
    return (EvalItem(name, image, label, found) for name, image, label, found in zip(*parts, strict=True))


def build(
    cfg: Any, spec: DatasetSpec, run_dir: Path, expected: int, conditions: Mapping[str, str] | None = None
) -> Sinks:
    """Make the sinks of a run folder for `expected` images of all ranks; `conditions`: {name of an image: its own}."""
    request = Request(cfg, spec, Path(run_dir), expected, conditions or {})
    return Sinks(entry.make(request) for entry in SINKS if entry.asked(request))


def scale_outputs(kind: str, scales: Sequence[float]) -> tuple[str, ...]:
    """Names of a multi-scale network's outputs: ("attn", (0.5, 1.0)) -> ("attn_05x", "attn_10x")."""
    return tuple(f"{kind}_{scale_name(scale)}" for scale in sorted(set(scales)))


def maps(cfg: Any) -> tuple[str, ...]:
    """Name the maps that a network gives beside its scores: attention, and what belongs to offset vectors."""
    return scale_outputs("attn", _hierarchical(cfg)) + SEEDS


def logits(cfg: Any) -> tuple[str, ...]:
    """Give the names of the scores of single scales and short sides."""
    sides = tuple(f"pred_{side}" for side in cfg.DATASET.IMG_SIZES)
    return scale_outputs("pred", (*_hierarchical(cfg), *_averaged(cfg))) + sides


def assets(cfg: Any) -> tuple[str, ...]:
    """Give the names of the outputs whose pictures are written: all of them with --dump_assets, else none."""
    return (*logits(cfg), *maps(cfg)) if cfg.EVAL.DUMP_ASSETS else ()


def _hierarchical(cfg: Any) -> tuple[float, ...]:
    """Give the scales that the network itself fuses."""
    return cfg.MODEL.N_SCALES or (cfg.MODEL.MSCALE_LO_SCALE, 1.0)


def _averaged(cfg: Any) -> tuple[float, ...]:
    """Give the scales over which an evaluation takes the mean."""
    options = cfg.EVAL
    if options.INFERENCE_MODE and not options.SINGLE_SCALE:
        return options.SCALES
    return (options.DEFAULT_SCALE, *options.EXTRA_SCALES) if options.MULTI_SCALE else ()


def first_pass(cfg: Any) -> str:
    """Name, of several passes that are averaged, the one whose further outputs are kept; empty where there is one."""
    sides, averaged = cfg.DATASET.IMG_SIZES, _averaged(cfg)
    if len(sides) > 1:
        return f"short side {sides[0]}"
    return f"scale {averaged[0]:g}x" if len({*averaged}) > 1 else ""


def upright(cfg: Any) -> dict[str, Any]:
    """Tell the record of pseudo-labels that images were turned: a folder without labels is read upright."""
    return {"upright": True} if cfg.EVAL.MODE == "folder" and not cfg.EVAL.LABELS else {}
