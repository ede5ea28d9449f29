"""Starts that cannot work are one line, soon."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from utils import distributed, rendezvous
from utils.errors import UserError
from utils.rendezvous import Place, place

BATCH = {"SLURM_JOB_ID": "5", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
STEP = {**BATCH, "SLURM_PROCID": "2", "SLURM_LOCALID": "2", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4"}
MEET = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("env", "found"),
    [
        ({}, Place()),
        (MEET, Place()),
        ({**MEET, "RANK": "0", "WORLD_SIZE": "1"}, Place()),
        ({**MEET, "RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, Place(1, 4, 1, 2)),
        ({**MEET, **STEP}, Place(2, 4, 2, 1)),
        ({**MEET, **STEP, "WORLD_SIZE": "4"}, Place(2, 4, 2, 1)),  # exported by the batch script
        ({**MEET, **BATCH, "SLURM_STEP_ID": "0"}, Place(0, 4, 0, 1)),
        (BATCH, Place()),  # one process, and nobody to meet
        ({**STEP, **MEET, "RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "3"}, Place(3, 8, 3, 1)),  # srun torchrun
        ({"RANK": "", "WORLD_SIZE": ""}, Place()),
    ],
)
def test_who_a_process_is(env: dict[str, str], found: Place) -> None:
    assert place(env) == found


@pytest.mark.parametrize(
    ("env", "line"),
    [
        ({**MEET, **BATCH}, "the job has 4 tasks, but this process is alone, since srun did not start it"),
        ({**MEET, **STEP, "SLURM_STEP_NUM_TASKS": "1"}, "the job has 4 tasks, but this process is alone"),
        (STEP, "srun starts several tasks, but MASTER_ADDR is not set"),
        ({**MEET, "WORLD_SIZE": "2"}, "WORLD_SIZE=2, but no RANK says which"),
        ({**MEET, **BATCH, "WORLD_SIZE": "4"}, "WORLD_SIZE=4, but no RANK says which"),
        ({"RANK": "1"}, "RANK=1, but with WORLD_SIZE=1 ranks end at 0"),
        ({**MEET, "RANK": "2", "WORLD_SIZE": "2"}, "RANK=2, but with WORLD_SIZE=2 ranks end at 1"),
        ({**MEET, "RANK": "one", "WORLD_SIZE": "2"}, "RANK=one in the environment is no whole number"),
        ({**MEET, "RANK": "0", "WORLD_SIZE": "-2"}, "WORLD_SIZE=-2 in the environment is no whole number from 1"),
        ({**MEET, "RANK": "0", "WORLD_SIZE": "0"}, "WORLD_SIZE=0"),
        ({**MEET, "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "a"}, "LOCAL_RANK=a"),
    ],
)
def test_who_a_process_cannot_be(env: dict[str, str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        place(env)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port where something else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def join(monkeypatch: pytest.MonkeyPatch, rank: int, port: int, **more: str) -> None:
    for name in ("SLURM_STEP_ID", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_USE_AGENT_STORE"):
        monkeypatch.delenv(name, raising=False)
    env = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), rendezvous.PATIENCE: "1", **more}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    rendezvous.join(rank, 3)


NOT_FOUND = "the processes of this run do not find each other: "


def test_nobody_comes(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(rendezvous, "ALONE", 0.3)
    with pytest.raises(UserError, match=f"{NOT_FOUND}2 of 3 did not come, rank 1, 2; .*JOIN_SECONDS"):
        join(monkeypatch, 0, free_port())
    assert capfd.readouterr().err == "waiting for other processes, 1 s at most: 2 of 3 did not come, rank 1, 2\n"
    with pytest.raises(UserError, match=f"{NOT_FOUND}nobody answers at 127.0.0.1"):
        join(monkeypatch, 1, free_port())


def test_a_port_in_use(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    with pytest.raises(UserError, match=f"port {taken} of this machine is in use.*--master_port"):
        join(monkeypatch, 0, taken)
    with pytest.raises(UserError, match="cannot meet at 127.0.0.1:.*what listens there is no run of ours"):
        join(monkeypatch, 1, taken)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("MASTER_ADDR", "no.such.host.invalid", "no.such.host.invalid is no host that is known here"),
        ("MASTER_ADDR", "", "several processes, but no MASTER_ADDR says where they meet"),
        ("MASTER_PORT", "", "no MASTER_PORT says where"),
        ("MASTER_PORT", "99999", "ports end at 65535"),
        ("MASTER_PORT", "http", "MASTER_PORT=http in the environment is no whole number"),
        (rendezvous.PATIENCE, "long", "STREETSCALE_JOIN_SECONDS=long"),
    ],
)
def test_no_place_to_meet(monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        join(monkeypatch, 1, 29500, **{name: value})


def test_one_that_comes_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    port, faults = free_port(), []

    def late(rank: int) -> None:
        try:
            rendezvous.join(rank, 3)
        except UserError as error:
            faults.append(str(error))

    others = [threading.Timer(0.2 * rank, late, (rank,)) for rank in (1, 2)]
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    for other in others:
        other.start()
    join(monkeypatch, 0, port, **{rendezvous.PATIENCE: "20"})
    for other in others:
        other.join()
    assert not faults


def test_layout_of_wrong_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "0")
    with pytest.raises(UserError, match="LOCAL_WORLD_SIZE=0 in the environment"):
        distributed.layout()
