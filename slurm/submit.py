"""What `slurm/submit_job` does: a batch script into the run folder, then sbatch; or many runs as one job array.

    submit_job --name NAME --logdir RUN --command 'torchrun --nproc_per_node=8 train.py ...' [--gpus 8 ...]
    submit_job --array EXPERIMENT [--limit N]

runx calls the first form, with RESOURCES of the experiment as further flags.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from slurm import script
from slurm.script import Cluster, Job, Resources
from utils.cli import exit_code, place_to_write
from utils.errors import UserError, nearest

RECORD = "job.json"  # in a run folder: name and resources of its job
JOB = "job_id"  # in a run folder: the job's number, once it has one; "local" if the script was run by hand
COLLECT = "STREETSCALE_COLLECT"  # environment: a file that takes the run folder instead of sbatch taking the job
SHELL = re.compile(r"[\s;&|<>()$`\"'*?\[\]{}\\]|^#")  # what a shell does not take literally
RUNX = re.compile(r"\s*cd (?P<code>\S+); PYTHONPATH=\S* +exec (?P<call>.*)", re.S)
NOT_SHARED = "/var/tmp/streetscale"  # LOGROOT of .runx as it comes: a folder that every machine has for itself


class _Parser(argparse.ArgumentParser):
    """argparse whose errors are one line of ours."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError in place of argparse's message and usage."""
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            names = [name for action in self._actions for name in action.option_strings]
            word = unknown.split()[0]
            if word.startswith("--"):
                message = f"unknown resource or flag {word}{nearest(word, names)} (submit_job --help lists them)"
            else:
                message = f"stray words {unknown!r}: runx does not quote, so no value and no path may hold blanks"
        raise UserError(message)


def parser() -> argparse.ArgumentParser:
    """Make the flags of submit_job; those of `Resources` are what RESOURCES of an experiment may name."""
    flags = _Parser(prog="submit_job", description=__doc__, allow_abbrev=False)
    flags.formatter_class = argparse.RawDescriptionHelpFormatter
    flags.add_argument("--name", help="name of the job")
    flags.add_argument("--command", help="line for the shell that the job runs")
    flags.add_argument("--logdir", type=place_to_write, help="run folder (or gcf_log in it, as runx says)")
    flags.add_argument(
        "--array", type=Path, metavar="EXPERIMENT", help="submit the waiting runs of this folder at once"
    )
    flags.add_argument("--limit", type=int, default=0, help="with --array: runs at a time; 0: all")
    flags.add_argument("--cluster", type=Path, default=script.SETTINGS, help="settings of the cluster")
    flags.add_argument("--dry_run", action="store_true", help="print the batch script, write and submit nothing")
    for each in dataclasses.fields(Resources):
        names = [f"--{name}" for name in (each.name, *each.metadata.get("also", ()))]
        kind = int if isinstance(each.default, int) else str
        flags.add_argument(*names, type=kind, default=None, help=each.metadata["help"], dest=each.name)
    return flags


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; gives the exit code."""

    def work() -> None:
        args = parser().parse_args(argv)
        cluster = script.read_cluster(args.cluster)
        if args.array:
            submit_array(args.array, args.limit, dry_run=args.dry_run)
        else:
            submit_run(read_job(args, cluster), cluster, args.dry_run)

    return exit_code(work)


def read_job(args: argparse.Namespace, cluster: Cluster) -> Job:
    """Give the job that a command line describes."""
    for name in ("name", "command", "logdir"):
        if not getattr(args, name):
            raise UserError(f"--{name} is missing (submit_job --help)")
    asked = resources(args, cluster)
    check_runx(args.command, args.logdir)
    if asked.tasks > 1 and re.search(r"\btorchrun\b|\btorch\.distributed\b", args.command):
        raise UserError(f"--tasks {asked.tasks}: torchrun starts the processes of a node itself, from one task")
    run = (args.logdir.parent if args.logdir.name == "gcf_log" else args.logdir).resolve()
    evaluates = bool(re.search(r"\s--eval[\s=]|\sEVAL\.MODE\s", args.command))
    if evaluates and any(run.glob("last_checkpoint_ep*.pth")):
        raise UserError(f"{run} holds a training: give its evaluation a --logdir of its own")
    return Job(args.name, run, args.command, evaluates, asked, script.environment(cluster))


def resources(args: argparse.Namespace, cluster: Cluster) -> Resources:
    """Tell what a command line asks for, beside what the cluster's settings say."""
    given = {f.name: getattr(args, f.name) for f in dataclasses.fields(Resources)}
    asked = {**cluster.resources, **{name: value for name, value in given.items() if value is not None}}
    check_time(str(asked.get("time", "")))
    for name, least in (("nodes", 1), ("tasks", 1), ("gpus", 0), ("cpus", 0)):
        if asked.get(name, least) < least:
            raise UserError(f"--{name} {asked[name]}: at least {least}")
    return Resources(**asked)


def check_time(text: str) -> None:
    """Raise UserError for a bare number that is probably a time of day which YAML has turned into seconds."""
    if text.isdigit() and int(text) >= 60:
        raise UserError(
            f'--time {text}: write hours, minutes, seconds in quotes, "24:00:00" (bare, YAML counts seconds)'
        )


def check_plain(what: str, value: Any) -> None:
    """Raise UserError for a value that runx, which does not quote, would hand to a shell as something else."""
    found = SHELL.search(str(value))
    if found:
        kind = "a blank" if found[0].isspace() else found[0]
        raise UserError(f"{what} {str(value)!r}: runx does not quote, so no value may hold {kind}")


def check_runx(command: str, logdir: Path) -> None:
    """Raise UserError if runx made this command out of something that it would have had to quote, or write in full."""
    runx = RUNX.fullmatch(command)
    if not runx:
        return
    if not logdir.is_absolute():
        raise UserError(f"LOGROOT in .runx is relative ({logdir}): runx changes its folder, write an absolute path")
    check_shared(logdir)
    before = ""
    for word in runx["call"].partition("train.py")[2].split():
        check_plain(before, word)
        if before and not before.startswith("--") and not word.startswith("--"):
            raise UserError(f"{before} {word}: one value with a blank in it; runx does not quote, write it without")
        before = word


def check_shared(folder: Path) -> None:
    """Raise UserError for the LOGROOT that `.runx` comes with."""
    if folder.is_relative_to(NOT_SHARED):
        raise UserError(f"LOGROOT in .runx is {NOT_SHARED}: set it to a folder that all nodes of the cluster see")


def submit_run(job: Job, cluster: Cluster, dry_run: bool) -> None:
    """Submit one run: its script, its record, sbatch."""
    if dry_run:
        print(script.render(job, cluster), end="")
        return
    script.write(job, cluster)
    record = {"name": job.name, "resources": dataclasses.asdict(job.resources)}
    (job.run / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (job.run / JOB).unlink(missing_ok=True)
    if COLLECT not in os.environ:
        submit_written(job.run)
        return
    with open(os.environ[COLLECT], "a", encoding="utf-8") as stream:
        stream.write(f"{job.run}\n")


def submit_written(run: Path) -> None:
    """Submit a run whose script stands."""
    (run / JOB).write_text(sbatch(run / script.NAME) + "\n", encoding="utf-8")


def submit_array(experiment: Path, limit: int, runs: Sequence[Path] = (), dry_run: bool = False) -> None:
    """Submit `runs` of an experiment, or all that wait, as one job array, `limit` at a time."""
    if limit < 0:
        raise UserError(f"--limit {limit}: runs at a time, 0 for all")
    experiment = experiment.resolve()
    if not runs:
        runs = [file.parent for file in sorted(experiment.glob(f"*/{RECORD}")) if not read_job_id(file.parent)]
    if not runs:
        raise UserError(f"{experiment} holds no run that waits to be submitted")
    heads = [directives_of(run) for run in runs]
    if any(head != heads[0] for head in heads):
        raise UserError(f"the runs in {experiment} ask for different resources: an array has the same for all")
    text = script.render_array(experiment, runs, heads[0], limit)
    if dry_run:
        print(text, end="")
        return
    file = experiment / script.ARRAY
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    file.chmod(0o755)
    job = sbatch(file)
    for task, run in enumerate(runs):
        (run / JOB).write_text(f"{job}_{task}\n", encoding="utf-8")


def directives_of(run: Path) -> list[str]:
    """`#SBATCH` lines of a run's script that an array of runs shares."""
    own = ("#SBATCH --job-name", "#SBATCH --output")
    text = (run / script.NAME).read_text(encoding="utf-8", errors="surrogateescape")
    return [line for line in text.splitlines() if line.startswith("#SBATCH ") and not line.startswith(own)]


def sbatch(file: Path) -> str:
    """Hand a script to Slurm; gives the job's number. UserError, with Slurm's own words, if it is refused."""
    if not shutil.which("sbatch"):
        raise UserError(f"sbatch is not on the PATH: submit {file} from a login node, or run it here with bash")
    done = subprocess.run(["sbatch", "--parsable", str(file)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.replace("sbatch: error: ", "").split())
        raise UserError(f"sbatch refuses {file}: {said}")
    job = done.stdout.strip().partition(";")[0]
    print(f"submitted job {job}: {file}")
    return job


def read_job_id(run: Path) -> str:
    """Give the number of a run's job; empty if it waits, or was started otherwise, and for what can be no job: it
    becomes a word of Slurm's commands and a part of a file's name.
    """
    file = run / JOB
    text = file.read_text(encoding="utf-8", errors="replace").strip() if file.is_file() else ""
    return text if re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_+.]*", text) else ""
