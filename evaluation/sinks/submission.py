"""Predictions for a benchmark server: --dump_for_submission."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

from evaluation.sinks.base import ALONE, EvalItem, Results, Sink
from utils.contracts import DatasetSpec, id_table
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.files import whole, write_file, writing
from utils.names import valid
from utils.plural import counted
from utils.visualize import encode_png, file_stem, to_array


class Submission(Sink):
    """Writes `submit/<image name>.png` (gray, the dataset's own ids) and at the end `submit.zip` with exactly these.

    Cityscapes' server takes any `<city>_<sequence>_<frame>*.png`, which the image's own name is.
    """

    def __init__(self, run_dir: Path, spec: DatasetSpec, expected: int) -> None:
        self.folder, self.archive = run_dir / "submit", run_dir / "submit.zip"
        self.expected = expected
        self._table = id_table(spec)
        self._names: list[str] = []

    def add(self, item: EvalItem) -> None:
        """Write one image's ids."""
        name = f"{file_stem(item.name)}.png"
        # An archive is uploaded: here the smaller file wins over the faster one.
        write_file(self.folder / name, encode_png(self._table[to_array(item.prediction.classes)], level=6))
        self._names.append(name)

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Pack all ranks' files. UserError if there are not as many as the split has images."""
        names = sorted(name for part in ranks.gather(self._names) for name in part)
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise UserError(
                f"{len(twice)} images share a name, for instance {twice[0]}: their predictions were mixed up"
            )
        if len(names) != self.expected:
            raise UserError(
                f"{self.folder} has {len(names)} predictions, but the split has {self.expected} images; "
                "nothing was packed. Evaluate the whole split"
            )
        if ranks.is_main:
            self._pack(names)
        ranks.barrier()
        return Results([f"{counted(len(names), 'prediction')} in {self.archive}"])

    def _pack(self, names: list[str]) -> None:
        with writing(self.archive):
            self.archive.parent.mkdir(parents=True, exist_ok=True)
            with whole(self.archive) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
                for name in names:  # PNG is compressed already
                    archive.write(self.folder / name, valid(name))
