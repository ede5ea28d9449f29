"""Runs that are compared: their checkpoints, what these record of their training, and which are seeds of one recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import config
from network.weights import layouts, safe_load
from network.weights.checksum import is_ours
from network.weights.metadata import WEIGHT_FILES
from utils import digest, runfolders
from utils.errors import UserError, nearest

# What a run is started with that an evaluation of it says anew.
_OF_THE_START = ("RESULT_DIR", "SNAPSHOT", "RESUME", "EVAL.MODE", "EVAL.FOLDER", "EVAL.LABELS", "LOSS.TEACHER")
_OF_THE_START += (
    "EVAL.NO_METRICS",
    "EVAL.SCALE_TABLE",
    "EVAL.LOG_MSINF_TO_TB",
    "EVAL.VISUALIZE",
    "DATASET.MAP_CLASSES",
)
_OF_THE_START += ("DATASET.CACHE_DECODED",)  # nothing is written where a file says
_OF_THE_START += ("TRAIN.LOCAL_RANK", "TRAIN.GLOBAL_RANK", "TRAIN.RESTORE_OPTIMIZER", "TRAIN.RESTORE_NET")
_STARTS = ("OPTIONS.", "EVAL.DUMP_")
# What makes no other recipe: the seed, places, and what is said or kept on the way.
_NO_RECIPE = ("SEED", "ASSETS_PATH", "RESULT_DIR", "RESUME", "DATASET.ROOT", "DATASET.CENTROID_ROOT")
_NO_RECIPE += ("DATASET.CACHE_DECODED", "TRAIN.ASYNC_SAVE")
_NO_RECIPE += ("DATASET.NUM_WORKERS", "TRAIN.LOG_EVERY", "TRAIN.SAVE_EVERY", "TRAIN.LOCAL_RANK", "TRAIN.GLOBAL_RANK")
_NO_RECIPE += ("TRAIN.CHANNELS_LAST", "TRAIN.COMPILE", "EVAL.BATCH_SIZE", "EVAL.MEMORY_GB", "DATASET.DUMP_IMAGES")


@dataclass(frozen=True)
class RecordedRun:
    """A run by one of its checkpoints: its folder, the file, what that records; `note`: what was chosen for want of a
    better, for the log.
    """

    folder: Path
    checkpoint: Path
    classes: tuple[str, ...]
    options: Mapping[str, Any]
    digest: str
    name: str = ""
    note: str = field(default="", compare=False)

    @property
    def recipe(self) -> dict[str, Any]:
        """What the training was told, but for the seed, and what changes no number."""
        values = config.as_written(config.defaults()) | config.as_written(self.options)
        assets = str(values["ASSETS_PATH"]).rstrip("/") + "/"
        kept = {key: value for key, value in values.items() if not _is_apart(key)}
        return {k: v.replace(assets, "ASSETS_PATH/") if isinstance(v, str) else v for k, v in kept.items()}

    def start_options(self) -> dict[str, Any]:
        """Give {key: value} that an evaluation takes from the record: all but those of the start."""
        left_out = {*_OF_THE_START, *WEIGHT_FILES}
        return {k: v for k, v in self.options.items() if k not in left_out and not k.startswith(_STARTS)}


def _is_apart(key: str) -> bool:
    return key in _NO_RECIPE or key.startswith(_STARTS) or key.endswith("_DIR")


def read(place: Path, snapshot: str = "") -> RecordedRun:
    """Read a run by its folder, or by a checkpoint in it. `snapshot`: the name, or pattern, of the one to take in a
    folder; else the best one, and where there is none yet, the last one. UserError for what is no run of ours.
    """
    path, note = (place, "") if place.is_file() else _checkpoint(place, snapshot)
    content = safe_load.read(path)
    if not is_ours(content) or not isinstance(content.get("config"), Mapping):
        raise UserError(
            f"{path} does not record its training, so there is nothing to compare it by: give a run of ours"
        )
    names = tuple(map(str, content.get("class_names") or ()))
    return RecordedRun(path.parent, path, names, content["config"], digest.of_files(layouts.files(path)), note=note)


def _checkpoint(folder: Path, snapshot: str) -> tuple[Path, str]:
    """Choose the checkpoint of a folder, with a line where it is not the best one."""
    if not folder.is_dir():
        siblings = [path.name for path in folder.parent.glob("*") if path.is_dir()] if folder.parent.is_dir() else []
        raise UserError(f"{folder}: there is no such run folder{nearest(folder.name, siblings)}")
    if snapshot:
        return _named(folder, snapshot), ""
    path, note = runfolders.checkpoint_in(str(folder))
    if not note:
        below = runfolders.runs_below(folder)
        raise UserError(f"{folder} has no checkpoint: give a folder that a training wrote{below}")
    return Path(path), "" if Path(path).match(runfolders.BEST) else note


def _named(folder: Path, snapshot: str) -> Path:
    """Find the one checkpoint of a folder that is called so."""
    found = sorted(folder.glob(snapshot))
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:4])
        raise UserError(f"{folder}: {len(found)} checkpoints are called {snapshot} ({names}): give the name of one")
    if not found:
        known = [path.name for path in sorted(folder.glob("*.pth"))]
        raise UserError(f"{folder} has no checkpoint {snapshot}{nearest(snapshot, known)}: give the name of one")
    return found[0]


def named(runs: Sequence[RecordedRun]) -> list[RecordedRun]:
    """Give each run the shortest end of its path that no other has. UserError for one checkpoint twice."""
    places = [run.checkpoint.resolve() for run in runs]
    by_digest: dict[str, RecordedRun] = {}
    for run in runs:
        other = by_digest.setdefault(run.digest, run)
        if other is not run:
            raise UserError(f"{other.checkpoint} and {run.checkpoint} are the same checkpoint: give two trainings")
    found = []
    for run, place in zip(runs, places, strict=True):
        shared = sum(run.checkpoint.resolve().parent == other.parent for other in places) > 1
        parts = place.parts if shared else place.parent.parts
        rest = [other.parts if shared else other.parent.parts for other in places if other != place]
        most = max(len(parts), 1)
        tail = next((n for n in range(1, most) if all(parts[-n:] != other[-n:] for other in rest)), most)
        found.append(replace(run, name="/".join(parts[-tail:]).removesuffix(".pth")))
    return found


@dataclass(frozen=True)
class Recipe:
    """Runs of one recipe, which differ by their seed at most."""

    name: str
    runs: Sequence[RecordedRun]


def grouped(runs: Sequence[RecordedRun]) -> list[Recipe]:
    """Put runs of one recipe together, in the order of their first ones. Where all are of one recipe, each is by
    itself: seeds are compared then.
    """
    groups: list[tuple[dict[str, Any], list[RecordedRun]]] = []
    for run in runs:
        recipe = run.recipe
        mine = next((members for other, members in groups if other == recipe), None)
        if mine is None:
            groups.append((recipe, [run]))
        else:
            mine.append(run)
    if len(groups) == 1:
        return [Recipe(run.name, [run]) for run in runs]
    return [Recipe(_name(members, runs), members) for _, members in groups]


def _name(members: Sequence[RecordedRun], runs: Sequence[RecordedRun]) -> str:
    """Name several runs by the folder that they, and none of the other `runs`, lie in; else by the first."""
    parents = {run.folder.resolve().parent for run in members}
    others = {run.folder.resolve().parent for run in runs if run not in members}
    return parents.pop().name if len(members) > 1 and len(parents) == 1 and not parents & others else members[0].name


def notes(recipes: Sequence[Recipe]) -> Iterator[str]:
    """Tell of what was chosen, and of seeds that are none."""
    for recipe in recipes:
        yield from filter(None, (run.note for run in recipe.runs))
        seeds = [run.options.get("SEED", 0) for run in recipe.runs]
        if len({*seeds}) < len(seeds):
            yield f"warning: {recipe.name} has several runs of one seed: their spread is not that between seeds"


def changes(first: Recipe, other: Recipe) -> list[tuple[str, str, str]]:
    """Give (option, its value there, here) of what two recipes were told differently."""
    a, b = first.runs[0].recipe, other.runs[0].recipe
    keys = [key for key in a if a[key] != b.get(key)]
    return [(config.OPTIONS[key].name, str(a[key]), str(b[key])) for key in keys]
