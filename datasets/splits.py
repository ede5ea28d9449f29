"""The files of a split: by the dataset's folder or by a list, and with one answer to which ids their labels hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from datasets import adjacent, folder, labelids, lists
from datasets.base import Split
from datasets.entry import DatasetEntry
from datasets.itemtable import ItemTable
from datasets.own import entry as own
from datasets.registry import DATASETS
from options.table import OPTIONS
from utils.contracts import DatasetSpec
from utils.distributed import DistributedContext, from_main, on_each_machine
from utils.errors import UserError, nearest


def find(dataset: Any) -> DatasetEntry:
    """Find the entry of a dataset given by its name, by a file that describes it, or by a config that names either.

    UserError for an unknown name, and for what does not fit in the file.
    """
    name = dataset if isinstance(dataset, str) else dataset.DATASET.NAME
    if own.is_file(name):
        return own.of(name)
    if name not in DATASETS:
        known = f"known: {', '.join(DATASETS)}, and FILE.yaml that describes one"
        raise UserError(f"unknown --dataset {name!r}{nearest(name, DATASETS)}; {known}")
    return DATASETS[name]


def root_of(cfg: Any) -> str:
    """Name the dataset's folder."""
    entry = find(cfg)
    return cfg.DATASET.ROOT or cfg.DATASET.get(entry.root or "ROOT") or entry.home or "."


def spec(dataset: Any) -> DatasetSpec:
    """Read the classes of a dataset by its name, or as a config says more about them; UserError for an unknown name."""
    entry = find(dataset)
    if isinstance(dataset, str) or entry.read_spec is None:
        return entry.spec
    return entry.read_spec(root_of(dataset), dataset)


def resolve(cfg: Any) -> None:
    """Write into the options what the dataset's folder decides. UserError for options of other datasets alone."""
    entry = find(cfg)
    for flag, readers in _unread(cfg, "reads"):
        raise UserError(f"{flag} is of --dataset {' or '.join(readers)}: add that, or leave it out")
    if entry.resolve is not None:
        entry.resolve(root_of(cfg), cfg)


def check_training_options(cfg: Any) -> None:
    """Raise UserError for options of a training that only other datasets read."""
    for flag, readers in _unread(cfg, "reads_in_training"):
        *most, last = readers
        only = f"{', '.join(most)} and {last}" if most else last
        raise UserError(f"{flag}: {cfg.DATASET.NAME} does not read it, only {only} do; leave it out")


def _unread(cfg: Any, kind: str) -> Iterator[tuple[str, list[str]]]:
    """Find (flag, datasets that read it) of the options in use that are in the `kind` of other entries alone."""
    own = getattr(find(cfg), kind)
    for key in dict.fromkeys(key for entry in DATASETS.values() for key in getattr(entry, kind)):
        option = OPTIONS[f"DATASET.{key}"]
        if key not in own and cfg.DATASET[key] != option.default:
            yield option.name, [name for name, entry in DATASETS.items() if key in getattr(entry, kind)]


def load(cfg: Any, mode: str, ranks: DistributedContext) -> Split:
    """List the files of "train", "val" or "test": by a list where one is given, else as the dataset's folder has them.

    Where nobody says which of Cityscapes' ids labels hold, the whole run's labels say it, those of training and
    validation alike, and `notes` has it.
    """
    c, entry, root = cfg.DATASET, find(cfg), root_of(cfg)
    path = {"train": c.LIST_TRAIN, "val": c.LIST_VAL, "test": c.LIST_TEST}.get(mode, "")
    if path:
        split = lists.split(path, root, spec(cfg), mode != "test", cfg.EVAL.LABEL_IDS)
        if entry.complete is not None:
            split = replace(split, items=ItemTable.of(map(entry.complete, split.items)))
        of_lists = [path for path in (c.LIST_TRAIN, c.LIST_VAL) if path]
        return _with_label_ids(cfg, split, lambda: {path: lists.labels(path, root) for path in of_lists}, ranks)
    if entry.prepare is not None:
        prepare = entry.prepare
        on_each_machine(ranks, lambda: prepare(root, mode, cfg))
    items = entry.items(root, mode, cfg)
    split = items if isinstance(items, Split) else Split.plain(items)
    split = replace(split, items=ItemTable.of(split.items))
    return _with_label_ids(cfg, split, lambda: entry.label_files(root, cfg) if entry.label_files else {}, ranks)


def load_folder(cfg: Any, ranks: DistributedContext) -> Split:
    """List the pictures of --eval_folder, with the labels of --eval_labels if there are some."""
    e = cfg.EVAL
    split = folder.split(e.FOLDER, e.LABELS, spec(cfg), e.LABEL_IDS, results=cfg.RESULT_DIR)
    return _with_label_ids(cfg, split, dict, ranks)


def _with_label_ids(
    cfg: Any, split: Split, sources: Callable[[], Mapping[str, Sequence[str]]], ranks: DistributedContext
) -> Split:
    """The split with what labels hold of which nobody says it: as those of all `sources`, or of none by themselves."""
    classes, undecided = find(cfg).spec, labelids.undecided(split.items)
    if not undecided:
        return split
    if cfg.EVAL.LABEL_IDS != "auto":
        return labelids.resolve(split, labelids.Guess(cfg.EVAL.LABEL_IDS == "train", ""))
    looked_at = labelids.places(sources(), undecided, classes)
    skips_bad = cfg.DATASET.ON_BAD_SAMPLE == "skip"
    return labelids.resolve(split, from_main(ranks, lambda: labelids.look(looked_at, classes, skips_bad)))


def with_adjacent_frames(cfg: Any, split: Split) -> Split:
    """Give the split, and with --maxSkip the frames beside its fine images behind it."""
    skip, entry = cfg.DATASET.MAX_SKIP, find(cfg)
    if not skip or entry.adjacent_frames is None:
        return split
    frames = adjacent.find(split.items[: split.fine], skip, entry.adjacent_frames(root_of(cfg), cfg))
    note = f"note: --maxSkip {skip}: {len(frames.items)} frames around {split.fine} images"
    note += f"; {frames.missing} are not there" if frames.missing else ""
    items = ItemTable.of(chain(split.items, frames.items))
    return replace(split, items=items, source_index=frames.source_index, notes=(*split.notes, note))
