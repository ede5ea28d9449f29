"""A folder with files of every image: what the sinks that write such have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evaluation.sinks.base import EvalItem, Sink
from utils.distributed import DistributedContext
from utils.files import write_file
from utils.names import fitting
from utils.plural import counted


class PictureFolder(Sink):
    """Writes the files of every image below a folder, and counts the images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written = self._shortened = 0

    def files(self, item: EvalItem) -> Mapping[str, bytes]:
        """Give {place below the folder: content} of one image."""
        raise NotImplementedError

    def add(self, item: EvalItem) -> None:
        """Write the files of one image."""
        cut = False
        for name, data in self.files(item).items():
            path = self.folder / name
            cut |= fitting(path.name) != path.name
            write_file(path.with_name(fitting(path.name)), data)
        self._written += 1
        self._shortened += cut

    def written(self, ranks: DistributedContext, what: str = "image") -> str:
        """Say how many images all ranks have written, "3 images", and how many have names too long for files."""
        written, shortened = map(sum, zip(*ranks.gather((self._written, self._shortened)), strict=True))
        return counted(written, what) + (f", {shortened} of them under a shortened name," if shortened else "")
