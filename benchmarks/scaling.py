"""Cost of a training's start against the number of images, and of class centroids against workers and ranks.

    python benchmarks/scaling.py --images 1000,100000,1000000 --out scaling.json --plot scaling.svg

The start: reading a list, asking for each label's file, loading its centroids, drawing an epoch, the digest of the list
and the count of the labels' pixels, in a process of its own for each number of images. The disk is left out: every file
is said to be there. Centroids are made of drawn labels, by threads (workers) and by processes (ranks). Seconds are of
the processor, of one process; those of workers and ranks are of the clock. --out keeps the numbers as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch

if not __package__:  # run as a file: the packages are one folder up
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measure
from benchmarks.pairs import scene
from datasets import audit, centroids, lists
from datasets.base import Item, SegmentationDataset, listed
from datasets.centroidstore import Part, Store, chunks
from datasets.cityscapes import SPEC
from datasets.samplers import ClassUniformSampler
from evaluation.charts import Series, line_chart
from utils import distributed
from utils.cli import exit_code, place_to_write, start
from utils.distributed import DistributedContext
from utils.files import write_file

TILE, CLASSES, LABELS = 512, 12, 48  # of a label: classes in each of its two tiles; labels that are drawn
_STYLE = (
    "<style>text{font:11px sans-serif;fill:#555}.grid{stroke:#ddd}.line{fill:none;stroke-width:2}"
    ".s0{stroke:#2a6fdb}.dot.s0{fill:#2a6fdb}.s1{stroke:#d9662b}.dot.s1{fill:#d9662b}</style>"
)


def start_of(count: int, folder: Path) -> dict[str, Any]:
    """Start a training of `count` images as far as lists, centroids and epochs go: CPU seconds of each part, bytes."""
    path, before = folder / "train.lst", measure.resident("VmRSS")
    with path.open("w", encoding="utf-8") as file:
        for i in range(count):
            stem = f"town_{i // 1000:04d}/town_{i // 1000:04d}_{i % 1000:06d}_000019"
            file.write(f"leftImg8bit/train/{stem}_leftImg8bit.png gtFine/train/{stem}_gtFine_labelIds.png\n")
    store = Store(folder / "centroids", f"{SPEC.name}_tile{TILE}_")
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        found = work()
        seconds[name] = time.process_time() - began
        return found

    there = mock.patch.object(os.path, "isfile", lambda path: True)
    stamps = mock.patch.object(centroids, "_stamp", lambda path: path and [path, 1, 2])
    with there, stamps:
        split = timed("list", lambda: lists.split(str(path), str(folder), SPEC))
        dataset, ranks = SegmentationDataset(split.items, SPEC), DistributedContext()
        marks = timed("marks", lambda: centroids.content_marks(dataset, range(count), ranks))
        store = store._replace(stem=store.stem + centroids.description(dataset, TILE, False))
        for some in chunks(np.arange(count)):
            store.save(_part(marks[some]))
        # What `centroids.cached` does behind the marks.
        table, found = timed("centroids", lambda: centroids.table(store.parts(), marks, range(count)))
        sampler = timed("epoch", lambda: ClassUniformSampler(range(count), table, SPEC.num_classes, 0.5, 8))
        timed("digest", lambda: listed(dataset.items))
        tally = timed("labels", lambda: audit.Labels(dataset, range(count), [table.pixels]).counted(0, 1))
    assert found.all() and tally.labels == count and len(sampler)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"images": count, "seconds": seconds, "total": sum(seconds.values()), "imports": before, "peak": peak}


def _part(marks: np.ndarray) -> Part:
    """Centroids of labels without reading them."""
    rows = np.array([[c, x, 7] for x in (5, TILE) for c in range(CLASSES)])
    pixels = np.where(np.arange(SPEC.num_classes + 1) < CLASSES, 9, 0)
    return Part.of(marks, [(rows, pixels)] * len(marks))


def made(labels: Path, cache: Path, workers: int, ranks: DistributedContext) -> float:
    """Make the centroids of the labels of a folder: seconds of the clock."""
    items = [Item(str(path), str(path), path.stem, True) for path in sorted(labels.glob("*.png"))]
    dataset = SegmentationDataset(items, SPEC)
    ranks.barrier()
    began = time.perf_counter()
    centroids.cached(dataset, range(len(items)), TILE, str(cache), workers=workers, ranks=ranks)
    return time.perf_counter() - began


def child(args: argparse.Namespace) -> dict[str, Any]:
    """Do one measurement in this process, which the main one has started for it."""
    if args.start:
        return start_of(args.start, args.folder)
    cv2.setNumThreads(0)
    ranks = distributed.init()
    try:
        seconds = made(args.folder / "labels", args.folder / f"cache{ranks.world}-{args.workers}", args.workers, ranks)
        return {"ranks": ranks.world, "workers": args.workers, "labels": LABELS, "seconds": seconds}
    finally:
        distributed.close()


def asked(folder: Path, words: Sequence[str], world: int = 1) -> dict[str, Any]:
    """Start `world` processes of this script; gives what the first says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    env = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    env |= {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)}
    command = [sys.executable, str(Path(__file__).resolve()), "--folder", str(folder), *words]
    running = [
        subprocess.Popen(command, env=env | {"RANK": f"{rank}", "LOCAL_RANK": f"{rank}"}, stdout=subprocess.PIPE)
        for rank in range(world)
    ]
    said = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError(f"a measurement failed: {' '.join(command)}")
    return json.loads(said[0])


@contextmanager
def drawn_labels(count: int, size: tuple[int, int] = (512, 1024)) -> Iterator[Path]:
    """Draw labels into a folder for a while."""
    with tempfile.TemporaryDirectory() as folder:
        (labels := Path(folder, "labels")).mkdir()
        for index in range(count):
            cv2.imwrite(str(labels / f"{index:04d}.png"), scene(size, index)[1])
        yield Path(folder)


def plot(result: dict[str, Any]) -> str:
    """Draw seconds and GiB against images, and seconds against workers and ranks, below each other: SVG."""
    started = [(row["images"] / 1000, row) for row in result["start"]]
    charts = [
        line_chart("seconds", [Series("start", [(x, row["total"]) for x, row in started])], "thousand images"),
        line_chart("GiB", [Series("peak", [(x, row["peak"] / 2**30) for x, row in started])], "thousand images"),
        *(
            line_chart("seconds", [Series(by, [(row[by], row["seconds"]) for row in result[by]])], by)
            for by in ("workers", "ranks")
        ),
    ]
    titles = ("start, CPU seconds by thousand images", "start, GiB at its peak by thousand images")
    titles += tuple(f"centroids of {LABELS} labels, seconds by {by}" for by in ("workers", "ranks"))
    parts = []
    for row, (title, chart) in enumerate(zip(titles, charts, strict=True)):
        inner = chart.replace("<svg ", f'<svg y="{20 + 240 * row}" width="360" height="200" ', 1)
        parts.append(f'<text x="46" y="{14 + 240 * row}">{title}</text>{inner}')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="360" height="{240 * len(charts)}">{_STYLE}'
    return f"{head}{''.join(parts)}</svg>\n"


def numbers(text: str) -> list[int]:
    """Read whole numbers, parted by commas."""
    return [int(word) for word in text.split(",")]


def parser() -> argparse.ArgumentParser:
    """Make the command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--images", type=numbers, default=[1000, 10_000, 100_000], help="numbers of images of a start")
    p.add_argument("--workers_of", type=numbers, default=[1, 2, 4], help="numbers of threads that make centroids")
    p.add_argument("--ranks_of", type=numbers, default=[1, 2, 4], help="numbers of processes that make centroids")
    p.add_argument("--out", type=place_to_write, help="file for the numbers, JSON")
    p.add_argument("--plot", type=place_to_write, help="file for the plot, SVG")
    for flag, kind, default in (("--folder", Path, None), ("--start", int, 0), ("--workers", int, 1)):
        p.add_argument(flag, type=kind, default=default, help=argparse.SUPPRESS)  # of the processes that it starts
    return p


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print, write."""
    args = parser().parse_args(argv)
    if args.folder:
        print(json.dumps(found := child(args)))
        return found
    result: dict[str, Any] = {"what": "scaling", "start": [], "workers": [], "ranks": []}
    for count in args.images:
        with tempfile.TemporaryDirectory() as folder:
            row = asked(Path(folder), ["--start", str(count)])
        result["start"].append(row)
        print(
            f"start of {count} images: {row['total']:.1f} CPU s, {row['peak'] / 2**20:.0f} MiB at its peak", flush=True
        )
    with drawn_labels(LABELS) as folder:
        for by, counts in (("workers", args.workers_of), ("ranks", args.ranks_of)):
            for count in counts:
                words = ["--workers", str(count if by == "workers" else 1)]
                row = asked(folder, words, count if by == "ranks" else 1)
                (folder / f"cache{row['ranks']}-{row['workers']}").rename(folder / f"done-{by}-{count}")
                result[by].append(row)
                print(f"centroids of {LABELS} labels by {count} {by}: {row['seconds']:.2f} s", flush=True)
    result |= {"hardware": measure.hardware(torch.device("cpu")), "command": " ".join(sys.argv)}
    if args.out:
        write_file(args.out, (json.dumps(result, indent=1) + "\n").encode())
    if args.plot:
        write_file(args.plot, plot(result).encode())
    return result


if __name__ == "__main__":
    sys.exit(start(lambda: exit_code(main, stopped="nothing was written")))
