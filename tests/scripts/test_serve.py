"""The command line of the page, and that it says what is missing."""

from __future__ import annotations

import sys

import pytest

from scripts import serve


@pytest.mark.parametrize(
    ("line", "place", "snapshot", "rest"),
    [
        ("logs", "logs", "", []),
        ("logs --port 80", "logs", "", []),
        ("--port 80 logs", "logs", "", []),
        ("--snapshot x.pth --n_scales 0.5,1.0", "", "x.pth", ["--n_scales", "0.5,1.0"]),
        ("logs --n_scales 0.5,1.0 MODEL.ARCH a", "logs", "", ["--n_scales", "0.5,1.0", "MODEL.ARCH", "a"]),
        ("--snapshot x.pth MODEL.ARCH a", "", "x.pth", ["MODEL.ARCH", "a"]),
    ],
)
def test_the_folder_and_the_flags_of_train_are_told_apart(
    line: str, place: str, snapshot: str, rest: list[str]
) -> None:
    args, found, further = serve.read(line.split())
    assert (found, args.snapshot, further) == (place, snapshot, rest)


def test_it_is_for_this_machine_unless_asked() -> None:
    args, _, _ = serve.read([])
    assert (args.host, args.port, args.max_upload) == ("127.0.0.1", 0, 30)


@pytest.mark.parametrize("missing", ["flask", "werkzeug.serving"])
def test_flask_that_is_missing_is_one_line(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "serving"]:
        monkeypatch.delitem(sys.modules, name)
    assert serve.main(["logs"]) == 2
    assert capsys.readouterr().err == f"error: {serve.NEEDS}\n"


def test_a_mistake_is_one_line(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    assert serve.main([str(tmp_path / "none")]) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ") and "there is no such folder of runs" in line and line.count("\n") == 1
    assert serve.main(["--snapshot", str(tmp_path / "none.pth")]) == 2
    assert "none.pth: there is nothing here" in capsys.readouterr().err
