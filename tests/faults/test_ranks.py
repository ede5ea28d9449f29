"""Processes that die, differ or are others after a restart: the run goes on to the same end, or stops with a line."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rank_elastic
import torch
from faults.figures import record
from forked import ranks
from runs import assert_same_end, folder, last, python, rows, torchrun
from slurm_cluster import processes, read, wait

WORDS = (
    *("--dataset", "toy", "--arch", "basic.HRNet", "--crop_size", "64", "--class_uniform_tile", "32", "--bs_trn", "2"),
    *("--num_workers", "0", "--lr", "0.05", "--syncbn", "--ema", "0.9", "--max_epoch", "3", "--resume", "auto"),
)
KILLS = int(os.environ.get("FAULTS_RANKS", "12"))
MESSAGES = 60  # that a rank sends in a run of two processes, at least
DIFFERENT = ("--lr 0.5", "--max_memory 24GiB", "--eval val", "code", "torch", "data")


def line(scenes: Path, run: Path, *more: str) -> list[str]:
    """A training of 6 steps of 4 images."""
    place = ["--data_root", str(scenes), "--result_dir", str(run), "DATASET.CENTROID_ROOT", str(run.parent / "near")]
    return [*WORDS, *place, *more]


def trained(words: list[str], world: int, **fault: Any) -> tuple[list[int | None], list[str]]:
    """Exit codes and outputs of a training on so many processes."""
    processes = ranks(rank_elastic.main, [json.dumps(fault), *words], world)
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    return [process.returncode for process in processes], outputs


@pytest.fixture(scope="module")
def whole(once: Callable[..., Path], tiny_scenes: Path) -> list[str]:
    """A run of two processes that nothing disturbs, with its steps beside it."""

    def make(place: Path) -> None:
        (place / "steps").mkdir()
        codes, outputs = trained(line(tiny_scenes, place / "run"), 2, notes=str(place / "steps"))
        assert codes == [0, 0], outputs

    return line(tiny_scenes, once("two-ranks", make) / "run")


def in_parts(words: list[str], parts: list[tuple[int, int, str]]) -> None:
    """Train in parts, (processes, steps before the stop or 0, further words)."""
    steps = folder(words).with_name("steps")
    steps.mkdir()
    for world, stop, more in parts:
        codes, outputs = trained([*words, *more.split()], world, notes=str(steps), **({"stop": stop} if stop else {}))
        assert codes == [143 if stop else 0] * world, outputs


def differences(one: list[str], other: list[str]) -> tuple[float, float]:
    """The largest relative difference of a loss, and of a weight; order and pixels of samples are the same exactly."""
    a, b = (rank_elastic.steps_of(folder(words).with_name("steps")) for words in (one, other))
    assert [(*step[:2], step[3]) for step in a] == [(*step[:2], step[3]) for step in b] and len(a) == 6
    losses = max(abs(x[2] - y[2]) / abs(x[2]) for x, y in zip(a, b, strict=True))
    curve = zip(rows(one, "train"), rows(other, "train"), strict=True)
    losses = max(losses, *(abs(x["loss"] - y["loss"]) / x["loss"] for x, y in curve))
    weights = zip(last(one)["net"].values(), last(other)["net"].values(), strict=True)
    return losses, max(float((x - y).abs().max() / y.abs().max().clamp(min=1e-3)) for x, y in weights if x.numel())


def test_another_number_of_processes(whole: list[str], tiny_scenes: Path, tmp_path: Path) -> None:
    """Each time in the middle of an epoch, by the same command."""
    words = line(tiny_scenes, tmp_path / "run")
    in_parts(words, [(2, 1, ""), (1, 2, ""), (4, 0, "")])
    assert max(differences(whole, words)) < 1e-10
    log = (tmp_path / "run" / "train.log").read_text()
    assert "1 process with --bs_trn 4 in place of 2 processes with 2: a step keeps its images and their order" in log
    assert "4 processes with --bs_trn 1 in place of 1 process with 4: a step keeps" in log


def test_a_number_that_cannot_share_a_step(whole: list[str], tmp_path: Path) -> None:
    shutil.copytree(folder(whole), tmp_path / "run")
    words = [*whole, "--result_dir", str(tmp_path / "run"), "--max_epoch", "4"]
    codes, outputs = trained(words, 3)
    assert codes == [2] * 3
    wanted = (
        "has batches of 4 images (2 processes with 2 each), which 3 processes cannot share: start 1, 2 or 4 of them"
    )
    assert all(wanted in output and "Traceback" not in output for output in outputs), outputs


def killed(words: list[str], rank: int, message: int) -> list[str]:
    """A run of two processes of which one is killed before a message; gives what the other one says last."""
    codes, outputs = trained(words, 2, die=[rank, message])
    other = 1 - rank
    assert codes[rank] == -9 and codes[other] == 2, (codes, outputs)
    assert "Traceback" not in outputs[other], outputs[other]
    return outputs[other].strip().splitlines()[-1:]


def test_one_that_dies(whole: list[str], tiny_scenes: Path, tmp_path: Path) -> None:
    """Behind the first epoch; the other one says so, and the same command ends as if nothing had happened."""
    words = line(tiny_scenes, tmp_path / "run")
    said = killed(words, 1, 40)
    assert said == ["error: another process of this run has ended; its own message says why"]
    codes, outputs = trained(words, 2)
    assert codes == [0, 0], outputs
    assert_same_end(whole, words)


@pytest.mark.parametrize("what", DIFFERENT)
def test_one_that_differs(what: str, tiny_scenes: Path, tmp_path: Path) -> None:
    """Another option, version or list of images ends all with the same line, before the first step."""
    shutil.copytree(tiny_scenes, tmp_path / "scenes" / "toy")
    shutil.copytree(tiny_scenes, tmp_path / "scenes" / "other")
    for file in (tmp_path / "scenes" / "other").glob("*/train/*/*_000002_*"):
        file.unlink()
    codes, outputs = trained(line(tmp_path / "scenes" / "toy", tmp_path / "run"), 2, differs=what)
    assert codes == [2, 2], outputs
    ends = {output.strip().splitlines()[-1] for output in outputs}
    assert len(ends) == 1 and "Traceback" not in "".join(outputs), outputs
    assert ends.pop().startswith("error: process 1 on ")


@pytest.mark.faults
def test_kills_anywhere(whole: list[str], tiny_scenes: Path, tmp_path: Path) -> None:
    """FAULTS_RANKS seeded points: a rank is killed, twice in a row, and the same command goes on to the same bits."""
    rng = random.Random(0)
    for number in range(KILLS):
        words = line(tiny_scenes, tmp_path / str(number) / "run")
        for _ in range(2):
            killed(words, rng.randrange(2), rng.randrange(1, MESSAGES // 2))
        codes, outputs = trained(words, 2)
        assert codes == [0, 0], outputs
        assert_same_end(whole, words)
        record("ranks", {"runs of two processes, one killed twice": number + 1, "ended in other bits": 0})


@pytest.mark.faults
def test_elastic_with_a_real_network(
    tiny_words: Callable[[Path, Path], list[str]], tiny_scenes: Path, tmp_path: Path
) -> None:
    """HRNet with OCR and attention over scales, other workers each time."""
    runs = []
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
        words = [*tiny_words(tiny_scenes, tmp_path / name), "--bs_trn", "2", "--max_epoch", "3", "--resume", "auto"]
        runs.append([*words, "--do_eval", "false", "MODEL.OCR.DROPOUT", "0"])
    in_parts(runs[0], [(2, 0, "")])
    in_parts(runs[1], [(2, 3, "--num_workers 1"), (1, 1, "--num_workers 2"), (4, 0, "")])
    losses, weights = differences(*runs)
    record(
        "ranks", {"2, 1, 4 processes in float64, largest relative difference of a loss": losses, "of a weight": weights}
    )
    # Adam divides a gradient that would be 0, of a bias before a batch norm, by its own size: rounding grows there.
    assert losses < 1e-10 and weights < 1e-8


@pytest.mark.faults
def test_torchrun_starts_a_killed_one_again(tiny_run: list[str]) -> None:
    """The real one, whose second start goes on."""
    words = [*tiny_run, "--max_epoch", "8", "--val_freq", "8", "--bs_trn", "2", "--resume", "auto"]
    words.remove("--syncbn")
    run = python(words, *torchrun(2), "--max-restarts=1", session=True)
    wait(lambda: len(rows(words, "train")) >= 2, 300, "no two epochs")
    workers = [pid for pid in processes() if b"RANK=1" in read(pid, "environ").split(b"\0") and is_of(pid, words)]
    os.kill(workers[0], signal.SIGKILL)
    output, _ = run.communicate(timeout=600)
    assert run.returncode == 0, output
    assert output.count("resumed from") == 1 and [row["epoch"] for row in rows(words, "train")] == list(range(8))


def is_of(pid: int, words: list[str]) -> bool:
    """Whether a process is one of this run, and no loader of one."""
    return str(folder(words)).encode() in read(pid, "cmdline").split(b"\0")


def test_a_start_by_torchrun_anew(tmp_path: Path) -> None:
    """torchrun's store keeps what the processes of an earlier start have written there.

    The node whose process has died counts one start more than the other.
    """
    store = torch.distributed.TCPStore("127.0.0.1", 0, None, True, wait_for_workers=False)
    for fault in ({"die": [1, 2]}, {}):
        env = {"MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
        env |= {"TORCHELASTIC_RUN_ID": "x", "TORCHELASTIC_RESTART_COUNT": "0"}
        processes = ranks(rank_elastic.meet, [json.dumps(fault), str(tmp_path)], 2, env)
        outputs = [process.communicate(timeout=120)[0] for process in processes]
        assert [process.returncode for process in processes] == ([2, -9] if fault else [0, 0]), outputs
