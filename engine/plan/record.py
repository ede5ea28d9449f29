"""A plan's files in a run folder: `plan.yaml`, options with their reasons, and `plan.json`, for the report."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import config
from engine.meter import duration
from engine.plan.rules import Choice
from utils import textfile
from utils.errors import UserError
from utils.files import write_file

OPTIONS_FILE, FIGURES_FILE = "plan.yaml", "plan.json"


class Figures(NamedTuple):
    """What a plan expects: seconds of training without validations, and GiB of one process at their most."""

    seconds: float
    peak_gib: float


def write(folder: Path, choices: Sequence[Choice], figures: Figures, said: Mapping[str, Any], command: str) -> Path:
    """Write both files; gives the one for --cfg. `said`: {key: value} that was not planned, of `command`."""
    head = (
        f"Planned by --auto on {time.strftime('%Y-%m-%d')} for: {command}",
        f"Expected: {duration(figures.seconds)} of training without validations, {figures.peak_gib:.1f} GiB of memory.",
        "Flags on a command line win over this file.",
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / FIGURES_FILE, json.dumps({"said": said, **figures._asdict()}).encode())
    write_file(folder / OPTIONS_FILE, yaml_text(choices, head).encode())
    return folder / OPTIONS_FILE


def yaml_text(choices: Sequence[Choice], head: Sequence[str] = ()) -> str:
    """Write choices as an options file, nested, a comment with the reason above each."""
    lines = [f"# {' '.join(line.split())}" for line in head]
    tree: dict[str, Any] = {}
    for choice in choices:
        *parents, leaf = choice.key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = choice
    return "\n".join([*lines, *_lines(tree, "")]) + "\n"


def _lines(tree: Mapping[str, Any], indent: str) -> list[str]:
    found: list[str] = []
    for name, node in tree.items():
        if isinstance(node, Choice):
            written = json.dumps(config.OPTIONS[node.key].written(node.value))
            found += [f"{indent}# {' '.join(node.reason.split())}", f"{indent}{name}: {written}"]
        else:
            found += [f"{indent}{name}:", *_lines(node, f"{indent}  ")]
    return found


def earlier(folder: Path, said: Mapping[str, Any], resumes: bool) -> Path | None:
    """Find the plan that an earlier start with the same options has left in its folder, or one that `resumes` its run.

    UserError for another file of that name, which stays.
    """
    path = folder / OPTIONS_FILE
    if not path.exists():
        return None
    content = _content(folder)
    if content is not None and (resumes or content.get("said") == said):
        return path
    raise UserError(f"--auto: {path} is there, of other options: delete it to plan anew, or give another --result_dir")


def _content(folder: Path) -> dict[str, Any] | None:
    """Read the figures' file; None where there is none. UserError for another one of that name."""
    path = folder / FIGURES_FILE
    if not path.is_file():
        return None
    try:
        content = textfile.read_json(path)
        return content | {name: float(content[name]) for name in Figures._fields}
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is no plan of --auto: delete it, or give another --result_dir") from None


def beside_measured(folder: Path, costs: Sequence[Mapping[str, float]]) -> list[tuple[str, str]]:
    """Tell planned beside measured time and memory, as facts of a report; nothing where nothing was planned.

    `costs`: the rows `cost` of the run's curves, one an epoch.
    """
    content = _content(folder) if costs else None
    if content is None:
        return []
    seconds, peak = sum(row["seconds"] for row in costs), max(row["peak_gib"] for row in costs)
    return [
        ("training, planned / measured", f"{duration(content['seconds'])} / {duration(seconds)}"),
        ("memory, planned / measured", f"{content['peak_gib']:.1f} / {peak:.1f} GiB"),
    ]
