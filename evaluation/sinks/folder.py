"""A folder with files of every image: what the sinks that write such have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evaluation.sinks.base import EvalItem, Sink
from utils.distributed import DistributedContext
from utils.files import write_file
from utils.plural import counted


class PictureFolder(Sink):
    """Writes the files of every image below a folder, and counts the images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written = 0

    def files(self, item: EvalItem) -> Mapping[str, bytes]:
        """Give {place below the folder: content} of one image."""
        raise NotImplementedError

    def add(self, item: EvalItem) -> None:
        """Write the files of one image."""
        for name, data in self.files(item).items():
            write_file(self.folder / name, data)
        self._written += 1

    def written(self, ranks: DistributedContext, what: str = "image") -> str:
        """Say how many images all ranks have written, "3 images"."""
        return counted(sum(ranks.gather(self._written)), what)
