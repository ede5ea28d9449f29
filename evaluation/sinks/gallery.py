"""Small pictures of the worst and of some random images, for the report."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

from evaluation.metrics import Scores
from evaluation.sinks.base import ALONE, EvalItem, Results, Row, Sink
from evaluation.sinks.images import pictures_of
from evaluation.sinks.seedmaps import seed_pictures
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.visualize import encode_jpeg, encode_png, shrink


def caption_of(kind: str) -> str:
    """What stands below a picture: "attn_05x" -> "attention 0.5x"."""
    digits = kind.removeprefix("attn_").removesuffix("x")
    if digits.isdigit() and len(digits) > 1:
        return f"attention {digits[0]}.{digits[1:]}x"
    return "image" if kind == "input" else kind


SEED_CAPTIONS = {  # in the order in which they are shown: the classes below truth and prediction
    "arrows": "arrows to the seeds",
    "initial": "initial",
    "seed": "seeds",
    "seed_confidence": "confidence in the seed",
}


@dataclass(eq=False)
class Gallery(Sink):
    """Keeps `worst` images with the largest share of wrong pixels, and `some` at random (all at random without labels).

    Pictures are at most `long_edge` pixels wide or high, so a whole gallery stays within a few megabytes. The results
    have rows, the worst first, on the main rank. `single`: of which pass the network's maps of seeds are, where
    the prediction is an average over several; for their captions.
    """

    spec: DatasetSpec
    worst: int = 16
    some: int = 8
    long_edge: int = 512
    extras: tuple[str, ...] = ()
    seed: int = 0
    single: str = ""

    def __post_init__(self) -> None:
        self._random, self._seen = random.Random(self.seed), 0
        self._heap: list[tuple[float, str, Row]] = []  # names are unique, so rows are never compared
        self._kept: list[Row] = []

    def add(self, item: EvalItem) -> None:
        """Keep the image if it is among the worst so far, or if the dice say so."""
        scores = None if item.counts is None else Scores(item.counts)
        error_rate = scores.errors / scores.pixels if scores and scores.pixels else None
        row: Row | None = None
        if error_rate is not None and (len(self._heap) < self.worst or error_rate > self._heap[0][0]):
            row = self._row(item, scores, error_rate)
            heapq.heappush(self._heap, (error_rate, item.name, row))
            if len(self._heap) > self.worst:
                heapq.heappop(self._heap)
        # Reservoir: every image of the rank is kept with the same probability.
        room = self.some if item.label is not None else self.some + self.worst
        place = self._seen if self._seen < room else self._random.randrange(self._seen + 1)
        if place < room:
            self._kept[place : place + 1] = [row or self._row(item, scores, error_rate)]
        self._seen += 1

    def _row(self, item: EvalItem, scores: Scores | None, error_rate: float | None) -> Row:
        panels = {}
        for kind, picture in pictures_of(item, self.spec, self.extras):
            flat = kind in ("truth", "prediction")
            small = shrink(picture, self.long_edge, smooth=not flat)
            panels[caption_of(kind)] = encode_png(small, level=9) if flat else encode_jpeg(small)
        return Row(item.name, scores.mean_iu if scores else None, error_rate, panels, self._seeds(item))

    def _seeds(self, item: EvalItem) -> dict[str, bytes]:
        """Draw what a network with offset vectors adds; of others nothing."""
        pictures = seed_pictures(shrink(item.image, self.long_edge), item.prediction.extras, self.spec.palette)
        blended = any(name.startswith("attn_") for name in item.prediction.extras)
        of = self.single or ("scales blended" if blended else "")
        found = {}
        for name, caption in SEED_CAPTIONS.items() if pictures else ():
            flat = name in ("initial", "seed")
            data = encode_png(pictures[name], level=9) if flat else encode_jpeg(pictures[name], quality=90)
            found[f"{caption}, {of}" if of else caption] = data
        return found

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Join the ranks' rows on the main one."""
        worst = sorted((e for part in ranks.gather(self._heap) for e in part), key=lambda e: (-e[0], e[1]))
        rows = {name: row for _, name, row in worst[: self.worst]}
        others = sorted((row for part in ranks.gather(self._kept) for row in part), key=lambda row: row.name)
        others = [row for row in others if row.name not in rows]
        room = self.some + (0 if worst else self.worst)
        chosen = random.Random(self.seed).sample(others, min(room, len(others)))
        return Results(rows=[*rows.values(), *sorted(chosen, key=lambda row: row.name)] if ranks.is_main else ())
