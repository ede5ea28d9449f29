"""What is looked at before an address is told: folders, checkpoints, bounds; and that the page ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving import listen, site
from serving.app import Served
from utils.errors import UserError

LOCAL = "127.0.0.1"


def prepared(place: str = "", snapshot: str = "", **more: Any) -> tuple[Served, list[str]]:
    """What is served, and the lines that were said."""
    lines: list[str] = []
    bounds = more.pop("bounds", site.Bounds())
    return site.prepared(place, snapshot, [], more.pop("host", LOCAL), bounds, lines.append), lines


@pytest.fixture(autouse=True)
def _network(served: Callable[..., Served]) -> None:
    """Loads the small network for every checkpoint."""


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with a run."""
    (tmp_path / "logs/one").mkdir(parents=True)
    (tmp_path / "logs/one/best_checkpoint_ep0.pth").touch()
    return tmp_path / "logs"


def test_the_network_of_a_single_run_is_loaded_at_once(logs: Path) -> None:
    page, lines = prepared(str(logs))
    assert lines[0] == f"1 run in {logs}" and lines[1].startswith("network: tiny.Channels, 3 classes")
    assert page.networks._key == page.listing().runs[0].key


def test_of_several_the_visitor_chooses(logs: Path) -> None:
    (logs / "two").mkdir()
    (logs / "two/last_checkpoint_ep0.pth").touch()
    page, lines = prepared(str(logs))
    assert lines == [f"2 runs in {logs}"] and page.networks._key == ""
    page, lines = prepared(str(logs), "x.pth")
    assert page.networks._key == "given" and next(iter(page.checkpoints(page.listing()))) == "given"


def test_a_file_is_a_checkpoint(logs: Path) -> None:
    page, lines = prepared(str(logs / "one/best_checkpoint_ep0.pth"))
    assert (page.root, page.checkpoint) == (None, str(logs / "one/best_checkpoint_ep0.pth")) and len(lines) == 1


def test_runs_without_checkpoints_are_listed(tmp_path: Path) -> None:
    (tmp_path / "report.html").touch()
    page, lines = prepared(str(tmp_path))
    assert "no run has a checkpoint" in lines[-1] and page.checkpoints(page.listing()) == {}


@pytest.mark.parametrize(
    ("place", "more", "words"),
    [
        ("", {}, "nothing to show: give --snapshot CKPT, a run, or a folder of runs"),
        ("lgos", {}, "lgos: there is no such folder of runs; did you mean 'logs'"),
        ("empty", {}, "empty: no run in it"),
        ("logs", {"bounds": site.Bounds(megabytes=0)}, "--max_upload 0: give more than 0"),
        ("logs", {"bounds": site.Bounds(megapixels=float("nan"))}, "--max_megapixels nan"),
    ],
)
def test_mistakes(logs: Path, place: str, more: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(logs.parent)
    (logs.parent / "empty").mkdir()
    with pytest.raises(UserError, match=words):
        prepared(place, **more)


@pytest.mark.parametrize("port", [-1, 65536])
def test_ports_that_are_none(logs: Path, port: int) -> None:
    with pytest.raises(UserError, match=f"--port {port}: give 1 to 65535"):
        site.serve(prepared(str(logs))[0], port)


class Ended:
    """A server that Ctrl-C ends at once."""

    port = 4321

    def serve_forever(self) -> None:
        raise KeyboardInterrupt

    def server_close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("host", "warned"), [(LOCAL, False), ("0.0.0.0", True)])
def test_the_address_is_said_and_an_open_one_is_warned_of(
    logs: Path, host: str, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, lines = prepared(str(logs), host=host)
    monkeypatch.setattr(listen, "server", lambda app, asked, port: Ended() if asked == host else None)
    site.serve(page, 0)
    assert lines[-1] == "ended" and ":4321/ (Ctrl-C ends)" in lines[-2]
    assert any("there is no password" in line for line in lines) == warned
