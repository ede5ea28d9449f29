"""How much of each class pseudo-labels keep, image by image, in a file that survives an interruption."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.distributed import DistributedContext
from utils.files import append, csv_text, write_file

FILE = "coverage.csv"


@dataclass(frozen=True)
class Covered:
    """A class of pseudo-labels: pixels predicted, pixels sure enough to be kept, images with some of those."""

    name: str
    predicted: int
    kept: int
    images: int


class Coverage:
    """`coverage.csv`: a row an image, with pixels predicted and kept of each class. Every rank has it whole at first.

    A row is written when its image is done, by each rank into a file of its own; these are joined, sorted by name, at
    the start and at the end. So the file at the end does not depend on where the work was interrupted.
    """

    def __init__(self, folder: Path, classes: Sequence[str], ranks: DistributedContext) -> None:
        self.folder, self.classes, self.ranks = folder, tuple(classes), ranks
        self.rows: dict[str, np.ndarray] = {}  # (2, K) int64: predicted, kept
        self._own = folder / f"coverage_{ranks.rank}.csv"
        self.join()

    def join(self) -> None:
        """Take over the rows of all files, and make one of them."""
        self.ranks.barrier()
        files = sorted(self.folder.glob("coverage*.csv"))
        for file in files:
            self._read(file)
        self.ranks.barrier()  # nobody removes what others have not read yet
        if self.ranks.is_main and files:
            write_file(self.folder / FILE, self._text().encode("utf-8", "surrogateescape"))
            for file in files:
                if file.name != FILE:
                    file.unlink()
        self.ranks.barrier()

    def _read(self, file: Path) -> None:
        width = 2 * len(self.classes)
        with open(file, encoding="utf-8", errors="surrogateescape", newline="") as stream:  # names are kept as bytes
            text = stream.read()
        whole = text[: text.rfind("\n") + 1]  # without a line that an interruption has cut
        for name, *cells in csv.reader(io.StringIO(whole)):
            with suppress(ValueError):  # the first line holds titles
                numbers = np.array([int(cell) for cell in cells], np.int64)
                if len(numbers) == width:
                    self.rows[name] = numbers.reshape(2, -1)

    def _text(self) -> str:
        titles = [f"{name} {kind}" for kind in ("predicted", "kept") for name in self.classes]
        rows = [_row(name, numbers.ravel()) for name, numbers in sorted(self.rows.items())]
        return "".join([csv_text([["image", *titles]]), *rows])

    def add(self, name: str, predicted: np.ndarray, kept: np.ndarray) -> None:
        """Enter the pixels (K,) of an image whose files are written."""
        append(self._own, _row(name, np.concatenate([predicted, kept])))

    def close(self, names: Sequence[str]) -> list[Covered]:
        """Join what all ranks have added, keep the images `names`, and sum them up by class."""
        self.join()
        self.rows = {name: self.rows[name] for name in names}
        if self.ranks.is_main:
            write_file(self.folder / FILE, self._text().encode("utf-8", "surrogateescape"))
        total = np.sum(list(self.rows.values()), axis=0)  # (2, K)
        images = np.sum([rows[1] > 0 for rows in self.rows.values()], axis=0)  # (K,)
        return [
            Covered(name, int(total[0, k]), int(total[1, k]), int(images[k])) for k, name in enumerate(self.classes)
        ]


def _row(name: str, numbers: np.ndarray) -> str:
    """Give a line of the file; csv quotes a name with a carriage return only if it is told to."""
    line, quoting = io.StringIO(), csv.QUOTE_ALL if "\r" in name else csv.QUOTE_MINIMAL
    csv.writer(line, lineterminator="\n", quoting=quoting).writerow([name, *numbers.tolist()])
    return line.getvalue()
