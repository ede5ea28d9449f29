"""What a dataset's file says of it: one frozen entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets.adjacent import FrameLocator
from datasets.base import Item, Split
from utils.contracts import DatasetSpec


@dataclass(frozen=True)
class DatasetEntry:
    """One dataset. Its file ends with `DATASET = DatasetEntry(SPEC, items)`, and `datasets.registry` has a row for it.

    Everything else is common to all datasets: reading, the check of every label value, sampling, augmentation, scores.
    Two fields are enough; the others are for what some datasets have. In all of them `root` is the dataset's folder,
    `cfg` holds all options, `mode` is "train", "val" or "test". A mistake in the files is a UserError of one line.

    - `spec`: the classes: names, colors, which label value stands for which class, which values are ignored.
    - `items(root, mode, cfg)`: the files of a mode, in a fixed order: `Item(image, label, name)` each, with a `name`
      that no other image has, and a label but for test images. A list, or a `Split` with coarse images or notes.
    - `root`: the option of DATASET that names the folder where --data_root does not; empty: --data_root is needed.
    - `read_spec(root, cfg)`: the classes where the folder or the options say them; `spec` is then what is known
      without a folder.
    - `resolve(root, cfg)`: write into `cfg` what the folder decides, so that checkpoints record it.
    - `prepare(root, mode, cfg)`: make the files that are not there. Once on every machine, before `items`.
    - `adjacent_frames(root, cfg)`: the frames beside labeled ones that --maxSkip adds.
    - `complete(item)`: an item of a list, with what its path says of it.
    - `label_files(root, cfg)`: {folder: labels} of training and validation, which together say what ids they hold.
    - `home`: the folder where neither --data_root nor `root` names one. `modes`: the splits that it has.
    - `val_size`: long edge at which images are validated where --pre_size does not say otherwise; 0: as they are.
    - `reads`, `reads_in_training`: options of DATASET that other datasets do not have. There they are refused.
    """

    spec: DatasetSpec
    items: Callable[[str, str, Any], Sequence[Item] | Split]
    root: str = ""
    home: str = ""
    modes: tuple[str, ...] = ("train", "val", "test")
    read_spec: Callable[[str, Any], DatasetSpec] | None = None
    resolve: Callable[[str, Any], None] | None = None
    prepare: Callable[[str, str, Any], None] | None = None
    adjacent_frames: Callable[[str, Any], FrameLocator] | None = None
    complete: Callable[[Item], Item] | None = None
    label_files: Callable[[str, Any], Mapping[str, Sequence[str]]] | None = None
    val_size: int = 0
    reads: tuple[str, ...] = ()
    reads_in_training: tuple[str, ...] = ()
