"""Jobs of a real Slurm: a sweep through runx, two nodes, time limits, requeues."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml
from runs import assert_same_end, folder, into, rows
from slurm_cluster import Cluster, wait

from engine.log import RunLog

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slurm
TORCHRUN = "torchrun --nproc_per_node=1 train.py"
PYTHON = "python train.py"
SCORES = [
    "acc",
    "acc",
    "epoch",
    "epoch",
    "time",
    "fwavacc",
    "mean",
    "mean",
    "overall",
]  # first words of sumx's headings


def environment(cluster: Cluster) -> dict[str, str]:
    """What a user's shell has: the virtual environment first, Slurm's settings, one thread."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**cluster.env, "PATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def call(cluster: Cluster, *words: str, **changes: object) -> subprocess.CompletedProcess[str]:
    """Run a command as a user of that cluster would, in the repository."""
    options = {"cwd": ROOT, "env": environment(cluster), "capture_output": True, "text": True, "timeout": 600}
    return subprocess.run(words, check=False, **{**options, **changes})  # type: ignore[call-overload]


def submit(cluster: Cluster, words: Sequence[str], launch: str, *flags: str) -> str:
    """Submit `launch words` with slurm/submit_job; gives the job's number."""
    run = folder(words)
    command = f"cd {ROOT}; exec {launch} {shlex.join(words)}"
    arguments = ["--name", run.name, "--logdir", str(run), "--command", command, *flags]
    done = call(cluster, sys.executable, "slurm/submit_job", *arguments)
    assert done.returncode == 0, done.stderr
    found = re.search(r"submitted job (\d+)", done.stdout)
    assert found, done.stdout
    return found[1]


def output(run: Path) -> str:
    """What the jobs of a run have printed."""
    return "\n".join(path.read_text() for path in sorted(run.glob("slurm-*.out")))


def finished(cluster: Cluster, job: str, words: Sequence[str], seconds: float = 300) -> None:
    """Wait until a job has ended well."""
    assert cluster.wait_for(job, seconds=seconds) == "COMPLETED", output(folder(words))
    assert (folder(words) / "exit_code").read_text() == "0\n"


def test_two_nodes_equal_one_process(cluster: Cluster, tiny_run: list[str]) -> None:
    """Synchronized batch norm, the same global batch, no dropout (each rank draws its own): the same losses to 1e-5,
    and of the same weights exactly the same scores."""
    words = [*tiny_run, "--optimizer", "sgd", "--lr", "1e-4", "MODEL.OCR.DROPOUT", "0"]
    one = into(words, "one")
    jobs = [(one, submit(cluster, one, PYTHON))]
    for name, launch in (("torchrun", TORCHRUN), ("srun", PYTHON)):
        two = into([*words, "--bs_trn", "2"], name)
        jobs.append((two, submit(cluster, two, launch, "--nodes", "2")))
    for run, job in jobs:
        finished(cluster, job, run)
        assert f"{1 if run is one else 2} process(es)" in output(folder(run))
        for ours, theirs in zip(rows(run, "train"), rows(one, "train"), strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5)
    weights = ["--eval", "val", "--snapshot", str(folder(one) / "best_checkpoint_ep1.pth")]
    scores = []
    for nodes in ("1", "2"):
        run = into([*words, *weights], f"eval{nodes}")
        finished(cluster, submit(cluster, run, TORCHRUN, "--nodes", nodes), run)
        scores.append(rows(run, "val"))
    assert scores[0] == scores[1] and len(scores[0]) == 1


def trains(cluster: Cluster, words: Sequence[str], epochs: int) -> None:
    """Wait until a run has trained so many epochs."""
    wait(lambda: len(rows(words, "train")) >= epochs, 200, f"not {epochs} epochs")


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """Process number and arguments of what runs on this machine."""
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended since
            yield int(place.name), (place / "cmdline").read_bytes().decode(errors="replace").split("\0")


@contextlib.contextmanager
def held(cluster: Cluster, words: Sequence[str], epochs: int) -> Iterator[list[int]]:
    """A run's training processes stand still after so many epochs, so that no machine is too fast for a test."""
    trains(cluster, words, epochs)
    found = [number for number, line in command_lines() if "python" in line[0] and str(folder(words)) in line]
    assert found
    for number in found:
        os.kill(number, signal.SIGSTOP)
    try:
        yield found
    finally:
        for number in found:
            os.kill(number, signal.SIGCONT)


@pytest.fixture
def long_run(tiny_run: list[str]) -> list[str]:
    """A minute or so on one core: 2 steps an epoch, dropout on, no validation before the end."""
    return [*tiny_run, "--max_epoch", "300", "--val_freq", "300", "MODEL.OCR.DROPOUT", "0.5"]


def test_time_limit_and_requeue_end_in_the_same_bits(cluster: Cluster, long_run: list[str]) -> None:
    whole, limited, requeued = (into(long_run, name) for name in ("whole", "limited", "requeued"))
    settings = folder(long_run).parent / "cluster.yaml"
    settings.write_text("signal_lead: 30\n")
    jobs = [submit(cluster, limited, TORCHRUN, "--time", "2", "--cluster", str(settings))]
    with held(cluster, limited, epochs=3):
        wait((folder(limited) / "preempt").exists, 180, "no word of the time limit")
    jobs.append(submit(cluster, requeued, PYTHON))
    trains(cluster, requeued, 5)
    assert call(cluster, "scontrol", "requeue", jobs[1]).returncode == 0
    jobs.append(submit(cluster, whole, PYTHON))
    for job, words in zip(jobs, (limited, requeued, whole), strict=True):
        finished(cluster, job, words, seconds=900)
    assert "asks to be queued again" in output(folder(limited))
    assert "stopped as asked" in output(folder(limited)) and "restart 1" in output(folder(limited))
    assert "restart 1" in output(folder(requeued)) and "asks to be" not in output(folder(requeued))
    assert not (folder(limited) / "preempt").exists()
    assert_same_end(whole, limited)
    assert_same_end(whole, requeued)


def test_a_lost_node(cluster: Cluster, tiny_run: list[str]) -> None:
    """Its processes answer no more, and no connection breaks; Slurm queues the job again when it gives the node up."""
    words = [*tiny_run, "--max_epoch", "40", "--val_freq", "40"]
    job = submit(cluster, words, PYTHON, "--nodes", "2")
    trains(cluster, words, 3)
    cluster.lose("n2")
    wait(lambda: cluster.state(job) == "PENDING", 60, "not queued again")
    cluster.find_again("n2")
    finished(cluster, job, words, seconds=900)
    assert "restart 1" in output(folder(words)) and "resumed from" in output(folder(words))
    assert [row["epoch"] for row in rows(words, "train")] == list(range(40))


def test_canceled_run_saves(cluster: Cluster, long_run: list[str]) -> None:
    """scancel sends TERM, then after KillWait KILL. A canceled run is not queued again; its script can be."""
    for launch, name in ((TORCHRUN, "torchrun"), (PYTHON, "python")):
        words = into(long_run, name)
        job = submit(cluster, words, launch, "--nodes", "2")
        trains(cluster, words, 3)
        assert call(cluster, "scancel", job).returncode == 0
        assert cluster.wait_for(job, seconds=90) == "CANCELLED"
        wait(lambda words=words: "stopped as asked" in (folder(words) / "train.log").read_text(), 60, "not stopped")
    again = call(cluster, "sbatch", "--parsable", str(folder(words) / "submit_cmd.sh")).stdout.strip()
    done = len(rows(words, "train"))
    trains(cluster, words, done + 2)
    status = call(cluster, "python", "scripts/sweep_status.py", str(folder(words).parent)).stdout
    assert any(line.split()[:3] == ["python", "running", again] for line in status.splitlines()), status
    call(cluster, "scancel", again)
    cluster.wait_for(again, seconds=90)


def test_a_run_ends_with_the_step_that_has_started_it(cluster: Cluster, tiny_run: list[str]) -> None:
    """It would go on alone, and hold the folder against the next job, which ends in the same bits."""
    words = [*tiny_run, "--max_epoch", "20", "--val_freq", "20", "MODEL.OCR.DROPOUT", "0.5"]
    whole, killed = into(words, "whole"), into(words, "killed")
    job = submit(cluster, killed, PYTHON)
    with held(cluster, killed, epochs=3) as processes:
        parents = {int(Path(f"/proc/{number}/stat").read_text().split()[3]) for number in processes}
        lines = dict(command_lines())
        steps = [number for number in parents if "slurmstepd" in " ".join(lines[number])]
        assert steps, [lines[number] for number in parents]
        for number in steps:
            os.kill(number, signal.SIGKILL)
    wait(lambda: "stopped as asked" in (folder(killed) / "train.log").read_text(), 120, "not stopped")
    call(cluster, "scancel", job)  # Slurm may take its time to see what has become of it
    cluster.wait_for(job, seconds=120)
    again = call(cluster, "sbatch", "--parsable", str(folder(killed) / "submit_cmd.sh")).stdout.strip()
    finished(cluster, again, killed)
    finished(cluster, submit(cluster, whole, PYTHON), whole)
    assert_same_end(whole, killed)


@pytest.mark.parametrize("launch", [TORCHRUN, PYTHON])
def test_preempted_run_makes_room_and_comes_back(cluster: Cluster, tiny_run: list[str], launch: str) -> None:
    """A partition of lower tier, with grace time: the run ends before Slurm would queue it again by itself."""
    words = [*tiny_run, "--max_epoch", "60", "--val_freq", "60"]
    job = submit(cluster, words, launch, "--partition", "low", "--nodes", "2")
    trains(cluster, words, 3)
    urgent = call(
        cluster, "sbatch", "--parsable", "--nodes=2", "--output=/dev/null", "--wrap", "sleep 1"
    ).stdout.strip()
    assert cluster.wait_for(urgent, seconds=90) == "COMPLETED"
    finished(cluster, job, words)
    said = output(folder(words))
    assert "stopped as asked" in said and "asks to be queued again" in said and "restart 1" in said
    assert [row["epoch"] for row in rows(words, "train")] == list(range(60))


def test_array_of_runs_survives_a_requeue(cluster: Cluster, tiny_run: list[str]) -> None:
    """Two runs, one at a time; the first is stopped as at its time limit, and only it is queued again."""
    runs = [into([*tiny_run, "--max_epoch", "40", "--val_freq", "40"], name) for name in ("a", "b")]
    collect = folder(tiny_run).parent / "collected"
    for words in runs:
        command = f"cd {ROOT}; exec {PYTHON} {shlex.join(words)}"
        arguments = ["--name", folder(words).name, "--logdir", str(folder(words)), "--command", command]
        env = environment(cluster) | {"STREETSCALE_COLLECT": str(collect)}
        assert call(cluster, sys.executable, "slurm/submit_job", *arguments, env=env).returncode == 0
    experiment = str(folder(runs[0]).parent)
    done = call(cluster, sys.executable, "slurm/submit_job", "--array", experiment, "--limit", "1")
    assert done.returncode == 0, done.stderr
    first, second = (f"{re.findall(r'job ([0-9]+)', done.stdout)[0]}_{task}" for task in (0, 1))
    trains(cluster, runs[0], 3)
    assert call(cluster, "scancel", "--batch", "--signal=USR1", first).returncode == 0
    for job in (first, second):
        assert cluster.wait_for(job, seconds=300) == "COMPLETED"
    printed = "\n".join(path.read_text() for path in Path(experiment).glob("slurm-*.out"))
    assert printed.count("asks to be queued again") == printed.count("restart 1") == 1
    for words in runs:
        assert [row["epoch"] for row in rows(words, "train")] == list(range(40))


def test_sweep_through_runx(cluster: Cluster, tmp_path: Path) -> None:
    """The 2x2 sweep of the repository, unmodified runx, its own summary and ours."""
    settings = yaml.safe_load((ROOT / ".runx").read_text()) | {"LOGROOT": str(tmp_path / "logs")}
    (tmp_path / "runx.yml").write_text(yaml.safe_dump(settings))
    done = call(cluster, "python", "-m", "runx.runx", "scripts/sweep_toy.yml", "-c", str(tmp_path / "runx.yml"))
    jobs = re.findall(r"submitted job (\d+)", done.stdout)
    assert len(jobs) == 4, done.stdout + done.stderr
    experiment = tmp_path / "logs" / "sweep_toy"
    for job in jobs:
        assert cluster.wait_for(job, seconds=900) == "COMPLETED"
    runs = sorted(path.parent for path in experiment.glob("*/metrics.csv"))
    scores = {f"{RunLog(run, main=False).history('val')[-1]['mean_iu']:1.2e}" for run in runs}
    assert len(runs) == 4 and len(scores) == 4
    summary = call(cluster, "python", "-m", "runx.sumx", "sweep_toy", "--logroot", str(tmp_path / "logs")).stdout
    assert all(run.name in summary for run in runs) and all(score in summary for score in scores), summary
    # Beside the swept flags no column: paths and the like are the same for all runs.
    assert summary.splitlines()[0].split() == ["run", "class", "lr", *SCORES], summary
    status = call(cluster, "python", "scripts/sweep_status.py", str(experiment))
    assert status.returncode == 0 and status.stdout.count(" done ") == 4, status.stdout
