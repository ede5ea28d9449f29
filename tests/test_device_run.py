"""--device: a run that starts a process on each GPU itself. The GPUs are made up; the processes compute on the CPU."""

from __future__ import annotations

import csv
import os
import shlex
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from forked import Process
from runs import finish, folder, into, last, placed, rows

import train
from utils.cli import start


def train_on_two_gpus(words: list[str]) -> int:
    """train.py on a machine with two GPUs."""
    torch.cuda.device_count = lambda: 2
    return start(train.main)


def on_two(words: list[str]) -> Process:
    """Such a process; those that it starts do not see the GPUs, and are interpreters of their own."""
    env = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "CUDA_VISIBLE_DEVICES": "-1,-1"}
    return Process(train_on_two_gpus, words, os.environ | env)


@pytest.fixture(autouse=True)
def signals_restored() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.slow
def test_two_processes_evaluate_each_image_once(trained: list[str], tmp_path: Path) -> None:
    """The scores of one process; what it leaves says how it was started, and starts it the same way."""
    snapshot = folder(trained) / "best_checkpoint_ep3.pth"
    words = [*placed(trained, tmp_path / "run"), "--eval", "val", "--snapshot", str(snapshot), "--visualize"]
    assert train.main(into(words, "one")) == 0
    two = [*into(words, "two"), "--device", "gpu0-gpu1"]
    output = finish(on_two(two))
    assert "2 process(es) on cpu" in output and "4 images beside their truth" in output
    found, wanted = folder(two), folder(into(words, "one"))
    assert (found / "confusion.csv").read_text() == (wanted / "confusion.csv").read_text()
    assert rows(two, "val") == rows(into(words, "one"), "val")
    tables = [list(csv.reader((place / "per_image.csv").open())) for place in (found, wanted)]
    assert sorted(tables[0]) == sorted(tables[1]) and len(tables[0]) == 1 + 4
    assert len(list((found / "result").iterdir())) == 4
    assert f"python train.py {shlex.join(two)}" in (found / "train.log").read_text()
    (command,) = [line for line in (found / "train_cmd.sh").read_text().splitlines() if line.startswith("command=")]
    assert "exec python" in command and "torchrun" not in command and "--device gpu0-gpu1" in command


@pytest.fixture(scope="session")
def interrupted(tiny_words: Callable[[Path, Path], list[str]], tiny_scenes: Path, once: Callable[..., Path]) -> Path:
    """The folder of a training on two GPUs that Ctrl-C has ended, and beside it what it has printed."""

    def make(root: Path) -> None:
        stopped_by("INT", tiny_words(tiny_scenes, root), root / "stdout.txt")

    return once("interrupted", make) / "run"


def stopped_by(name: str, words: list[str], output: Path) -> None:
    """Train on two GPUs until a signal ends that in the second epoch; what was printed goes into a file."""
    process = on_two([*words, "--device", "0,1", "--bs_trn", "2", "--max_epoch", "80", "--val_freq", "80"])
    for line in process.stdout:
        if line.startswith("epoch 1 "):
            process.send_signal(getattr(signal, f"SIG{name}"))
            break
    text, _ = process.communicate(timeout=120)
    output.write_text(text)
    assert process.returncode == 128 + getattr(signal, f"SIG{name}"), text


def assert_saved(run: Path) -> None:
    """All processes have stopped together, and their checkpoint stands."""
    output = (run.parent / "stdout.txt").read_text()
    assert "stopped as asked" in output and "Traceback" not in output
    state = last(["--result_dir", str(run)])
    assert state["epoch"] >= 0 and len(state["rng"]) == 2


@pytest.mark.slow
def test_a_signal_reaches_all_and_the_run_saves(interrupted: Path) -> None:
    assert_saved(interrupted)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TERM", "USR1"])
def test_another_signal_reaches_all_and_the_run_saves(tiny_run: list[str], tmp_path: Path, name: str) -> None:
    """Quick: Ctrl-C above, and tests/engine/test_launch.py::test_signals_are_passed_on for each signal."""
    stopped_by(name, tiny_run, tmp_path / "stdout.txt")
    assert_saved(folder(tiny_run))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--device", "0-3"], "--device 0,1,2,3: no GPU 3 here, they are 0-1"),
        pytest.param(
            ["--device", "0-1", "--eval", "val", "--snapshot", "none.pth"], "none.pth", marks=pytest.mark.slow
        ),
    ],
)
def test_mistakes_have_their_code_and_no_traceback(tiny_run: list[str], more: list[str], message: str) -> None:
    """Slow: in the processes that it starts. Quick: test_the_first_failure_is_told_and_nobody_is_left of launch."""
    output, _ = (process := on_two([*tiny_run, *more])).communicate(timeout=120)
    assert process.returncode == 2 and "Traceback" not in output, output
    lines = [line for line in output.splitlines() if line.startswith("error: ")]
    assert lines and all(message in line or "another process" in line for line in lines), output


@pytest.mark.slow
def test_what_a_checkpoint_says_of_gpus_is_not_taken_over(
    interrupted: Path, tiny_scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of a training on GPUs that this machine does not have."""
    snapshot = next(interrupted.glob("last_checkpoint_ep*.pth"))
    words = ["--eval", "val", "--snapshot", str(snapshot), "--data_root", str(tiny_scenes), "--num_workers", "0"]
    words += ["--num_val", "3"]
    assert train.main([*words, "--result_dir", str(tmp_path / "eval")]) == 0
    assert len((tmp_path / "eval" / "per_image.csv").read_text().splitlines()) == 1 + 3
    assert train.main([*words, "--num_val", "2", "--dump_for_submission"]) == 2
    assert "--dump_for_submission packs a whole split: leave --num_val out" in capsys.readouterr().err
