"""A trained network from its file alone: the options, the classes and their colors, without any dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from yacs.config import CfgNode

import config
import datasets
import network
from datasets import classes
from network import guess
from network.weights import Weights, metadata, parse, safe_load
from network.weights import load as weights_of
from network.weights.checksum import is_ours
from utils import gpus
from utils.contracts import DatasetSpec
from utils.errors import UserError


class Trained(NamedTuple):
    """A trained network, its weights random until they are `loaded`, with its options and classes; `metadata`: {key:
    value} of what its file tells of the options.
    """

    cfg: CfgNode
    spec: DatasetSpec
    net: network.Net
    metadata: dict[str, Any]


def loaded(checkpoint: str | Path, argv: Sequence[str]) -> Trained:
    """Do as `build`, of a file and further flags, with all weights from the file. UserError if one is missing there."""
    if not str(checkpoint):
        raise UserError("no checkpoint is named: give the path of one")
    found = build([*argv, "--eval", "folder", "--eval_folder", ".", "--snapshot", str(checkpoint)])
    report = weights_of(found.net, found.cfg.SNAPSHOT)
    report.require_complete(f"{found.cfg.MODEL.ARCH} with {found.cfg.DATASET.NUM_CLASSES} classes")
    return found


def build(argv: Sequence[str], preferred: str = "", scales: Sequence[str] = ()) -> Trained:
    """Build the network of the file that --snapshot of a command line names; what the line says wins over the file.

    `preferred`: of several networks that an unnamed state dict fits, the one to take. `scales`: those of --n_scales,
    for a network that combines scales. UserError where nothing tells the network, or the classes are none of the
    dataset's.
    """
    combined = {"MODEL.N_SCALES": scales} if scales else {}
    cfg = config.load(argv, combined)
    gpus.one(cfg.OPTIONS.DEVICES)
    path = Path(cfg.SNAPSHOT)
    content = safe_load.read(path)
    weights = parse(content, path)
    found: dict[str, Any] = {}
    if is_ours(content) or weights.options or (weights.arch and not cfg.MODEL.ARCH):
        found = metadata.of_file(path, cfg.MODEL.ARCH)
    elif not cfg.MODEL.ARCH:
        found = {"MODEL.ARCH": _fitting(cfg, weights, preferred)}
    count = len(weights.class_names) or weights.num_classes
    found |= combined | ({"DATASET.NUM_CLASSES": count} if count else {})
    cfg = config.load(argv, found)
    return Trained(cfg, classes_of(cfg, weights), network.build(cfg), found)


def _fitting(cfg: CfgNode, weights: Weights, preferred: str) -> str:
    """Give `preferred`, if the names and shapes of a state dict are its; else UserError with those whose they are."""
    fits = guess.fitting(weights.state, network.settings(cfg))
    if preferred in fits:
        return preferred
    of = f"; its entries are those of {' or '.join(fits)}" if fits else ""
    raise UserError(f"checkpoint {cfg.SNAPSHOT} does not name its network: give --arch{of}")


def classes_of(cfg: CfgNode, weights: Weights) -> DatasetSpec:
    """Give the dataset's classes, or those of the checkpoint, with its label values, where it was trained on others."""
    names, data = weights.class_names, cfg.DATASET
    declared = not names or data.NAME != "list" or data.CLASSES  # else by nobody but the file
    try:
        spec = datasets.spec(cfg) if declared else None
    except UserError:  # they may stand in its folder, which need not be here
        if not names:
            raise
        spec = None
    if spec is None or (names and tuple(names) != spec.classes):
        name = f"{Path(data.NAME).stem} (as in {Path(cfg.SNAPSHOT).name})"
        return classes.spec_of(name, names, weights.class_ids, weights.class_colors)
    if data.NUM_CLASSES != spec.num_classes:
        raise UserError(
            f"{cfg.SNAPSHOT} has {data.NUM_CLASSES} classes, {data.NAME} {spec.num_classes}: name theirs with --dataset"
        )
    return spec
