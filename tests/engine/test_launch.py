"""A process on each GPU: which GPUs are meant, what the processes are told, how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from forked import Process

from engine import launch
from options import kinds
from options.table import OPTIONS
from utils import distributed, gpus
from utils.errors import UserError

ROOT = Path(__file__).parents[2]
LAUNCHERS = ("LOCAL_RANK", "WORLD_SIZE", "RANK", "SLURM_STEP_NUM_TASKS", "CUDA_VISIBLE_DEVICES", distributed.LAUNCHED)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No launcher has started this process; four GPUs are there."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with monkeypatch.context() as patch:
        for name in LAUNCHERS:
            patch.setenv(name, "")  # what a test sets itself is taken back, too
            patch.delenv(name)
        yield


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0-3", [0, 1, 2, 3]),
        ("0,2,4", [0, 2, 4]),
        ("gpu0-gpu3", [0, 1, 2, 3]),
        ("GPU1, gpu5", [1, 5]),
        ("3-1", [3, 2, 1]),
        ("1,0-2,gpu1,2-0", [1, 0, 2]),
        ("7", [7]),
    ],
)
def test_the_published_ways_to_write_gpus(text: str, found: list[int]) -> None:
    assert [*kinds.gpus.read(text)] == found and gpus.present(found, 8) == found


@pytest.mark.parametrize(
    ("text", "count", "message"),
    [
        ("0-3", 2, "--device 0,1,2,3: no GPU 3 here, they are 0-1"),
        ("3-0", 2, "no GPU 3 here, they are 0-1"),
        ("1", 1, "no GPU 1 here, there is GPU 0 alone"),
        ("0", 0, "no GPU 0 here, there is none; leave it out to compute on the CPU"),
        ("0-99999999999", 4, "--device takes numbers of GPUs like 0-3 or 0,2,4, not"),
        ("all", 4, "--device takes numbers of GPUs like 0-3 or 0,2,4, not 'all'"),
        ("0,,2", 4, "takes numbers"),
        ("-1", 4, "takes numbers"),
        ("0-1-2", 4, "takes numbers"),
    ],
)
def test_gpus_that_are_not_there_are_one_line(text: str, count: int, message: str) -> None:
    with pytest.raises(UserError) as caught:
        gpus.present(OPTIONS["OPTIONS.DEVICES"].coerce(text, "--device"), count)
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_one_gpu_needs_no_other_process() -> None:
    assert launch.on([2], ["nothing.py"]) is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "2"


def test_where_one_process_works_it_takes_one_gpu() -> None:
    gpus.one([])
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    with pytest.raises(UserError, match="--device 0,1: a single GPU is used here, give its number alone"):
        gpus.one([0, 1])
    gpus.one([3])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


def test_numbers_count_what_this_process_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-5a,6,7")
    assert gpus.visible([3, 1]) == ["7", "GPU-5a"]
    assert launch.on([1], ["nothing.py"]) is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-5a"


@pytest.mark.parametrize(
    "env", [{"LOCAL_RANK": "0"}, {"WORLD_SIZE": "2"}, {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}]
)
def test_two_launchers_are_one_line(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="starts its processes itself: leave it out with torchrun or srun"):
        launch.on([0, 1], ["nothing.py"])


@pytest.mark.slow
@pytest.mark.run
def test_each_process_finds_its_place(tmp_path: Path) -> None:
    """Words and environment; it is not started a second time, and its records say how it was."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import os, sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom engine import launch\nfrom utils import distributed\n"
        "assert launch.on([0, 3], ['nothing.py']) is None and distributed.launcher() == 'python'\n"
        "names = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'LOCAL_WORLD_SIZE', 'CUDA_VISIBLE_DEVICES', 'MASTER_PORT')\n"
        f"place = os.path.join({str(tmp_path)!r}, os.environ['RANK'])\n"
        "open(place, 'w').write(' '.join([*(os.environ[n] for n in names), *sys.argv[1:]]))\n"
    )
    assert launch.on([0, 3], [str(script), "--flag", "two words"]) == 0
    first, second = ((tmp_path / rank).read_text().split(" ", 6) for rank in "01")
    assert first[:5] == ["0", "0", "2", "2", "0,3"] and second[:5] == ["1", "1", "2", "2", "0,3"]
    assert first[5] == second[5] and first[6] == second[6] == "--flag two words"


def processes(*codes: str) -> list[subprocess.Popen[bytes]]:
    return [subprocess.Popen([sys.executable, "-c", f"import os, signal, sys, time; {code}"]) for code in codes]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["pass", "pass"], 0),
        (["pass", "sys.exit(3)"], 3),
        (["os.kill(os.getpid(), signal.SIGKILL)", "time.sleep(100)"], 137),
        (["signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(100)", "time.sleep(1); sys.exit(2)"], 2),
    ],
)
def test_the_first_failure_is_told_and_nobody_is_left(
    codes: list[str], expected: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What waits for the one that failed is asked, and then made, to end; a killed one cannot speak for itself."""
    monkeypatch.setattr(launch, "_PATIENCE", 0.3)
    started = processes(*codes)
    assert launch.supervised(started) == expected
    assert all(process.poll() is not None for process in started)
    said = "error: process 0 has died (SIGKILL): as a rule memory ran out" in capsys.readouterr().err
    assert said == (expected == 137)


def launched_on_two(words: list[str]) -> int:
    """`launch.on` where there are two GPUs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "device_count", lambda: 2)
        return launch.on([0, 1], words) or 0


@pytest.mark.in_make_test("TERM", "INT")
@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "USR1"])
def test_signals_are_passed_on(tmp_path: Path, name: str) -> None:
    """To every process, which the terminal itself does not reach; the end is theirs."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, sys, time\n"
        f"signal.signal(signal.SIG{name}, lambda number, frame: sys.exit(40 + int(os.environ['RANK'])))\n"
        "os.write(1, f'ready {os.getpgid(0) == os.getpid()}\\n'.encode())\ntime.sleep(60)\nsys.exit(1)\n"
    )
    process = Process(launched_on_two, [str(script)], os.environ)
    assert [process.stdout.readline() for _ in range(2)] == ["ready True\n"] * 2
    process.send_signal(getattr(signal, f"SIG{name}"))
    process.communicate(timeout=60)
    assert process.returncode in (40, 41)


@pytest.mark.slow
@pytest.mark.run
def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    """Even where it has no time to say so."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import os, sys, time\nsys.path.insert(0, {str(ROOT)!r})\nfrom engine import launch\nlaunch.on([0, 1], [])\n"
        f"open(os.path.join({str(tmp_path)!r}, os.environ['RANK'] + '.pid'), 'w').write(str(os.getpid()))\n"
        "time.sleep(100)\n"
    )
    parent = Process(launched_on_two, [str(script)], os.environ)
    files = [tmp_path / f"{rank}.pid" for rank in range(2)]
    until(lambda: all(file.exists() and file.read_text() for file in files))
    parent.send_signal(signal.SIGKILL)
    until(lambda: not any(alive(int(file.read_text())) for file in files))


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_as_many_processes_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU where there is no GPU; not beside another launcher; a line for too few GPUs."""
    for name in ("WORLD_SIZE", launch.LAUNCHED):
        monkeypatch.delenv(name, raising=False)
    started: list[object] = []
    monkeypatch.setattr(launch, "_processes", lambda names, command: started.append((list(names), command)) or 3)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert launch.as_before(1, ["x.py"]) is None and launch.as_before(2, ["x.py"]) == 3
    with pytest.raises(UserError, match="the run had 99999 processes: more than 64"):
        launch.as_before(99_999, ["x.py"])
    assert started == [(["", ""], ["x.py"])]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="2 processes, and here are 1 GPU"):
        launch.as_before(2, ["x.py"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launch.as_before(2, ["x.py"]) is None
