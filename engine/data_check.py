"""The check of a dataset: lists its splits as a training would, reads them, prints what it finds, writes the page."""

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import config
import datasets
from datasets import bit_depth, splits
from datasets.base import Split
from datasets.checking.check import Checked, check
from datasets.checking.faults import KINDS, Fault, Faults
from datasets.checking.look import Reader
from datasets.checking.tally import Tally, draws
from datasets.collecting import Bad, collecting
from datasets.reading import listing_absent_labels
from evaluation import pages
from evaluation.data_page import NAME, DataReport, render, verdict
from evaluation.data_pictures import Album
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.evenly import spread
from utils.files import csv_text, whole, write_file, writing
from utils.names import shown
from utils.plural import counted, percent

TABLE = "check_data.csv"
OTHERS = "not of a check of this dataset"
MODES = ("train", "val")
SAMPLES = 6
_PRINTED = 3  # files of a kind that the terminal names


def run(args: argparse.Namespace, rest: Sequence[str], command: str) -> int:
    """Check what a command line names. Gives the exit code: 1 for errors, with --strict for warnings too."""
    cfg = config.load(list(rest))
    spec, known = datasets.spec(cfg), identity(cfg)
    out = place(args.out, Path(cfg.DATASET.NAME).stem, known, args.overwrite)
    faults = Faults(tuple(args.accept))
    listed = _listed(cfg)
    found, faults.drawn = listed.splits, listed.drawn
    unread = {fault.file for fault in listed.faults if fault.kind == "unreadable-image"}  # told of already
    items = {mode: [item for item in split.items if item.image not in unread] for mode, split in found.items()}
    print(f"{spec.name} in {splits.root_of(cfg)}: {_counts(items)}, {spec.num_classes} classes", flush=True)
    reader = Reader(spec, _bits(cfg, found), min(cfg.DATASET.CLASS_UNIFORM_TILE, *cfg.DATASET.CROP_SIZE))
    workers = args.workers or min(16, os.cpu_count() or 1)
    with _table(out / TABLE, faults):
        faults.add(*listed.faults)
        checked = check(reader, items, faults, workers)
    checked.notes += dict.fromkeys(note for split in found.values() for note in split.notes)
    fine = found["train"].fine if "train" in found else 0
    share = cfg.DATASET.CLASS_UNIFORM_PCT
    drawn = draws(checked.tallies["train"], fine, share) if fine and share else []
    samples = spread([item for part in items.values() for item in part if item.label], SAMPLES)
    usual = cfg.DATASET.MEAN, cfg.DATASET.STD
    title, date = f"{spec.name}: are the data all right?", datetime.now().strftime("%Y-%m-%d %H:%M")
    album = Album(reader)
    report = DataReport(title, command, date, checked, album, samples, drawn, share, usual, TABLE, splits.root_of(cfg))
    write_file(out / NAME, f"{render(report)}\n{known}\n".encode())
    print("\n".join([*lines(checked), f"page: {out / NAME}", f"every file: {out / TABLE}"]))
    print(f"verdict: {verdict(checked)}", flush=True)
    return faults.exit_code(args.strict)


def identity(cfg: Any) -> str:
    """Name a dataset and its folder as a comment of HTML, by which a page is known as that of this dataset."""
    name = cfg.DATASET.NAME
    whole = os.path.realpath(name) if os.path.isfile(name) else name
    return pages.mark("dataset", f"{whole} in {os.path.realpath(splits.root_of(cfg))}")


def place(given: Path | None, name: str, known: str, overwrite: bool = False) -> Path:
    """Give the folder of the page: `given`, or logs/check_data/NAME, NAME_2 where that has another dataset's.

    UserError where the given one has files of others, and nobody asked to `overwrite` them.
    """
    if given is not None:
        if not overwrite and (there := _others(given, known)):
            raise UserError(f"{there} is there already, {OTHERS}: give another --out, or --overwrite to replace it")
        return given
    ways = (Path("logs", "check_data", f"{name}_{number}" if number > 1 else name) for number in itertools.count(1))
    return next(way for way in ways if overwrite or not _others(way, known))


def _others(folder: Path, known: str) -> Path | None:
    """Find a page that is not of this dataset, or a table without a page that says whose it is."""
    page, table = folder / NAME, folder / TABLE
    if not pages.is_free(page, known):
        return page
    return table if table.exists() and not page.exists() else None


class Listed(NamedTuple):
    """The splits, the faults that listing has found, and what labels were drawn of, as `Faults` has it."""

    splits: dict[str, Split]
    faults: list[Fault]
    drawn: dict[str, tuple[str, str]]


def _listed(cfg: Any) -> Listed:
    """List training and validation, images without label too. Bad annotations, and a split that cannot be listed, are
    faults; UserError where no split can.
    """
    found: dict[str, Split] = {}
    failed: list[Fault] = []
    with listing_absent_labels(), collecting() as gathered:
        for mode in MODES:
            try:
                found[mode] = splits.load(cfg, mode, DistributedContext())
            except UserError as error:
                failed.append(Fault("not-listed", mode, "", str(error)))
    if not found:
        of_sets = (f"{bad.file}: {bad.what}" for bad in gathered.bad if bad.kind == "not-listed")
        raise UserError(next(of_sets, failed[0].what))
    modes: dict[str, list[str]] = {}
    for mode, split in found.items():
        for item in split.items:
            modes.setdefault(item.image, []).append(mode)
    failed += [_fault(bad, " and ".join(dict.fromkeys(modes.get(bad.image, found)))) for bad in gathered.bad]
    return Listed(found, failed, gathered.drawn)


def _fault(bad: Bad, split: str) -> Fault:
    """Name the image of a bad annotation beside its file."""
    return Fault(bad.kind, split, bad.file, bad.what if bad.image in ("", bad.file) else f"(of {bad.image}) {bad.what}")


def _bits(cfg: Any, found: dict[str, Split]) -> int:
    """Find which bits of deep images are used, as a run does."""
    both = Split.plain([item for split in found.values() for item in split.items])
    return bit_depth.bits_of([item.image for item in both.items], cfg.DATASET.IMAGE_BITS)[0]


def _counts(items: dict[str, list]) -> str:
    return " and ".join(f"{len(part)} {mode}" for mode, part in items.items()) + " images"


@contextmanager
def _table(path: Path, faults: Faults) -> Iterator[None]:
    """Write each fault to a table as it is found, so that memory does not grow with them."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as stream:

            def write(fault: Fault) -> None:
                row = [faults.severity(fault.kind), fault.kind, fault.split, shown(fault.file), shown(fault.what)]
                stream.write(csv_text([row]).encode())

            stream.write(csv_text([["severity", "kind", "split", "file", "what"]]).encode())
            faults.write = write
            yield


def lines(checked: Checked) -> list[str]:
    """Tell the terminal what was found: a line a kind with its first files, one a split, one a class that is rare."""
    faults = checked.faults
    said = list(checked.notes)
    for kind in faults.kinds():
        count = faults.counts[kind]
        said.append(f"{faults.severity(kind)}: {KINDS[kind].title[0].lower()}{KINDS[kind].title[1:]}: {count} ({kind})")
        for fault in faults.kept[kind][:_PRINTED]:
            said.append(f"  {shown(f'{fault.split}: {fault.file} {fault.what}'.replace(':  ', ': '))}")
        said += [f"  and {count - _PRINTED} more"] if count > _PRINTED else []
        said.append(f"  -> {KINDS[kind].cure}")
    return [*said, *(_split_line(name, tally) for name, tally in checked.tallies.items())]


def _split_line(name: str, tally: Tally) -> str:
    mean, deviation = ("/".join(f"{x:.3f}" for x in values) for values in tally.mean_and_deviation())
    read = f"{counted(tally.images, 'image')} and {counted(tally.labels, 'label')} read"
    return f"{name}: {read}, {percent(tally.ignored)} % ignored, mean {mean}, deviation {deviation}"
