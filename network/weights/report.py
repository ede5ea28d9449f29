"""What became of a weight file: what fits, what does not, and why."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from network.weights.formats import Weights
from utils.errors import UserError

SHOWN = 4  # names of each kind in the text


@dataclass
class LoadReport:
    """Outcome of a load. `matched` was taken over; `skipped` has other shapes, with the reason; `missing` keeps its
    random start; `unexpected` is in the file alone. `target`: what was loaded into. `weights`: the file's content, of
    which `source` tells the kind.
    """

    path: str
    source: str
    target: str
    weights: Weights
    matched: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Every weight of the target came from the file."""
        return not self.skipped and not self.missing

    def require_complete(self, network: str, cure: str = "check --arch, --dataset and --classes") -> None:
        """UserError that names the first weight of `network` that is not from the file, and says what to do."""
        lacking = [*self.skipped, *self.missing]
        if lacking:
            content = f"{self.weights.num_classes or 'unknown'} classes, {self.weights.arch or 'unknown arch'}"
            raise UserError(
                f"{self.path} ({content}) does not fill {network}: {len(lacking)} entries are "
                f"missing or of another shape, {lacking[0]} first; {cure}"
            )

    def share(self) -> float:
        """Share of the file's weights that fit. Batch counters are left out: they fit anything."""
        matched = _weights(self.matched)
        total = matched + _weights(self.skipped) + _weights(self.unexpected)
        return matched / total if total else 0.0

    def __str__(self) -> str:
        total = len(self.matched) + len(self.skipped) + len(self.missing)
        lines = [f"weights from {self.path} ({self.source}): {len(self.matched)} of {total} entries of {self.target}"]
        reasons = [f"{name} ({why})" for name, why in self.skipped.items()]
        for title, names in (
            ("skipped, other shape", reasons),
            ("missing in the file, left as they start", self.missing),
            ("in the file alone", self.unexpected),
        ):
            if names:
                lines.append(f"  {len(names)} {title}: {shortened(names)}")
        return "\n".join([*lines, *(f"  {note}" for note in self.weights.notes)])


def shortened(names: Collection[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(list(names)[:SHOWN]) + (f", ... and {more} more" if more > 0 else "")


def _weights(names: Collection[str]) -> int:
    return sum(not name.endswith("num_batches_tracked") for name in names)
