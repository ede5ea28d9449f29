"""Finds labels that are probably wrong, by a trained network: scripts/find_label_errors.py."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import datasets
import inference
from datasets import classes
from datasets.base import Item
from datasets.loaders import EvalLoader
from engine import tool
from engine.session import Run, Start, join, load_for_evaluation, to_device
from engine.validation import validation
from evaluation.labelcheck import tables
from evaluation.labelcheck.areas import Compared
from evaluation.labelcheck.finder import Finder, Found, per_image
from evaluation.labelcheck.page import PageData, Shown, pictures, write_page
from evaluation.report import environment
from inference import Predictor, from_file
from inference.probability import probability_of
from utils.cli import check_free
from utils.contracts import DatasetSpec, Prediction
from utils.errors import UserError
from utils.plural import counted, percent
from utils.progress import progress
from utils.runfolders import checkpoint_in
from utils.visualize import to_array

STEM = "label_errors"
MODES = {"train": "trn", "val": "val"}  # --split: what --eval calls it
MEMORIZED = (
    "These are images of the training split: what of them the network has learned by heart, it has learned with their "
    "wrong labels, and these do not show. A network that was trained on other images (--cv) finds more."
)


class Seen(NamedTuple):
    """An image of the split as it was read and predicted; `factor`: pixels of its file for each of the label's."""

    name: str
    image: np.ndarray
    label: np.ndarray
    prediction: Prediction
    factor: float


def compared(label: np.ndarray, prediction: Prediction, average: str, spec: DatasetSpec) -> Compared:
    """Set a label against a prediction with its scores, which are an `average` as `EvalRule` says."""
    p_labeled = probability_of(label, prediction, average)
    classes, p_predicted = to_array(prediction.classes), to_array(prediction.max_prob)
    return Compared(label, classes, p_labeled, p_predicted, (label != spec.ignore_label) & (label < spec.num_classes))


def seen(loader: EvalLoader, predictor: Predictor, shown: bool) -> Iterator[Seen]:
    """Read and predict this process's images one batch after another."""
    for batch in progress(loader, "images", len(loader), lines=20, shown=shown):
        found = predictor(batch["image"], scores=True)
        for name, image, label, size, prediction in zip(
            batch["name"], batch["image"], batch["label"], batch["size"], found, strict=True
        ):
            if label is not None:
                yield Seen(name, image, label, prediction, size[1] / label.shape[1])


def search(run: Run, loader: EvalLoader, predictor: Predictor, most: int, least: float) -> Found:
    """Look at every image once; memory does not grow with their number."""
    finder = Finder(run.spec.num_classes, most, least)
    for one in seen(loader, predictor, run.ranks.is_main):
        what = compared(one.label, one.prediction, predictor.rule.average, run.spec)
        finder.add(one.name, what, one.factor)
    return finder.result(run.ranks)


def drawn(run: Run, loader: EvalLoader, predictor: Predictor, found: Found, worst: int) -> list[Shown]:
    """Draw the worst areas, for which their images are read and predicted once more, one at a time."""
    places = {item.name: index for index, item in enumerate(loader.dataset.items)}
    chosen = list(zip(found.areas, found.scores, strict=True))[:worst]
    panels: dict[int, dict[str, bytes]] = {}
    names = dict.fromkeys(area.image for area, _ in chosen)
    for name in progress(names, "pictures", len(names), lines=5, shown=run.ranks.is_main):
        sample = loader.dataset[places[name]]
        assert sample.label is not None
        (prediction,) = predictor([sample.image])
        classes = to_array(prediction.classes)
        for rank, (area, _) in enumerate(chosen):
            if area.image == name:
                panels[rank] = pictures(area, sample.image, sample.label, classes, run.spec)
    return [Shown(area, score, panels[rank]) for rank, (area, score) in enumerate(chosen)]


def check_out(out: Path, overwrite: bool) -> None:
    """Raise UserError where results of an earlier search are in the folder, and nobody asked to replace them."""
    check_free(map(out.joinpath, results()), overwrite)


def results() -> list[str]:
    """Name the files that a search leaves."""
    return [f"{STEM}.{suffix}" for suffix in ("html", "csv", "json")]


def place(args: argparse.Namespace) -> Path:
    """Give the folder of the results: --out, or one beside the checkpoint, be it named by its run's folder."""
    return args.out or Path(checkpoint_in(args.snapshot)[0]).parent / f"{STEM}_{args.split}"


def run(args: argparse.Namespace, rest: Sequence[str], command: str) -> None:
    """Search the split of a data set, and write what was found."""
    mode = MODES[args.split]
    args.out = place(args)
    check_out(args.out, args.overwrite)
    argv = ["--eval", mode, "--snapshot", args.snapshot, "--result_dir", str(args.out)]
    cfg, spec, net, _ = from_file.build([*rest, *argv])
    own = datasets.spec(cfg)
    if odd := classes.other_count(spec.classes, own) or classes.other_names(spec.classes, own):
        raise UserError(f"{cfg.SNAPSHOT} was trained on other classes: {odd}; check --dataset and --classes")
    with tool.opened(cfg, spec, join(cfg), command, f"{STEM}.log") as run:
        run.log.line(f"{cfg.MODEL.ARCH}, {spec.name}, split {args.split}, on {run.ranks.device.type}")
        load_for_evaluation(run, net, Start(Path(cfg.SNAPSHOT)))
        loader = validation(run, mode)
        lacking = unlabeled(loader.dataset.items)
        if lacking:
            run.log.line(lacking)
        notes = [MEMORIZED] if args.split == "train" else []
        run.log.line("\n".join(notes)) if notes else None
        predictor = inference.build_predictor(cfg, to_device(run, net), run.precision, run.log.line)
        found = search(run, loader, predictor, args.most, args.least)
        if run.ranks.is_main:
            publish(run, loader, predictor, found, args, [*notes, lacking])
        run.ranks.barrier()


def unlabeled(items: Sequence[Item]) -> str:
    """Say how many images have no label; UserError where none has one."""
    without = [item for item in items if item.label is None]
    if len(without) == len(items):
        raise UserError(f"no image of the split has a label, the first: {items[0].image}; name another --split")
    count = counted(len(without), "image")
    return f"{count} without a label {'is' if len(without) == 1 else 'are'} left out" if without else ""


def place_of(item: Item) -> tables.Place:
    """Tell which part of which file an item is: all of it, but for the pieces of huge images."""
    if item.piece is None:
        return tables.Place(item.image)
    return tables.Place(item.image, item.piece.columns[0], item.piece.rows[0])


def usual_confidence(found: Found, spec: DatasetSpec) -> dict[str, float | None]:
    """Give the mean probability of each class where it is labeled; None where it never is."""
    values = found.usual.confidence.tolist()
    return {n: None if np.isnan(v) else round(v, 4) for n, v in zip(spec.classes, values, strict=True)}


def publish(
    run: Run, loader: EvalLoader, predictor: Predictor, found: Found, args: argparse.Namespace, notes: Sequence[str]
) -> None:
    """Write tables and page, and say what was found and where it stands."""
    spec, items, out = run.spec, loader.dataset.items, run.folder
    differing = found.usual.differing
    made = {
        "snapshot": str(run.cfg.SNAPSHOT), "dataset": spec.name, "split": args.split, "classes": list(spec.classes),
        "images": found.images, "areas_left_out": found.dropped,
        "usual_confidence": usual_confidence(found, spec),
    }  # fmt: skip
    table = tables.rows(found, {item.name: place_of(item) for item in items}, spec.classes)
    as_csv, as_json = tables.write(out, STEM, table, made)
    total = counted(len(found.areas), "area")
    more = f", the worst of {len(found.areas) + found.dropped:,} (--most {args.most})" if found.dropped else ""
    run.log.line(f"{total} of {counted(found.images, 'image')}{more}: {as_csv}, {as_json}")
    data = PageData(
        f"Labels to look at: {spec.name}, {args.split}",
        run.command,
        time.strftime("%Y-%m-%d %H:%M"),
        spec,
        drawn(run, loader, predictor, found, args.worst),
        per_image(found.areas, found.scores),
        [("images", f"{found.images:,}"), ("areas", f"{len(found.areas) + found.dropped:,}"),
         ("pixels that differ", f"{percent(differing)} %")],
        [note for note in notes if note],
        environment(run.ranks.device),
    )  # fmt: skip
    write_page(out / f"{STEM}.html", data)
    run.log.line(f"{on_the_page(len(data.rows), args.least)}: {out / f'{STEM}.html'}")


def on_the_page(count: int, least: float) -> str:
    """Say how many areas the page shows, and why where there are none; `least`: --least."""
    if count:
        return f"the worst {count} in pictures"
    return f"no area has {least:g} of its image, as --least asks" if least else "labels and predictions agree"
