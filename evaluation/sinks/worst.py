"""The images with the most wrong pixels of each class: --dump_topn."""

from __future__ import annotations

import heapq
import html
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np

from evaluation.sinks.base import ALONE, EvalItem, Results, Sink
from evaluation.sinks.images import pictures_of
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext
from utils.files import csv_text, write_file
from utils.names import fitting, shown
from utils.visualize import encode_jpeg, encode_png, file_stem

KINDS = {"input": "jpg", "truth": "png", "prediction": "png", "error": "png"}


class RankedImage(NamedTuple):
    """An image in a class's list; the smallest is the first to go."""

    errors: int
    name: str


class Worst(Sink):
    """Keeps the `count` worst images of each class: most false negatives and positives of the class.

    Pictures are written when an image enters a list and removed when it has left the last one, so memory stays small
    and no second pass over the images is needed. `everything` keeps all pictures. At the end: `topn/index.html`
    and `topn/index.csv` over all ranks.
    """

    def __init__(self, folder: Path, spec: DatasetSpec, count: int, everything: bool = False) -> None:
        self.folder, self.spec, self.count, self.everything = folder, spec, count, everything
        self._lists: list[list[RankedImage]] = [[] for _ in spec.classes]
        self._written: set[str] = set()

    def add(self, item: EvalItem) -> None:
        """Enter one image where it is among the worst."""
        if item.counts is None or item.label is None:
            return
        errors = item.counts.sum(0) + item.counts.sum(1) - 2 * np.diagonal(item.counts)  # (K,) fp + fn
        left = set()
        for ranked, pixels in zip(self._lists, errors.tolist(), strict=True):
            if pixels:
                heapq.heappush(ranked, RankedImage(pixels, item.name))
                if len(ranked) > self.count:
                    left.add(heapq.heappop(ranked).name)
        if self.everything or item.name in self._listed():
            self._write(item)
        self._remove(left - self._listed())

    def _listed(self) -> set[str]:
        return {image.name for ranked in self._lists for image in ranked}

    def _write(self, item: EvalItem) -> None:
        for kind, picture in pictures_of(item, self.spec):
            data = encode_jpeg(picture, 92) if KINDS[kind] == "jpg" else encode_png(picture)
            write_file(self.folder / self._file(item.name, kind), data)
        self._written.add(item.name)

    @staticmethod
    def _file(name: str, kind: str) -> str:
        return fitting(f"{file_stem(name)}_{kind}.{KINDS[kind]}")

    def _remove(self, names: set[str]) -> None:
        for name in () if self.everything else sorted(names & self._written):
            for kind in KINDS:
                (self.folder / self._file(name, kind)).unlink(missing_ok=True)
            self._written.discard(name)

    def results(self, ranks: DistributedContext = ALONE) -> Results:
        """Join the ranks' lists, remove pictures that are in none any more, write the index."""
        joined = ranks.gather(self._lists)
        self._lists = [
            sorted((e for lists in joined for e in lists[k]), key=lambda e: (-e.errors, e.name))[: self.count]
            for k in range(len(self.spec.classes))
        ]
        self._remove(self._written - self._listed())
        ranks.barrier()
        if ranks.is_main:
            write_file(self.folder / "index.csv", self._csv().encode())
            write_file(self.folder / "index.html", self._html().encode())
        return Results([f"the {self.count} worst images of each class: {self.folder / 'index.html'}"])

    def _csv(self) -> str:
        rows: list[list[object]] = [["class", "rank", "wrong_pixels", "image"]]
        for name, ranked in zip(self.spec.classes, self._lists, strict=True):
            rows += [[name, rank, e.errors, shown(e.name)] for rank, e in enumerate(ranked, start=1)]
        return csv_text(rows)

    def _html(self) -> str:
        parts = [
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
            "<title>Worst images by class</title><style>body{font:15px system-ui;margin:16px;max-width:1400px}",
            "div{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:4px}img{width:100%}</style>",
        ]
        for name, ranked in zip(self.spec.classes, self._lists, strict=True):
            parts.append(f"<h2>{html.escape(name)}</h2>")
            for image in ranked:
                files = {kind: quote(self._file(image.name, kind), errors="surrogateescape") for kind in KINDS}
                pictures = "".join(f'<img src="{f}" alt="{kind}" loading="lazy">' for kind, f in files.items())
                title = f"{html.escape(shown(image.name))}: {image.errors} wrong pixels"
                parts.append(f"<p>{title}</p><div>{pictures}</div>")
        return "\n".join(parts) + "\n"
