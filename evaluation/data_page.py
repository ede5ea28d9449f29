"""The page of a check of data: verdict, faults with pictures, what images and labels hold, what sampling does."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from datasets.base import Item
from datasets.checking.check import Checked
from datasets.checking.faults import ERROR, KINDS, WARNING
from datasets.checking.tally import SIDES, Draws, Tally
from evaluation import pages
from evaluation.data_pictures import Album, Panels
from evaluation.pages import css_color, data_uri
from utils.names import shown, valid
from utils.plural import counted, percent

NAME = "check_data.html"
LISTED, DRAWN = 12, 3  # faults of a kind that the page names, and of those that it shows
ROW, LEFT, RIGHT, CELL, TOP = 26, 150, 14, 26, 8  # of the chart of object sizes, pixels


@dataclass(frozen=True)
class DataReport:
    """All that the page shows. `samples`: some items, for the eye; `draws`: of training, with the share; `usual`:
    mean and deviation that the run normalizes by; `root`: the folder that paths on the page start from.
    """

    title: str
    command: str
    date: str
    checked: Checked
    album: Album
    samples: Sequence[Item]
    draws: Sequence[Draws]
    share: float
    usual: tuple[Sequence[float], Sequence[float]]
    file_of_all: str
    root: str = ""

    def short(self, text: str) -> str:
        """Write a text with paths on one line, those below the root from there on."""
        return shown(text.replace(self.root.rstrip("/") + "/", "") if self.root else text)


class Section(NamedTuple):
    """A kind of fault on the page."""

    severity: str
    kind: str
    title: str
    cure: str
    count: int
    rows: list[tuple[str, str, str]]
    more: int
    pictures: list[tuple[str, list[tuple[str, str, str]]]]


def render(data: DataReport) -> str:
    """Write the page as text."""
    checked = data.checked
    view: dict[str, Any] = {
        "data": data,
        "verdict": verdict(checked),
        "state": checked.faults.verdict,
        "tiles": tiles(checked),
        "sections": [section(data, kind) for kind in checked.faults.kinds()],
        "values": [(value, f"{v.files:,}", f"{v.pixels:,}") for value, v in list(checked.values.items())[:40]],
        "splits": list(checked.tallies),
        "classes": class_rows(checked),
        "sizes": Markup(size_chart(checked)),
        "sampling": sampling_rows(data) if data.draws else [],
        "light": [light_row(name, *tally.mean_and_deviation()) for name, tally in checked.tallies.items()],
        "usual": light_row("this run", *(np.array(x) for x in data.usual)),
        "samples": [(shown(item.name), _panels(item.name, data.album.of_item(item))) for item in data.samples],
        "share": f"{100 * data.share:.0f} %",
    }
    return valid(pages.render("check_data.html.j2", view))


def verdict(checked: Checked) -> str:
    """Write the verdict: what was found, and what it means."""
    errors, warnings = checked.faults.total(ERROR), checked.faults.total(WARNING)
    accepted = checked.faults.total("accepted")
    parts = [counted(errors, "error")] * bool(errors) + [counted(warnings, "warning")] * bool(warnings)
    parts += [f"{accepted} accepted"] * bool(accepted)
    return f"{checked.faults.verdict}: {', '.join(parts)}" if parts else "fine: nothing was found"


def tiles(checked: Checked) -> list[tuple[str, str]]:
    """Give (name, value) of the summary on top."""
    found = [(f"{name} images", f"{tally.listed:,}") for name, tally in checked.tallies.items()]
    found.append(("classes", str(checked.spec.num_classes)))
    sizes: dict[tuple[int, int], int] = {}
    for tally in checked.tallies.values():
        for size, count in tally.sizes.items():
            sizes[size] = sizes.get(size, 0) + count
    if sizes:
        (height, width), _ = max(sizes.items(), key=lambda one: one[1])
        found.append(("size" if len(sizes) == 1 else f"usual of {len(sizes)} sizes", f"{width} x {height}"))
    found += [(f"{name}, ignored", f"{percent(tally.ignored)} %") for name, tally in checked.tallies.items()]
    return found


def section(data: DataReport, kind: str) -> Section:
    """Make the part of a kind of fault: its first files, some of them with pictures."""
    faults, row = data.checked.faults, KINDS[kind]
    kept = faults.kept[kind]
    pictures: list[tuple[str, list[tuple[str, str, str]]]] = []
    for fault in kept[:LISTED]:
        if len(pictures) < DRAWN and (panels := data.album.of_fault(fault)):
            pictures.append((data.short(fault.file), _panels(fault.file, panels)))
    rows = [(fault.split, data.short(fault.file), data.short(fault.what)) for fault in kept[:LISTED]]
    count = faults.counts[kind]
    return Section(faults.severity(kind), kind, row.title, row.cure, count, rows, max(0, count - len(rows)), pictures)


def _panels(name: str, found: Panels) -> list[tuple[str, str, str]]:
    """Give (caption, alternative text, data URI) of pictures."""
    return [(caption, f"{caption}: {shown(name)}", data_uri(data)) for caption, data in found.items()]


def class_rows(checked: Checked) -> list[dict[str, Any]]:
    """Give what each class has in each split, the frequent first: shares as bars, images, objects, their size."""
    spec, tallies = checked.spec, list(checked.tallies.values())
    shares = [tally.shares for tally in tallies]
    most = max((float(one.max()) for one in shares), default=1.0) or 1.0
    order = np.argsort(-shares[0], kind="stable") if shares else range(0)
    return [
        {
            "name": spec.classes[k],
            "color": css_color(spec.palette[k]),
            # The root, so that rare classes are seen.
            "bars": [(f"{100 * np.sqrt(one[k] / most):.2f}", _share(one[k])) for one in shares],
            "cells": [cell for tally in tallies for cell in _cells(tally, k)],
        }
        for k in map(int, order)
    ]


def _cells(tally: Tally, k: int) -> list[str]:
    side = tally.object_sides()[k, 1]
    count = int(tally.objects[k].sum())
    return [f"{tally.images_with[k]:,}", f"{count:,}", f"{side:.0f}" if count else "-"]


def _share(share: float) -> str:
    """Write a share in percent, with two digits for rare ones."""
    return "-" if not share else f"{100 * share:.2f}" if share < 0.01 else f"{100 * share:.1f}"


def sampling_rows(data: DataReport) -> list[dict[str, str]]:
    """Give what class-uniform sampling does to each class, the rarest first."""
    spec = data.checked.spec
    order = sorted(range(len(data.draws)), key=lambda k: data.draws[k].without)
    return [
        {
            "name": spec.classes[k],
            "color": css_color(spec.palette[k]),
            "crops": f"{data.draws[k].crops:,}",
            "without": percent(data.draws[k].without),
            "drawn": percent(data.draws[k].drawn),
            "low": f"{100 * min(data.draws[k].without, data.draws[k].drawn):.2f}",
            "gain": f"{100 * abs(data.draws[k].drawn - data.draws[k].without):.2f}",
        }
        for k in order
    ]


def light_row(name: str, mean: np.ndarray, deviation: np.ndarray) -> tuple[str, str, str]:
    """Give (name, mean, deviation) of the channels as options take them."""
    return name, ", ".join(f"{x:.3f}" for x in mean), ", ".join(f"{x:.3f}" for x in deviation)


def size_chart(checked: Checked) -> str:
    """Draw how large the objects of each class are in training: a row a class, darker where more of them are."""
    spec, tally = checked.spec, next(iter(checked.tallies.values()), None)
    if tally is None or not tally.objects.any():
        return ""
    used = np.flatnonzero(tally.objects.any(0))
    last = min(SIDES, int(used.max()) + 1)
    order = [int(k) for k in np.argsort(-tally.shares, kind="stable") if tally.objects[k].any()]
    left = LEFT if max(len(spec.classes[k]) for k in order) < 22 else 2 * LEFT
    width, height = left + last * CELL + RIGHT, TOP + len(order) * ROW + 30
    label = "Objects by size: a row a class, the side of a square as large in pixels"
    parts = [f'<svg class="sizes" viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{label}">']
    for row, k in enumerate(order):
        y = TOP + row * ROW
        name = html.escape(valid(spec.classes[k]))
        parts.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{name}</text>')
        parts.append(f'<rect class="row" x="{left}" y="{y}" width="{last * CELL}" height="{ROW - 4}"/>')
        parts += _strip(tally.objects[k, :last], left, y, css_color(spec.palette[k]))
    for octave in range(0, last + 1, 2):
        x = left + octave * CELL
        parts.append(f'<text x="{x}" y="{height - 12}" text-anchor="middle">{2 ** (octave // 2)}</text>')
    return "".join([*parts, "</svg>"])


def _strip(objects: np.ndarray, left: int, y: int, color: str) -> list[str]:
    """Draw the row of a class: bars as high as the root of their share of its objects."""
    found = []
    for place in np.flatnonzero(objects).tolist():
        share = objects[place] / objects.sum()
        tall = max(1.5, (ROW - 4) * float(np.sqrt(share / (objects.max() / objects.sum()))))
        tip = f"{objects[place]:,} objects, {100 * share:.1f} %"
        at = f'x="{left + place * CELL + 0.5}" y="{y + ROW - 4 - tall:.1f}" width="{CELL - 1}" height="{tall:.1f}"'
        found.append(f'<rect class="bin" {at} fill="{color}"><title>{tip}</title></rect>')
    return found
