"""How the runs of a sweep are doing: state, epoch, best score, and what the failed ones said last.

python scripts/sweep_status.py EXPERIMENT      a folder of runs, or its name below LOGROOT of .runx

States: waiting (written, not submitted), queued, running, requeued, stopped, failed, done. A run without a job that
has not ended counts as failed once it has been silent for an hour. The exit code is 1 if a run has failed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.log import RunLog
from slurm.submit import RECORD, read_job_id
from utils import textfile, yamlfile
from utils.cli import exit_code, start
from utils.errors import UserError, nearest

STOPPED = {130, 138, 143}  # 128 + INT, USR1, TERM: saved and ended as asked
ENDINGS = {"report:": "done", "stopped as asked": "stopped", "error:": "failed"}  # by the last line of a log
SILENT = 3600  # seconds
# Lines that say why: ours, Python's (torchrun puts the rank before them), the kernel's.
ERROR = re.compile(r"^(?:\[\w+\]: )?(?:error: |[\w.]*(?:Error|Exception)\b)|\bout of memory\b|\boom.kill", re.I)
NO_CAUSE = re.compile(r"ChildFailedError|^srun: error: .*(?:Exited|task)", re.I)
STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")


class Status(NamedTuple):
    """A row of the printed table: what is known of a run."""

    run: str
    state: str
    job: str
    epoch: str
    best: str
    says: str


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; gives the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if len(argv) != 1 or argv[0].startswith("-"):
        print(__doc__)
        return 0 if argv in (["--help"], ["-h"]) else 2
    return exit_code(lambda: show(survey(experiment(argv[0]), queue())))


def show(rows: Sequence[Status]) -> int:
    """Print the table; gives 1 if a run has failed, else 0."""
    print(table(rows))
    return int(any(row.state == "failed" for row in rows))


def survey(folder: Path, jobs: Mapping[str, str] | None) -> list[Status]:
    """Make a row for each run of an experiment; `jobs`: {job: state} of the queue, None where there is no Slurm."""
    runs = sorted(path for path in folder.iterdir() if is_run(path))
    if not runs:
        raise UserError(f"{folder} holds no runs")
    return [status(run, jobs) for run in runs]


def is_run(path: Path) -> bool:
    """Tell whether runx, submit_job or train.py has written something there."""
    return any((path / name).exists() for name in (RECORD, "submit_cmd.sh", "train.log"))


def experiment(name: str) -> Path:
    """Find the folder that a name stands for: a path, or a name below LOGROOT."""
    if Path(name).is_dir():
        return Path(name)
    if not Path(".runx").is_file():
        raise UserError(f"no folder {name}, and no .runx here that says where sweeps are")
    settings = yamlfile.load(".runx")
    root = Path(str(settings.get("LOGROOT") or ".") if isinstance(settings, dict) else ".")
    if not (root / name).is_dir():
        known = [path.name for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
        raise UserError(f"no experiment {name!r} in {root} (LOGROOT of .runx){nearest(name, known)}")
    return root / name


def queue() -> dict[str, str] | None:
    """Give {job: queued, requeued or running} as Slurm says; None where there is none that answers."""
    command = ["squeue", "-h", "-r", "-O", "JobArrayID:40,State:20,RestartCnt:10"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    jobs = {}
    for line in done.stdout.splitlines():
        job, state, restarts = line.split()
        waits = "requeued" if restarts != "0" else "queued"
        jobs[job] = waits if state in ("PENDING", "REQUEUED", "REQUEUE_HOLD") else "running"
    return jobs


def status(run: Path, jobs: Mapping[str, str] | None) -> Status:
    """Tell what the files of a run and the queue say of it."""
    job = read_job_id(run)
    state, says = state_of(run, jobs)
    log = RunLog(run, main=False)
    trained, scored = log.history("train"), log.history("val")
    last = max((row["epoch"] for row in [*trained, *scored]), default=None)
    best = max((row["mean_iu"] for row in scored if "mean_iu" in row), default=None)
    return Status(
        run.name,
        state,
        job,
        "" if last is None else f"{int(last) + 1}/{max_epoch(run)}" if trained else "eval",
        "" if best is None else f"{100 * best:.2f}",
        says,
    )


def state_of(run: Path, jobs: Mapping[str, str] | None) -> tuple[str, str]:
    """Give (state, last words) of a run."""
    job, log = read_job_id(run), lines(run / "train.log")
    if jobs and job in jobs:
        return jobs[job], ""
    code, said = ended_with(run), ending(log)
    if code == 0 or (code is not None and said == "done"):
        return "done", ""
    if code in STOPPED or (code and said == "stopped"):
        return "stopped", ""
    if code:
        return "failed", last_error(run, job) or f"exit code {code}"
    if job == "local" or not (job or (run / RECORD).exists()):
        return interactive(run, log)
    if not job:
        return "waiting", ""
    if jobs is None:
        return "unknown", "squeue does not answer here"
    return "failed", last_error(run, job) or "its end is not on record: killed, canceled, or its node was lost"


def ended_with(run: Path) -> int | None:
    """Tell what the batch script ended with; None if it has not ended, or has not been able to say so."""
    file = run / "exit_code"
    text = file.read_text(encoding="utf-8", errors="replace").strip() if file.is_file() else ""
    return int(text) if text.isdigit() else None


def ending(log: Sequence[str]) -> str:
    """Tell the state that the last line of a log tells of; empty where that is no end."""
    return next((state for words, state in ENDINGS.items() if log and log[-1].startswith(words)), "")


def interactive(run: Path, log: Sequence[str]) -> tuple[str, str]:
    """Give (state, last words) of a run that no job was made for."""
    if state := ending(log):
        return state, log[-1] if state == "failed" else ""
    if not log:
        return "failed", "it ended before it could open its log"
    silent = time.time() - (run / "train.log").stat().st_mtime
    return ("running", "") if silent < SILENT else ("failed", f"silent for {silent / 3600:.0f} h, without an end")


def last_error(run: Path, job: str) -> str:
    """Find the last line that says why a run ended: of what its job printed, else of the log."""
    task = "_" in job  # of an array, whose files stand beside the runs
    for file in ((run.parent if task else run) / f"slurm-{job}.out", run / "train.log"):
        found = [line for line in lines(file)[-400:] if ERROR.search(line) and not NO_CAUSE.search(line)]
        if found:
            return found[-1].strip()[:200]
    return ""


def lines(file: Path) -> list[str]:
    """Read the lines of a log without their time stamps; none if it is not there."""
    if not file.is_file():
        return []
    return [STAMP.sub("", line) for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]


def max_epoch(run: Path) -> str:
    """Read the number of epochs that a run was asked for."""
    try:
        return str(textfile.read_json(run / "hparams.json")["max_epoch"])
    except (OSError, ValueError, KeyError, TypeError):
        return "?"


def table(rows: Iterable[Status]) -> str:
    """Align columns under a heading; the last one takes what is left of the line."""
    cells = [("run", "state", "job", "epoch", "best mIoU %", "says"), *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(5)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[5]]).rstrip() for row in cells
    )


if __name__ == "__main__":
    sys.exit(start(main))
