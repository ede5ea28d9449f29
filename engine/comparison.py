"""Run folders side by side: scripts/compare.py RUN RUN ...; each is scored once, then a page says what differs."""

from __future__ import annotations

import argparse
import itertools
import os
import shlex
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from engine import curves, recipes, scoring
from engine.log import RunLog
from engine.recipes import Recipe, RecordedRun
from engine.scored_images import ScoredImages
from engine.scoring import ScoredRun
from evaluation import calibration, pages
from evaluation.comparison import Comparison, Entry, compare, words, words_of_checkpoints, words_of_spread
from evaluation.comparison_page import COLORS, PageData, Pictures, RunRow, write_page
from evaluation.imagecounts import WHOLE, ImageCounts
from inference import temperature
from utils.errors import UserError
from utils.plural import percent
from utils.visualize import colorize, encode_jpeg, encode_png, shrink

PAGE = "compare"
MOST_PICTURES, LONG_EDGE = 12, 384
SEEDS_ALONE = "These runs are seeds of one recipe: what differs between them is chance."
ONE_SEED = "These runs are of one recipe and one seed: what differs between them tells nothing of seeds."
CURVES = {"Loss": ("train", "loss", 1), "Mean IoU": ("val", "mean_iu", 100)}  # phase, figure, factor


def run(args: argparse.Namespace, more: Sequence[str], command: str) -> None:
    """Score what is not scored yet, write the page, say what came of it; with `args.fit` also the temperatures."""
    found = recipes.named([recipes.read(Path(place), args.snapshot) for place in args.what])
    if len(found) < 2 and not args.fit:
        raise UserError(f"{found[0].folder} alone has nothing to be compared with: give two runs or more, or --fit")
    same_classes(found)
    if args.fit:
        check_temperatures(found, args.overwrite)
    groups = recipes.grouped(found)
    if len(groups) > COLORS:
        raise UserError(f"{len(groups)} recipes are more than a page can show: compare {COLORS} at a time")
    prepared = [scoring.prepared(one, args.out, more) for group in groups for one in group.runs]
    same_images(prepared)
    for one in prepared:
        scoring.score(one, args.out, more, command)
    log = RunLog(args.out, name="compare.log")
    try:
        tell(log, args, groups, prepared, command, page_of(args, more))
    finally:
        log.close()


def same_classes(found: Sequence[RecordedRun]) -> None:
    """Raise UserError where runs were trained on different classes."""
    first = found[0]
    for one in found[1:]:
        if one.classes != first.classes:
            odd = [name for name in one.classes if name not in first.classes] or ["their order"]
            raise UserError(
                f"{first.name} and {one.name} have other classes ({len(first.classes)} and {len(one.classes)}, "
                f"{odd[0]!r} first): only runs of the same classes can be compared"
            )


def check_temperatures(found: Sequence[RecordedRun], overwrite: bool) -> None:
    """Raise UserError where --fit would write over a file of others, or two files of one name."""
    owners: dict[Path, RecordedRun] = {}
    for one in found:
        other = owners.setdefault(one.checkpoint.parent.resolve(), one)
        if other is not one:
            raise UserError(
                f"--fit: {other.checkpoint} and {one.checkpoint} lie in one folder, which has one {temperature.FILE}: "
                "fit one at a time"
            )
        if not overwrite and (whose := temperature.others(one.checkpoint)):
            raise UserError(f"--fit: {whose}: leave --fit out, or add --overwrite to replace it")


def page_of(args: argparse.Namespace, more: Sequence[str]) -> tuple[Path, str]:
    """Give the page, and the mark by which it is known: compare.html, or compare_2.html where that is of others."""
    runs = map(os.path.realpath, args.what)
    known = pages.mark("comparison", shlex.join([*runs, args.snapshot, str(args.seed_sd), *more]))
    ways = (args.out / f"{PAGE}{f'_{number}' if number > 1 else ''}.html" for number in itertools.count(1))
    return next(way for way in ways if args.overwrite or pages.is_free(way, known)), known


def same_images(prepared: Sequence[ScoredRun]) -> None:
    """Raise UserError where runs are validated on different images."""
    first = prepared[0]
    for one in prepared[1:]:
        if one.listing != first.listing:
            raise UserError(
                f"{first.run.name} and {one.run.name} are validated on other images ({first.spec.name}, "
                f"{first.listing}; {one.spec.name}, {one.listing}): only runs on the same images can be compared"
            )


def same_labels(names: Sequence[str], counts: Sequence[ImageCounts]) -> None:
    """Raise UserError where the labels that runs were scored with have other pixels."""
    totals = [one.pixels[:, :2].sum((0, 1)) for one in counts]
    for name, total in zip(names[1:], totals[1:], strict=True):
        if not np.array_equal(total, totals[0]):
            raise UserError(
                f"{names[0]} and {name} are scored on labels of other sizes or values ({totals[0].sum():.0f} and "
                f"{total.sum():.0f} pixels): give both --pre_size and --label_ids alike"
            )


def tell(
    log: RunLog,
    args: argparse.Namespace,
    groups: Sequence[Recipe],
    prepared: Sequence[ScoredRun],
    command: str,
    page: tuple[Path, str],
) -> None:
    """Compare what is scored, write the page (its path and mark) and the temperatures, and say so."""
    counts = [_counts(one) for one in prepared]
    same_labels([one.run.name for one in prepared], counts)
    by_run = {one.run.name: found for one, found in zip(prepared, counts, strict=True)}
    entries = [Entry(group.name, [by_run[one.name] for one in group.runs]) for group in groups]
    changes = {group.name: recipes.changes(groups[0], group) for group in groups[1:]}
    one_recipe = len(groups) > 1 and not any(changes.values())
    seeds_alone = one_recipe and len({group.runs[0].options.get("SEED") for group in groups}) == len(groups)
    conditions = [item.condition for item in prepared[0].dataset.items]
    of = compare(entries, prepared[0].spec.classes, conditions, args.seed_sd, seeds_alone)
    rows = [row(one, by_run[one.run.name], _place(groups, one.run)) for one in prepared]
    spread = words_of_spread(of.spread, args.seed_sd is not None)
    notes = [*recipes.notes(groups), *([SEEDS_ALONE if seeds_alone else ONE_SEED] if one_recipe else [])]
    log.line("\n".join([*map(_line, rows), *_verdicts(of, spread), *notes]))
    data = PageData(
        title=" and ".join(group.name for group in groups) if len(groups) < 4 else f"{len(groups)} recipes",
        date=time.strftime("%Y-%m-%d %H:%M"),
        command=command,
        comparison=of,
        palette=prepared[0].spec.palette,
        runs=rows,
        spread=spread,
        images=prepared[0].names,
        changes={name: found for name, found in changes.items() if found},
        pictures=pictures(groups, prepared, by_run),
        notes=notes,
    )
    write_page(page[0], data, page[1])
    log.line(f"page: {page[0]}{'' if page[0].stem == PAGE else f'; {PAGE}.html there is of others'}")
    for one, found in zip(prepared, rows, strict=True) if args.fit else ():
        log.line(fit(one, found))


def _line(r: RunRow) -> str:
    """Say the figures of a run."""
    mean, outline, accuracy, error = (percent(x) for x in r.figures[: len(WHOLE)])
    return (
        f"{r.name}: mean IoU {mean}, boundary IoU {outline}, pixel accuracy {accuracy}, calibration error {error}, "
        f"temperature {r.temperature:.2f}"
    )


def _verdicts(of: Comparison, spread: str) -> list[str]:
    """Say what differs, and what the seeds are taken for."""
    said = [line for one in of.differences for line in (words(one), f"  of {words_of_checkpoints(one)}")]
    return [*said, f"seeds: {spread}"] if said else []


def _counts(one: ScoredRun) -> ImageCounts:
    with closing(ScoredImages(one.file)) as images:
        return images.counts(one.names)


def _place(groups: Sequence[Recipe], run: RecordedRun) -> int:
    return next(i for i, group in enumerate(groups) if run in group.runs)


def row(one: ScoredRun, counts: ImageCounts, entry: int) -> RunRow:
    """Make the page's row of a run, with its curves and its calibration."""
    with closing(ScoredImages(one.file)) as images:
        logits, truth, place = images.sample(one.names)
    history = RunLog(one.run.folder, main=False).history
    lines = {
        title: [(r["epoch"], factor * r[key]) for r in history(phase) if key in r]
        for title, (phase, key, factor) in CURVES.items()
    }
    lines["Learning rate"] = [(float(step), value) for step, value in curves.scalars(one.run.folder, "train/lr")]
    return RunRow(
        name=one.run.name,
        entry=entry,
        seed=str(one.run.options.get("SEED", "-")),
        checkpoint=one.run.checkpoint.name,
        figures=counts.total(),
        curves={title: points for title, points in lines.items() if points},
        temperature=calibration.fit_temperature(logits, truth),
        bins=counts.bins.sum(0),
        crossed=calibration.crossed_bins(logits, truth, place % 2 == 0),
    )


def fit(one: ScoredRun, found: RunRow) -> str:
    """Write the temperature of a run's checkpoint beside it; gives the line that says so."""
    before, after = (float(calibration.calibration_error(bins)) for bins in (found.bins, found.crossed))
    measured = {"images": len(one.dataset), "error": round(before, 6), "error_with_it": round(after, 6)}
    path = temperature.write(one.run.checkpoint, found.temperature, one.spec.classes, one.rule, measured)
    ends = calibration.LOWEST * 1.01 < found.temperature < calibration.HIGHEST * 0.99
    far = "" if ends else "; warning: it is an end of the range, so that no temperature fits"
    return (
        f"{path}: temperature {found.temperature:.3f} of {one.run.checkpoint.name}, calibration error "
        f"{percent(before)} % before, {percent(after)} % with one told by the other half of the images{far}"
    )


def pictures(groups: Sequence[Recipe], prepared: Sequence[ScoredRun], counts: dict[str, ImageCounts]) -> list[Pictures]:
    """Draw the images that the first runs of the first recipe and of each other treat most differently."""
    by_name = {one.run.name: one for one in prepared}
    first, found = groups[0].runs[0].name, []
    for group in groups[1:]:
        other, most = group.runs[0].name, max(3, MOST_PICTURES // (len(groups) - 1))
        a, b = (_wrong(counts[name]) for name in (first, other))
        order = np.argsort(-np.abs(np.nan_to_num(b - a)), kind="stable")[:most]
        of = by_name[first], by_name[other], (groups[0].name, group.name)
        found += [_pictures(*of, int(i), float(a[i]), float(b[i])) for i in order if a[i] != b[i]]
    return found


def _wrong(counts: ImageCounts) -> np.ndarray:
    """Give the share of wrong pixels of each image (N,), NaN where none counts."""
    right, missed = counts.pixels[:, 0].sum(-1), counts.pixels[:, 1].sum(-1)
    return np.divide(missed, right + missed, out=np.full(len(right), np.nan), where=right + missed > 0)


def _pictures(one: ScoredRun, other: ScoredRun, titles: tuple[str, str], place: int, a: float, b: float) -> Pictures:
    name, palette, sample = one.names[place], one.spec.palette, one.dataset[place]
    panels = {"image": encode_jpeg(shrink(sample.image, LONG_EDGE))}
    if sample.label is not None:
        panels["label"] = encode_png(colorize(shrink(sample.label, LONG_EDGE, smooth=False), palette), level=9)
    for title, run in zip(titles, (one, other), strict=True):
        with closing(ScoredImages(run.file)) as images:
            panels[title] = encode_png(colorize(images.classes(name), palette), level=9)
    facts = f"{percent(a)} % of the pixels wrong by {titles[0]}, {percent(b)} % by {titles[1]}"
    return Pictures(name, facts, panels)
