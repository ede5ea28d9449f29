"""The gate that an exported file has to pass: the same for every target.

Real pictures at three sizes, and labeled ones: largest difference, share of equal classes, what is lost of mean IoU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from engine.export.data import Pair, resized
from evaluation.metrics import ConfusionMatrix
from inference.export import SMALLEST, Deployed, Runner
from inference.export.compare import classes_of, difference, reference
from inference.rule import EvalRule
from utils.contracts import DatasetSpec
from utils.errors import UserError, in_short
from utils.progress import progress


class Limits(NamedTuple):
    """`error`: the largest difference over the largest value; `same`: the least share of pixels of the same class;
    `drop`: points of mean IoU.
    """

    error: float
    same: float
    drop: float


LIMITS = {"fp32": Limits(1e-3, 0.999, 0.01), "fp16": Limits(0.1, 0.99, 0.1), "int8": Limits(float("inf"), 0.9, 1.0)}


class Missed(UserError):
    """A file that differs from the network; `image`: the picture on which it does."""

    def __init__(self, message: str, image: np.ndarray) -> None:
        super().__init__(message)
        self.image = image


class Watched(NamedTuple):
    """A picture, what a file is given of it, and what the network gives for that."""

    image: np.ndarray
    given: np.ndarray
    wanted: np.ndarray


@dataclass
class Gate:
    """A network as it is deployed, and how far a file may be from it. `proof` is what was measured."""

    module: Deployed
    rule: EvalRule
    spec: DatasetSpec
    limits: Limits
    proof: dict[str, Any] = field(default_factory=dict)

    def reference(self, image: np.ndarray) -> list[np.ndarray]:
        """Run the network by torch: a `Runner`."""
        return [reference(self.module, self.rule, image)]

    def score(self, run: Runner, pairs: Iterable[Pair]) -> float:
        """Measure the mean IoU of (image, label) pairs, in points."""
        confusion = ConfusionMatrix(self.spec.num_classes, self.spec.ignore_label)
        for image, label in pairs:
            found = run(self.module.input(image, self.rule))[0]
            confusion.update(classes_of(found)[0].astype(np.uint8), label)
        return 100 * confusion.scores().mean_iu

    def watched(self, images: Mapping[str, np.ndarray]) -> dict[str, Watched]:
        """Run the network on {name: picture}."""
        given = {name: self.module.input(image, self.rule) for name, image in images.items()}
        return {name: Watched(images[name], one, self.reference(one)[0]) for name, one in given.items()}

    def lost(self, run: Runner, pairs: Sequence[Pair], shown: Iterable[Watched], reference: float) -> float:
        """Measure what control of accuracy holds down: points of mean IoU that are lost on the pairs, and more than the
        limit where a picture's classes agree too little, by the points that are missing there.
        """
        points = reference - self.score(run, pairs) if pairs else 0.0
        same = min(difference(run(one.given)[0], one.wanted)[1] for one in shown)
        return points if same >= self.limits.same else max(points, self.limits.drop + 100 * (self.limits.same - same))

    def pictures(self, run: Runner, shown: Mapping[str, Watched]) -> Iterator[str]:
        """Compare on pictures; gives a line for each, and raises Missed for one that is too far."""
        seen = self.proof.setdefault("pictures", {})
        for name, (image, given, wanted) in shown.items():
            try:
                error, same = difference(run(given)[0], wanted)
            except Exception as reason:  # each runtime has errors of its own
                raise UserError(f"the file does not run on {name}, try --size ({in_short(reason)})") from None
            seen[name] = {"same": same} | ({} if self.module.output == "argmax" else {"error": error})
            far = "" if self.module.output == "argmax" else f"largest error {error:.1e} of the largest value, "
            text = f"{far}{100 * same:.3f} % of the pixels the same class"
            if not error <= self.limits.error or same < self.limits.same:  # NaN is no small error
                other = image.shape != next(iter(shown.values())).image.shape  # than the one that it was made from
                advice = "; it agrees on the first size: try --size" if other else ""
                raise Missed(f"the file differs from the network on {name}: {text}{advice}", image)
            yield f"{name}: {text}"

    def labeled(self, run: Runner, name: str, pairs: Sequence[Pair], reference: float) -> str:
        """Compare the mean IoU; gives a line, and raises Missed for one that has lost too much."""
        found = self.score(run, progress(pairs, "labeled pictures", len(pairs)))
        lost = reference - found
        self.proof["labeled"] = {"data": name, "pictures": len(pairs), "mean_iou": found, "network": reference}
        text = f"mean IoU {found:.3f}, the network's {reference:.3f}, on {len(pairs)} pictures of {name}"
        if not lost <= self.limits.drop:
            lost_text = f"{lost:.3f} points lost where {self.limits.drop:g} may be"
            raise Missed(f"the file scores worse than the network: {text}: {lost_text}", pairs[0][0])
        return text


def three_sizes(images: Sequence[np.ndarray], size: Sequence[int], fixed: bool) -> dict[str, np.ndarray]:
    """Give three of the pictures at three sizes, {name: (H, W, 3)}; of a file for one size, at that."""
    height, width = size
    smaller, larger = (height // 2 + 32, width // 2 + 64), (height * 5 // 4, width * 5 // 4)
    sizes = [(height, width)] * 3 if fixed else [(height, width), smaller, larger]
    least = [tuple(max(SMALLEST, side) for side in one) for one in sizes]
    shown = [images[i % len(images)] for i in range(3)]
    names = [f"picture {i}, {h}x{w}" for i, (h, w) in enumerate(least, 1)]
    return {name: resized(image, one) for name, image, one in zip(names, shown, least, strict=True)}
