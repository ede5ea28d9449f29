"""Batch scripts: the text, what sbatch and bash make of it, and what is refused before Slurm sees it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from shared import GOLDEN

from slurm import script, submit
from slurm.script import Cluster, Container, Job, Resources, render
from utils.errors import UserError

ROOT = Path(__file__).parents[2]
RUNX = " cd /logs/x/run/code; PYTHONPATH=/logs/x/run/code exec torchrun --nproc_per_node=8 train.py {} "
JOB = Job(
    "train_cityscapes_mild-eagle",
    Path("/logs/x/run"),
    RUNX.format("--lr 5e-3 --result_dir /logs/x/run"),
    False,
    Resources(nodes=2, gpus=8, cpus=32, mem="300G", time="24:00:00"),
    {"ASSETS_PATH": "/data/big files", "PATH": "/env/bin"},
)
CLUSTER = Cluster(
    gpu_type="h100",
    modules=("cuda/12.4",),
    setup=("export NCCL_SOCKET_IFNAME=ib0",),
    container=Container("apptainer", "/images/streetscale.sif", ("/scratch/extra.ext3:ro",), ("/data", "/scratch")),
)
ODD = """it's "a" run #1 100% $HOME"""


@pytest.mark.parametrize(
    ("name", "job", "cluster"),
    [
        ("train_cmd.sh", JOB, CLUSTER),
        (
            "eval_cmd.sh",
            replace(JOB, command="python train.py --eval val", evaluates=True, resources=Resources(gpus=1)),
            Cluster(),
        ),
    ],
)
def test_render_is_the_golden_text(name: str, job: Job, cluster: Cluster) -> None:
    assert render(job, cluster) == (GOLDEN / "slurm" / name).read_text()


@pytest.mark.parametrize("cluster", [Cluster(), CLUSTER])
@pytest.mark.parametrize("evaluates", [False, True])
def test_script_is_valid_shell(cluster: Cluster, evaluates: bool, tmp_path: Path) -> None:
    file = script.write(replace(JOB, evaluates=evaluates, run=tmp_path / ODD), cluster)
    assert subprocess.run(["bash", "-n", str(file)], check=False).returncode == 0
    assert (file.parent / "submit_cmd.sh").read_bytes() == file.read_bytes() and os.access(file, os.X_OK)
    if shutil.which("shellcheck"):
        checked = subprocess.run(
            ["shellcheck", "-S", "warning", str(file)], capture_output=True, text=True, check=False
        )
        assert not checked.stdout


def test_every_resource_becomes_a_directive() -> None:
    """A field that nothing reads would be a silent no."""
    base = script.directives(replace(JOB, resources=Resources()), Cluster())
    values = {"nodes": 3, "gpus": 4, "tasks": 5, "cpus": 6}
    for name in Resources.__dataclass_fields__:
        lines = script.directives(replace(JOB, resources=Resources(**{name: values.get(name, "some")})), Cluster())
        changed = [line for line in lines if line not in base]
        assert len(changed) == 1 and changed[0].endswith(str(values.get(name, "some"))), name
    by_count = script.directives(JOB, Cluster(gpus_as="gpus", gpu_type="h100"))
    assert "--gpus-per-node=h100:8" in by_count and not any("gres" in line for line in by_count)


@pytest.mark.parametrize(
    ("words", "evaluates"),
    [
        ("train.py --eval val --eval_folder x", True),
        ("train.py --arch x EVAL.MODE val", True),
        ("train.py --eval_folder x", False),
        ("train.py --lr 1", False),
    ],
)
def test_evaluation_is_not_queued_again(words: str, evaluates: bool, tmp_path: Path) -> None:
    args = submit.parser().parse_args(["--name", "x", "--logdir", str(tmp_path), "--command", f"python {words}"])
    job = submit.read_job(args, Cluster())
    text = render(job, Cluster())
    assert job.evaluates == evaluates
    assert (
        ("scontrol requeue" not in text) == ("STREETSCALE_RESUME" not in text) == ("--signal" not in text) == evaluates
    )


def run_script(tmp_path: Path, body: str, job: bool = False, **environment: str) -> subprocess.Popen[str]:
    """Start a training script, whose command is `body`, with bash; `job`: as Slurm starts the batch script of a job."""
    folder = tmp_path / ODD
    file = script.write(replace(JOB, command=body, run=folder, environment={}), Cluster(signal_lead=20))
    env = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")} | environment
    start = ["bash", "-c", 'SLURM_TASK_PID=$$ exec bash "$0"', str(file)] if job else ["bash", str(file)]
    return subprocess.Popen(start, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_command_runs_intact_in_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    arguments = [ODD, "a  b", "$(touch x)"]
    code = f"import sys; print(sys.argv[1:] == {arguments!r})"
    process = run_script(tmp_path, shlex.join([sys.executable, "-c", code, *arguments]))
    assert process.communicate(timeout=60)[0].strip() == "True" and process.returncode == 0
    assert (tmp_path / ODD / "exit_code").read_text() == "0\n"


def test_failure_is_handed_on(tmp_path: Path) -> None:
    process = run_script(tmp_path, "exit 7")
    process.communicate(timeout=60)
    assert process.returncode == 7 and (tmp_path / ODD / "exit_code").read_text() == "7\n"


SAVE = 'touch "$RUN/last_checkpoint_ep3.pth"'
STEP = 'touch up; while [ ! -e "$RUN/preempt" ]; do sleep 0.05; done; sleep 0.5; {save}; exit 138'


@pytest.mark.parametrize(
    ("sent", "save", "preempted", "queued"),
    [
        (["USR1"], SAVE, "None", True),
        (["USR1"], "true", "None", False),  # nothing was saved: it would begin anew, for ever
        (["USR1", "TERM"], SAVE, "None", True),
        (["TERM"], SAVE, "None", False),  # canceled
        (["TERM"], SAVE, "2026-01-01T00:00:00", True),
    ],
)
def test_signal_asks_the_run_to_stop_and_queues_it_again(
    tmp_path: Path, sent: list[str], save: str, preempted: str, queued: bool
) -> None:
    """With commands of Slurm that write down how they were called."""
    tools, run = tmp_path / "tools", tmp_path / ODD
    tools.mkdir()
    (tools / "srun").write_text('#!/usr/bin/env bash\nwhile [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n')
    answer = f"PreemptTime={preempted}"
    say = f'if [ "$1" = show ]; then echo {answer}; else echo "$@" >{tmp_path}/scontrol; kill -KILL $PPID; fi'
    (tools / "scontrol").write_text(f"#!/usr/bin/env bash\n{say}\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    environment = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "RUN": str(run),
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NUM_NODES": "1",
    }
    array = {"SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "2"}
    process = run_script(tmp_path, f"cd {tmp_path}; {STEP.format(save=save)}", **environment, **array, job=True)
    wait_for(tmp_path / "up")
    for name in sent:
        process.send_signal(getattr(signal, f"SIG{name}"))
        time.sleep(0.1)
    process.communicate(timeout=30)
    called = (tmp_path / "scontrol").read_text() if (tmp_path / "scontrol").exists() else ""
    assert called == ("requeue 5_2\n" if queued else "")
    assert process.returncode == (-9 if queued else 138) and not (run / "preempt").exists()


def test_script_inside_a_step_starts_no_step(tmp_path: Path) -> None:
    """Slurm's variables are inherited by what a job starts; only its batch script has the job to itself."""
    inherited = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_TASK_PID": "1", "SLURM_JOB_NUM_NODES": "2"}
    process = run_script(tmp_path, 'echo "${PET_NNODES:-alone}" "$STREETSCALE_RESUME"', **inherited)
    assert process.communicate(timeout=60)[0] == "alone auto\n"
    assert (tmp_path / ODD / "job_id").read_text() == "local\n"


def test_one_job_at_a_time_in_a_run_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "down")
    command = f"echo started >> {tmp_path}/up; cat {tmp_path}/down"  # one text: bash reads its file as it goes
    first = run_script(tmp_path, command)
    wait_for(tmp_path / "up")
    second = run_script(tmp_path, command)
    assert "error: another job runs in" in second.communicate(timeout=30)[0] and second.returncode == 1
    (tmp_path / "down").write_text("")
    first.communicate(timeout=30)
    assert (tmp_path / "up").read_text() == "started\n"
    assert first.returncode == 0 and (tmp_path / ODD / "exit_code").read_text() == "0\n"


def wait_for(file: Path) -> None:
    """Until a file is there."""
    end = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < end, f"no {file}"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (["--name", "x", "--logdir", "/x"], "--command is missing"),
        (["--gpuz", "8"], "unknown resource or flag --gpuz; did you mean '--gpu' or '--gpus'"),
        (["--gpus", "many"], "--gpus"),
        (["--gpus", "-1"], "--gpus -1"),
        (["--nodes", "0"], "--nodes 0"),
        (["--time", "86400"], "24:00:00"),
        (["y"], "runx does not quote"),
        (["--command", RUNX.format("--tag my run")], "my run"),
        (["--command", RUNX.format("--tag a;b")], "--tag 'a;b'"),
        (["--command", RUNX.format("--tag $(ls)")], "does not quote"),
        (["--command", RUNX.format('--tag "a"')], "does not quote"),
        (["--command", RUNX.format("--lr 1"), "--logdir", "logs/x/gcf_log"], "absolute"),
        (["--command", RUNX.format("--lr 1"), "--logdir", "/var/tmp/streetscale/x/gcf_log"], "all nodes"),
        (["--name", "a\nb"], "line break"),
        (["--cluster", "/nowhere.yaml"], "/nowhere.yaml: No such file"),
        (["--array", "/nowhere"], "no run that waits"),
        (["--tasks", "8", "--command", "torchrun --nproc_per_node=8 train.py"], "--tasks 8"),
        (["--tasks", "8", "--command", "python -m torch.distributed.run train.py"], "--tasks 8"),
        ([], "sbatch is not on the PATH"),
    ],
)
def test_mistake_is_one_line(
    words: list[str], needle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run = tmp_path / "run"
    basis = [] if "--command is" in needle else ["--name", "x", "--logdir", str(run), "--command", "python train.py"]
    assert submit.main([*basis, *words]) == 2
    error = capsys.readouterr().err
    assert needle in error and error.startswith("error: ") and error.count("\n") == 1
    assert not run.exists() or needle.startswith("sbatch")


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("moduls: [a]", "did you mean 'modules'"),
        ("modules: a", "modules takes a list"),
        ("container: {runtime: docker}", "apptainer or singularity"),
        ("gpus_as: all", "gres or gpus"),
        ("resources: {gpu: 1}", "unknown setting 'gpu'"),
        ("signal_lead: soon", "whole number"),
        ("signal_lead: 0", "at least 20 seconds"),
        ("[1", "no valid YAML"),
        ("word", "expected names and values"),
    ],
)
def test_bad_cluster_settings(text: str, needle: str, tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match="cluster.yaml") as caught:
        script.read_cluster(file)
    assert needle in str(caught.value) and "\n" not in str(caught.value)


def test_shipped_settings_change_nothing() -> None:
    assert script.read_cluster() == Cluster()


def fake_sbatch(tmp_path: Path, body: str) -> str:
    """A folder with an sbatch that does `body`."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sbatch").write_text(f"#!/bin/sh\n{body}\n")
    (tools / "sbatch").chmod(0o755)
    return f"{tools}:{os.environ['PATH']}"


def test_refusal_of_sbatch_is_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", fake_sbatch(tmp_path, 'echo "sbatch: error: invalid partition: x" >&2; exit 1'))
    run = tmp_path / "run"
    assert submit.main(["--name", "x", "--logdir", str(run), "--command", "python train.py"]) == 2
    assert capsys.readouterr().err == f"error: sbatch refuses {run / 'train_cmd.sh'}: invalid partition: x\n"
    assert submit.read_job_id(run) == "" and (run / "job.json").exists()


def test_array_takes_the_waiting_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", fake_sbatch(tmp_path, f'cp "$2" {tmp_path}/seen; echo "41;cluster"'))
    monkeypatch.setenv(submit.COLLECT, str(tmp_path / "collected"))
    for name in ("one", "it's two"):
        words = ["--name", name, "--logdir", str(tmp_path / "exp" / name), "--command", "python train.py"]
        assert submit.main([*words, "--mem", "8G"]) == 0
    assert len((tmp_path / "collected").read_text().splitlines()) == 2
    assert submit.main(["--array", str(tmp_path / "exp"), "--limit", "2"]) == 0
    text = (tmp_path / "seen").read_text()
    assert "#SBATCH --array=0-1%2\n" in text and "#SBATCH --mem=8G\n" in text
    assert text.count("--job-name") == 1 and text.count("--output") == 1
    assert [submit.read_job_id(tmp_path / "exp" / name) for name in ("it's two", "one")] == ["41_0", "41_1"]
    capsys.readouterr()
    assert submit.main(["--array", str(tmp_path / "exp")]) == 2  # nobody waits any more


def test_array_of_unequal_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(submit.COLLECT, str(tmp_path / "collected"))
    for name in ("1", "2"):
        words = ["--name", name, "--logdir", str(tmp_path / "exp" / name), "--command", "python train.py"]
        assert submit.main([*words, "--mem", f"{name}G"]) == 0
    assert submit.main(["--array", str(tmp_path / "exp")]) == 2
    assert "different resources" in capsys.readouterr().err


def test_evaluation_does_not_take_the_folder_of_a_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "last_checkpoint_ep3.pth").touch()
    words = ["--name", "x", "--logdir", str(tmp_path), "--command", "python train.py --eval val --snapshot x"]
    assert submit.main(words) == 2 and "--logdir of its own" in capsys.readouterr().err
    assert not (tmp_path / "train_cmd.sh").exists()
