"""Which signals ask a run to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from engine import launch
from engine.stop import StopRequest, terminable
from utils.cli import exit_code
from utils.distributed import DistributedContext

ALL = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def signals_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ALL}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ALL)
def test_each_of_them_asks(number: signal.Signals) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    stop = StopRequest()
    assert not stop.requested(DistributedContext())
    os.kill(os.getpid(), number)
    assert stop.requested(DistributedContext()) and stop.exit_code == 128 + number


def test_nohup_is_left_alone() -> None:
    """A closed terminal is nothing to a run that was started so, nor to one on several GPUs."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = StopRequest()
    os.kill(os.getpid(), signal.SIGHUP)
    assert not stop.requested(DistributedContext()) and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    with launch._signals_passed_on([]):
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_IGN


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_before_the_first_step_a_signal_ends_a_command_with_a_line(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with terminable():
        assert exit_code(lambda: os.kill(os.getpid(), number), stopped="start again") == 128 + number
    assert capsys.readouterr().err == f"stopped by {number.name}: start again\n"
    assert signal.getsignal(number) == before


def test_a_training_takes_the_signals_over() -> None:
    with terminable():
        stop = StopRequest()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested(DistributedContext())


@pytest.mark.parametrize(
    ("launched", "asked"), [("SLURM_STEP_ID", True), ("TORCHELASTIC_RUN_ID", True), ("HOME", False)]
)
def test_a_launcher_that_is_gone_asks(monkeypatch: pytest.MonkeyPatch, launched: str, asked: bool) -> None:
    """A shell that has started a run in the background may end."""
    for name in ("SLURM_STEP_ID", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(launched, "0")
    stop = StopRequest()
    assert not stop.requested(DistributedContext())
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert stop.requested(DistributedContext()) == asked
