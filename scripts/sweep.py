"""runx with a check before and an exit code after; the package itself stays as it is.

python scripts/sweep.py scripts/X.yml [-i] [-n] [--limit N] [--farm FARM] [--tag TAG] [-c FILE]

Before: settings, farm, values that runx would not quote, resources, sbatch. Then `python -m runx.runx` with the same
words. A sweep is submitted whole or not at all; with --limit N as one job array of at most N runs at a time.
With -i the runs go one after another on this machine, and the exit code is 1 if one of them failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import yaml

from scripts import sweep_check, sweep_status
from slurm import submit
from slurm.script import Cluster, Resources
from utils import textfile, yamlfile
from utils.cli import exit_code, start
from utils.errors import UserError, nearest

ROOT = Path(__file__).resolve().parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Check, run runx, check again; gives the exit code."""
    args = parser().parse_args(argv)

    def work() -> int:
        check_flags(args)
        settings = read_settings(args.config_file, args.farm)
        read_experiment(args.experiment, settings)
        if not args.interactive:
            check_farm(settings)
        if args.no_run:
            return runx(args, settings)
        return run_here(args, settings) if args.interactive else submit_all(args, settings)

    return exit_code(work, stopped="scripts/sweep_status.py tells what has been started")


def parser() -> argparse.ArgumentParser:
    """Make the flags, under the names that runx gives them."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("experiment", type=Path)
    flags.add_argument("-i", "--interactive", action="store_true", help="run here, one after another")
    flags.add_argument("-n", "--no_run", action="store_true", help="print the commands only")
    flags.add_argument("--limit", type=int, default=0, help="one job array, so many runs at a time")
    flags.add_argument("--farm", help="farm of the settings, instead of FARM")
    flags.add_argument("--tag", help="in front of the runs' names")
    flags.add_argument("--exp_name", help="name of the experiment; the file's otherwise")
    flags.add_argument("-c", "--config_file", type=Path, help="settings; .runx here or ~/.config/runx.yml otherwise")
    return flags


def check_flags(args: argparse.Namespace) -> None:
    """Raise UserError for flags that contradict each other, or that runx would not quote."""
    if args.limit < 0 or (args.limit and args.interactive):
        raise UserError(f"--limit {args.limit}: runs at a time of a job array, 0 for all; -i runs one after another")
    for name in ("tag", "exp_name"):
        submit.check_plain(f"--{name}", getattr(args, name) or "")


def read_settings(given: Path | None, farm: str | None) -> dict[str, Any]:
    """Read runx's settings with those of the farm put in, LOGROOT absolute. UserError for what runx would trip over."""
    places = [given] if given else [Path(".runx"), Path.home() / ".config/runx.yml"]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise UserError(f"no settings for runx: looked for {' and '.join(map(str, places))}")
    settings = read_yaml(file)
    farm = farm or str(settings.get("FARM") or "")
    farms = [name for name, value in settings.items() if isinstance(value, dict) and name != "RESOURCES"]
    if farm and farm not in farms:
        raise UserError(f"{file} has no farm {farm!r}{nearest(farm, farms)}; it has {', '.join(farms) or 'none'}")
    settings |= settings.get(farm, {}) | {"FARM": farm}
    settings.setdefault("CODE_IGNORE_PATTERNS", ".git,*.pyc,docs*,test*")
    for name in ("LOGROOT", "SUBMIT_CMD", "CODE_IGNORE_PATTERNS"):
        if not isinstance(settings.get(name, ""), str):
            raise UserError(f"{file}: {name} takes text, not {settings[name]!r}")
    if not settings.get("LOGROOT"):
        raise UserError(f"{file} has no LOGROOT: the folder for all runs")
    settings["LOGROOT"] = str(Path(settings["LOGROOT"]).expanduser().absolute())
    check_logroot(Path(settings["LOGROOT"]), settings["CODE_IGNORE_PATTERNS"], file)
    return settings


def check_logroot(logroot: Path, ignored: str, file: Path) -> None:
    """runx copies the code to below LOGROOT: inside the code, it would copy its copies."""
    submit.check_plain(f"{file}: LOGROOT", logroot)
    if logroot.is_relative_to(Path.cwd()):
        first = logroot.relative_to(Path.cwd()).parts[:1]
        if not any(fnmatch(part, pattern) for part in first for pattern in ignored.split(",")):
            raise UserError(f"{file}: LOGROOT {logroot} is inside the code: add {first[0]} to CODE_IGNORE_PATTERNS")


def read_experiment(file: Path, settings: dict[str, Any]) -> None:
    """Raise UserError for what an experiment lacks, for what is no resource, and for what its runs would not do."""
    experiment, written = read_yaml(file), yamlfile.load(file, text=yamlfile.ALL)
    for key in ("CMD", "HPARAMS"):
        if not experiment.get(key):
            raise UserError(f"{file} has no {key}" if key not in experiment else f"{file}: {key} is empty")
    twice = [key for key in experiment if key in settings]
    if twice:
        raise UserError(f"{file}: {twice[0]} also stands in the settings of runx: it can stand in one of them only")
    asked = experiment.get("RESOURCES", settings.get("RESOURCES"))
    if not isinstance(asked, dict):
        raise UserError(f"{file}: RESOURCES: names and values are needed, for instance {{gpus: 8}}, or {{}}")
    check_resources(file, asked, written.get("RESOURCES") or {})
    sets = experiment["HPARAMS"] if isinstance(experiment["HPARAMS"], list) else [experiment["HPARAMS"]]
    if not isinstance(experiment["CMD"], str) or not all(isinstance(each, dict) for each in sets):
        raise UserError(f"{file}: CMD is a command, HPARAMS names and values of its flags, or a list of such")
    sweep_check.check(file, experiment, written)


def check_resources(file: Path, asked: dict[str, Any], written: dict[str, Any]) -> None:
    """Raise UserError for what submit_job would not take; `written`: their text, where they stand in the experiment."""
    texts = {f.name for f in dataclasses.fields(Resources) if isinstance(f.default, str)}
    names = [name for f in dataclasses.fields(Resources) for name in (f.name, *f.metadata.get("also", ()))]
    for name, value in asked.items():
        if name not in names:
            raise UserError(f"{file}: unknown resource {name!r}{nearest(str(name), names)}")
        sweep_check.check_read(f"{file}: RESOURCES: {name}", value, written.get(name, str(value)), name in texts)
        submit.check_plain(f"{file}: RESOURCES: {name}:", value)
    argv = [word for name, value in asked.items() for word in (f"--{name}", str(value))]
    submit.resources(submit.parser().parse_args(argv), Cluster())


def check_farm(settings: dict[str, Any]) -> None:
    """Check what submitting needs beside the experiment."""
    farm = settings["FARM"]
    if not farm:
        raise UserError("the settings of runx name no FARM: give --farm, or -i to run here")
    submit.check_shared(Path(settings["LOGROOT"]))
    if "draco" not in farm or "submit_job" not in settings.get("SUBMIT_CMD", ""):
        raise UserError(f"farm {farm!r}: its name has to contain draco, its SUBMIT_CMD submit_job: runx knows no other")


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a file of names and values. UserError if it is none."""
    tree = yamlfile.load(file)
    if tree is None:
        raise UserError(f"{file} is empty")
    if not isinstance(tree, dict):
        raise UserError(f"{file}: expected names and values, found {type(tree).__name__}")
    return tree


def runx(args: argparse.Namespace, settings: dict[str, Any], collect: Path | None = None) -> int:
    """Call `python -m runx.runx` with our settings, in which nothing is relative."""
    argv = ["-i"] * args.interactive + ["-n"] * args.no_run
    for name in ("tag", "exp_name"):
        argv += [f"--{name}", getattr(args, name)] if getattr(args, name) else []
    environment = {"ASSETS_PATH": str(ROOT / "assets"), **os.environ}  # the copy of the code has no assets beside it
    if collect:
        environment[submit.COLLECT] = str(collect)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "settings").write_text(yaml.safe_dump(settings), encoding="utf-8")
        (Path(folder) / "sweep").mkdir()
        copy = Path(folder) / "sweep" / args.experiment.name  # in plain UTF-8, which alone runx reads
        copy.write_text(textfile.read(args.experiment), encoding="utf-8")
        command = [sys.executable, "-m", "runx.runx", str(copy), "-c", f"{folder}/settings", *argv]
        return subprocess.run(command, env=environment, check=False).returncode


def run_here(args: argparse.Namespace, settings: dict[str, Any]) -> int:
    """Do all runs on this machine, then their table."""
    folder = Path(settings["LOGROOT"]) / (args.exp_name or args.experiment.stem)
    before = set(folder.glob("*"))
    code = runx(args, settings)
    runs = sorted(set(folder.glob("*")) - before)
    rows = [sweep_status.status(run, None) for run in runs]
    print(sweep_status.table(rows))
    return code or int(not rows or any(row.state != "done" for row in rows))


def submit_all(args: argparse.Namespace, settings: dict[str, Any]) -> int:
    """Let runx write every run, then submit them: all, or none."""
    if not shutil.which("sbatch"):
        raise UserError("sbatch is not on the PATH: submit from a login node of the cluster, or run here with -i")
    with tempfile.TemporaryDirectory() as folder:
        collect = Path(folder) / "runs"
        collect.touch()
        code = runx(args, settings, collect)
        runs = [Path(line) for line in collect.read_text(encoding="utf-8").splitlines()]
    if code or not runs:
        raise UserError(f"runx has written {len(runs)} runs and ended with {code}: nothing is submitted")
    if args.limit:
        submit.submit_array(runs[0].parent, args.limit, runs)
        return 0
    submitted: list[Path] = []
    try:
        for run in runs:
            submit.submit_written(run)
            submitted.append(run)
    except BaseException:
        take_back(submitted)
        raise
    return 0


def take_back(runs: Sequence[Path]) -> None:
    """Cancel the jobs of these runs; they wait again."""
    if not runs:
        return
    subprocess.run(["scancel", *map(submit.read_job_id, runs)], check=False)
    for run in runs:
        (run / submit.JOB).unlink(missing_ok=True)
    print(f"{len(runs)} jobs of this sweep were canceled again; submit_job --array submits all", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(start(main))
