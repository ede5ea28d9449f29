"""Labels move along the flow from labeled frames to adjacent frames, for training on more."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets import video_clips
from datasets.bit_depth import bits_beside
from datasets.cityscapes import SPEC
from datasets.reading import label_lut, read_label, remap_labels
from datasets.video_clips import Chain, VideoClip
from engine import chain_flow
from engine.chain_flow import WEIGHTS, Flows, flows_of, frame_of
from engine.runlock import FolderLock
from network.flow.propagate import Moved, advance
from network.flow.sources import PREDICTIONS
from utils import madefrom, textfile
from utils.errors import UserError
from utils.files import write_file
from utils.plural import percent
from utils.progress import progress
from utils.visualize import colorize, encode_png

RECORD = "propagation.json"


class Step(NamedTuple):
    """What a chain's `k`-th step gave, for frame `number`."""

    k: int
    number: int
    moved: Moved


def given(args: argparse.Namespace) -> list[VideoClip]:
    """Give the clips that the command line names."""
    if args.propagate < 1:
        raise UserError(f"--propagate {args.propagate}: give 1 or more frames each way")
    if args.ignore_id is not None and not 0 <= args.ignore_id <= 255:
        raise UserError(f"--ignore_id {args.ignore_id}: labels are written as bytes, give 0 to 255")
    if bool(args.source_dir) == bool(args.frames) or bool(args.frames) != bool(args.labels):
        raise UserError("give either --source_dir, or --frames and --labels")
    if args.source_dir:
        return video_clips.cityscapes(args.source_dir, args.split)
    return video_clips.plain(args.frames, args.labels)


def label_of(path: Path, frame: Tensor) -> Tensor:
    """Read (1, 1, H, W) uint8 of a label of the size of its frame."""
    label = read_label(str(path))
    if label.shape != frame.shape[2:] or label.max() > 255:
        raise UserError(f"{path}: a label of 8 bits and of its frame's size {tuple(frame.shape[2:])} is needed")
    return torch.from_numpy(label.astype(np.uint8))[None, None]


def walk(chain: Chain, flows: Flows, ignore: int, check: bool, drop: bool, again: bool = False) -> Iterator[Step]:
    """Move a labeled frame along its chain. `check`: by the flow back; `drop`: what fails is `ignore`.

    `again`: as published, each step moves what the last one gave.
    """
    clip = chain.clip
    frame = frame_of(clip.frames[chain.start])
    start = moved = Moved.start(frame, label_of(clip.labels[chain.start], frame))
    for k, number in enumerate(chain.targets(), 1):
        flow, back = flows(chain, k, check)
        if k == 1:
            start = moved = Moved(*(part.to(flow.device) for part in start))
        moved = advance(start, moved, flow, ignore, back, drop, again)
        yield Step(k, number, moved)


class Writer:
    """Puts frames where the trainer looks for them. A label is written after its image: it says that both are there."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.root, self.vis, self.keep, self.cut = args.target_dir, args.vis, args.keep_frames, args.published
        self.table = label_lut(SPEC)

    def files(self, clip: VideoClip, number: int) -> list[Path]:
        """Tell what is written of a frame."""
        return [self.root / name for name in clip.outputs(number)[: 3 if self.vis else 2]]

    def is_done(self, clip: VideoClip, number: int) -> bool:
        """Tell whether all files of a frame are written."""
        return all(file.is_file() for file in self.files(clip, number))

    def copy(self, clip: VideoClip, number: int) -> None:
        """Write a frame with the label that somebody drew."""
        frame = frame_of(clip.frames[number])
        self._write(clip, number, frame, label_of(clip.labels[number], frame), cut=False)

    def add(self, chain: Chain, step: Step) -> None:
        """Write a propagated frame with its label."""
        image = frame_of(chain.clip.frames[step.number]) if self.keep else step.moved.image
        self._write(chain.clip, step.number, image, step.moved.label, self.cut and not self.keep)

    def _write(self, clip: VideoClip, number: int, image: Tensor, label: Tensor, cut: bool) -> None:
        image_file, label_file, color_file = (self.root / name for name in clip.outputs(number))
        pixels = (image if cut else image.round()).clamp(0, 255).byte()[0].permute(1, 2, 0).cpu().numpy()
        ids = label[0, 0].cpu().numpy()
        write_file(image_file, encode_png(np.ascontiguousarray(pixels)))
        if self.vis:
            classes = remap_labels(ids, self.table, str(label_file), SPEC)
            write_file(color_file, encode_png(colorize(classes, SPEC.palette)))
        write_file(label_file, encode_png(ids))


def check_record(args: argparse.Namespace) -> None:
    """Say in the folder how its frames are made; UserError where it has some that were made otherwise."""
    keys = ("source_dir", "split", "frames", "labels", "flow", "flow_inputs", "flow_dir", *WEIGHTS.values())
    keys += ("ignore_inconsistent", "ignore_id", "keep_frames", "published")
    made = {key: getattr(args, key) for key in keys} | {"weights_sha256": chain_flow.weights_digest(args)}
    path = args.target_dir / RECORD
    if path.is_file():
        try:
            before = textfile.read_json(path)
            before.setdefault("weights_sha256", made["weights_sha256"])  # of before it was recorded
            changed = [key for key in made if before[key] != made[key]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{path} is damaged: give another --target_dir") from None
        if changed:
            raise UserError(
                f"{args.target_dir} has frames made with --{changed[0]} {before[changed[0]]}, not {made[changed[0]]}: "
                "give the same options, or another --target_dir"
            )
        return
    for name in ("leftImg8bit", "gtFine") if args.source_dir else ("train",):
        if (args.target_dir / name).exists():
            raise UserError(f"{args.target_dir / name} holds files of other origin: give another --target_dir")
    write_file(path, json.dumps(made, indent=1).encode() + b"\n")


def made_from(
    args: argparse.Namespace, labeled: list[tuple[VideoClip, int]], work: list[Chain], writer: Writer
) -> dict[Path, list[Path]]:
    """Give {file to write: files that it depends on}."""
    made = {file: [clip.frames[n], clip.labels[n]] for clip, n in labeled for file in writer.files(clip, n)}
    for chain in work:
        for k, number in enumerate(chain.targets(), 1):
            inputs = chain_flow.made_from(args, chain, k)
            made |= {file: inputs for file in writer.files(chain.clip, number)}
    return made


def run(args: argparse.Namespace) -> None:
    """Find what is to be done, do what is left, say what came of it."""
    with FolderLock() as lock:
        if note := lock.take(args.target_dir, "scripts/propagate_labels.py"):
            print(note)
        propagate(args)


def propagate(args: argparse.Namespace) -> None:
    """Find and do it in a folder that nobody else writes to."""
    found = given(args)
    folders = {path.parent for clip in found for path in clip.frames.values()}
    for note in sorted({note for folder in folders if (note := bits_beside(folder)[1])}):
        print(note)
    if unread := chain_flow.ignored_flags(args):
        print(f"without effect with --flow {args.flow}: {', '.join(unread)}")
    work, missing = video_clips.chains(found, args.propagate, args.skip_missing, args.flow in PREDICTIONS)
    flows, writer = flows_of(args), Writer(args)
    ignore = args.ignore_id if args.ignore_id is not None else (0 if args.source_dir else SPEC.ignore_label)
    if args.ignore_inconsistent and args.ignore_id is None:
        print(
            f"note: pixels that fail the check get the label {ignore}; where that is a class give another --ignore_id"
        )
    check_record(args)
    labeled = [(clip, number) for clip in found for number in clip.labels if number in clip.frames]
    total = len(labeled) + sum(chain.steps for chain in work)
    if stale := madefrom.remove_stale(args.target_dir, made_from(args, labeled, work, writer)):
        print(stale)
    for clip, number in labeled:
        if not writer.is_done(clip, number):
            writer.copy(clip, number)
    left = [chain for chain in work if not all(writer.is_done(chain.clip, n) for n in chain.targets())]
    print(f"{len(labeled)} labeled frames, {total - len(labeled)} to reach, {len(work) - len(left)} of {len(work)} "
          f"chains are there; {missing} steps lack a frame")  # fmt: skip
    trusted: dict[int, list[float]] = {}
    for chain in progress(left, "propagation", len(left), lines=20):
        for step in walk(chain, flows, ignore, args.ignore_inconsistent, args.ignore_inconsistent, args.published):
            writer.add(chain, step)
            trusted.setdefault(step.k, []).append(float(step.moved.trusted.float().mean()))
    if args.ignore_inconsistent:
        shares = ", ".join(f"{percent(float(np.mean(shares)))} % at {k}" for k, shares in sorted(trusted.items()))
        print(f"pixels that pass the check of the way back: {shares or 'none looked at'}")
    print(f"{total} frames with labels are in {args.target_dir}: train.py --data_root {args.target_dir}")
