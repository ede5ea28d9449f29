"""A process that the others wait for: who is named, what is shown, and that nobody is left."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import rank_hang
from forked import Process, ranks

from utils.watch import Place


def ended(tmp_path: Path, way: str, rank: int, world: int = 2, seconds: str = "3") -> tuple[list[Process], list[str]]:
    """Processes of which one goes its way, when all have ended, and what they said."""
    processes = ranks(rank_hang.main, [way, str(rank), str(tmp_path / "log"), seconds], world)
    others = [process for number, process in enumerate(processes) if number != rank]
    said = {id(process): process.communicate(90)[0] for process in others}
    if way in ("stopped", "native"):  # a launcher kills it
        processes[rank].send_signal(signal.SIGKILL)
    said[id(processes[rank])] = processes[rank].communicate(90)[0]
    return processes, [said[id(process)] for process in processes]


def test_one_that_hangs_is_named_with_its_stack(tmp_path: Path) -> None:
    processes, said = ended(tmp_path, "stuck_here", 1, world=3)
    assert [process.returncode for process in processes] == [2, 2, 2], said
    for output in said:
        assert "error: process 1 on" in output and "hangs: the others have waited for 3 s" in output
        assert output.strip().splitlines()[-1].startswith("error: ")
    assert "in stuck_here" in said[0] and "in stuck_here" in said[1] and "in stuck_here" not in said[2]
    assert "in stuck_here" in (tmp_path / "log0").read_text() and "hangs" in (tmp_path / "log0").read_text()


@pytest.mark.parametrize("rank", [0, 1])
def test_one_that_is_lost_is_named(tmp_path: Path, rank: int) -> None:
    """Also where it keeps the store of all."""
    processes, said = ended(tmp_path, "stopped", rank)
    assert processes[1 - rank].returncode == 2
    assert f"error: process {rank} " in said[1 - rank] and "gives no sign of life" in said[1 - rank]


@pytest.mark.parametrize("way", ["slow", "late"])
def test_one_that_works_is_waited_for(tmp_path: Path, way: str) -> None:
    """Pieces of work that some progress counts show it."""
    processes, said = ended(tmp_path, way, 1)
    assert [process.returncode for process in processes] == [0, 0], said


def test_a_store_that_stands_still_for_a_while(tmp_path: Path) -> None:
    """Whoever has waited in vain for its answer asks it again."""
    processes, said = ended(tmp_path, "frozen", 0, seconds="5")
    assert [process.returncode for process in processes] == [0, 0], said


@pytest.mark.faults
@pytest.mark.parametrize("way", ["busy_here", "native"])
def test_one_that_hangs_otherwise(tmp_path: Path, way: str) -> None:
    """Native code that lets no thread run looks like a lost process, whose stack faulthandler prints on its own."""
    processes, said = ended(tmp_path, way, 0)
    assert processes[1].returncode == 2 and "error: process 0 " in said[1]
    if way == "busy_here":
        assert "in busy_here" in said[1] and processes[0].returncode == 2


def test_nobody_watches(tmp_path: Path) -> None:
    processes, said = ended(tmp_path, "late", 1, seconds="0")
    assert [process.returncode for process in processes] == [0, 0], said


def test_places_are_written_and_read() -> None:
    place = Place(5, 7, 2, "a host")
    assert Place.of(place.text()) == place
