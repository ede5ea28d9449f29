"""The folder of a run: what stands in it is of this run alone."""

from __future__ import annotations

import math
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from engine import curves
from engine.runlock import NAME, FolderLock
from engine.trackers import IDS
from utils.errors import UserError

CHECKPOINTS = "*checkpoint_ep*.pth"
# Files that tell of a run's results, and those that go with them. Folders are left: their names are anybody's.
RESULTS = (CHECKPOINTS, "events.out.tfevents.*", "report.html", "confusion.csv", "per_image.csv", "conditions.csv")
BESIDE = ("*checkpoint_ep*.pth.part", "*checkpoint_ep*.pth.tmp*", "metrics.csv", "hparams.json", "train.log", IDS)
SCRIPTS, SUBMITTED = ("train_cmd.sh", "submit_cmd.sh"), "job.json"
_SHOWN = 4


def enter(
    folder: Path, lock: FolderLock, command: str, mode: str, start: Path | None, resumes: bool, part: str = ""
) -> tuple[Path, list[str]]:
    """Take the folder of a run, alone, and set aside what is not of it. Gives where it writes, and lines for its log.

    `mode`: of an evaluation, else empty; `start`, `resumes`: the checkpoint to start from, and whether to continue it;
    `part`: names one of several evaluations that share a folder. UserError where another run is in it, or where the
    new run's checkpoints would take the place of the one that it starts from.
    """
    folder = place(folder, mode)
    within = start is not None and start.resolve().parent == folder.resolve()
    notes = [lock.take(folder, command, f"{part}.{NAME}" if part else NAME)]
    if start is not None and within and not resumes and start.match(CHECKPOINTS):
        lock.release()
        raise UserError(f"{start} stands where the new run's checkpoints will: move it, or give another --result_dir")
    if not part and not (within and resumes):
        notes.append(start_clean(folder))
    return folder, [note for note in notes if note]


def place(folder: Path, mode: str) -> Path:
    """Tell where an evaluation `mode` writes: beside a training, in a folder below it. Empty: a training."""
    trained = any(folder.glob(CHECKPOINTS)) or any(row.phase == "train" for row in curves.rows(folder))
    return folder / f"eval_{mode}" if mode and trained else folder


def start_clean(folder: Path) -> str:
    """Set aside what an earlier run has left, since its scores and curves are not those of a new one. Gives a line.

    A start that failed before its first result leaves nothing to set aside. UserError and OSError as moving gives them.
    """
    if not any(_found(folder, *RESULTS)) and all(row.phase == "start" for row in curves.rows(folder)):
        if (folder / "metrics.csv").is_file():
            (folder / "metrics.csv").unlink()  # the time of that start
        if (folder / IDS).is_file():
            (folder / IDS).unlink()  # what was tracked of it is its own
        return ""
    scripts = () if (folder / SUBMITTED).exists() else SCRIPTS  # else they are of the job that runs
    files = list(_found(folder, *RESULTS, *BESIDE, *scripts))
    return f"{folder} has files of an earlier run, which are no part of this one: {_set_aside(folder, files)}"


def go_back(folder: Path, start: Path, epoch: int, step: int) -> str:
    """Take out what came after the checkpoint `start` (`epoch` finished, `step` of the curves). Gives a line or none.

    What is made again is dropped. Scores and checkpoints of later epochs are set aside. A score whose best checkpoint
    was still being written when the run was killed goes, so that the epoch is validated again.
    """
    own = [f"{kind}checkpoint_ep*.pth" for kind in ("last_", "best_", "")]
    later = [file for file in _found(folder, *own) if _number(file) > epoch and not file.samefile(start)]
    kept = (folder / "metrics.csv").read_bytes() if (folder / "metrics.csv").is_file() else b""
    again = start.name == f"last_checkpoint_ep{epoch}.pth" and _lacks_best(folder, epoch)
    lines = [f"epoch {epoch} is validated again: its best checkpoint was not written"] if again else []
    if later or any(row.phase == "val" and row.epoch > epoch for row in curves.rows(folder)):
        lines.append(f"goes back to epoch {epoch}, and does the later ones again: {_set_aside(folder, later, kept)}")
    curves.cut_rows(folder, epoch, again)  # behind that: a kill between the two loses no score
    scored = any(row.phase == "val" and row.epoch == epoch for row in curves.rows(folder))
    points = curves.cut_events(folder, epoch, step, validation=not scored)
    if points:
        lines.append(f"{points} points of tensorboard's curves came after the checkpoint: taken out, they come again")
    return "\n".join(lines)


def _lacks_best(folder: Path, epoch: int) -> bool:
    """Tell whether the score of `epoch` is the best so far, and its checkpoint is not there."""
    scores = {row.epoch: row.values.get("mean_iu", math.nan) for row in curves.rows(folder) if row.phase == "val"}
    own, earlier = scores.get(epoch, math.nan), [x for e, x in scores.items() if e < epoch and math.isfinite(x)]
    return own >= max(earlier, default=0.0) and not (folder / f"best_checkpoint_ep{epoch}.pth").exists()


def _found(folder: Path, *patterns: str) -> Iterator[Path]:
    return (file for pattern in patterns for file in sorted(folder.glob(pattern)) if file.is_file())


def _number(file: Path) -> int:
    found = re.search(r"_ep(\d+)\.pth$", file.name)
    return int(found[1]) if found else -1


def _set_aside(folder: Path, files: list[Path], metrics: bytes = b"") -> str:
    """Write `metrics` into a new folder below that of the files, and move these there. Gives some text on it."""
    aside = _unused(folder / time.strftime("before-%Y%m%d-%H%M%S"))
    aside.mkdir()
    if metrics:
        (aside / "metrics.csv").write_bytes(metrics)
    for file in files:
        shutil.move(file, aside / file.name)
    names = [file.name for file in files] + ["metrics.csv as it was"] * bool(metrics)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"set aside in {aside}: {', '.join(names[:_SHOWN])}{more}"


def _unused(path: Path) -> Path:
    number = 2
    while path.exists():
        path, number = path.with_name(f"{path.name.partition('_')[0]}_{number}"), number + 1
    return path
