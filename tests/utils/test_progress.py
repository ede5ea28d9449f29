"""How far a long piece of work is."""

from __future__ import annotations

import pytest

from utils.progress import progress


@pytest.mark.parametrize(
    ("total", "lines"), [(3, ["1/3", "2/3", "3/3"]), (10, ["2/10", "4/10", "6/10", "8/10", "10/10"])]
)
def test_plain_lines_where_there_is_no_terminal(
    total: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(progress(iter(range(total)), "work", total)) == list(range(total))
    shown = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in shown] == [f"work {line}" for line in lines]
    assert all("s left" in line for line in shown[:-1]) and "left" not in shown[-1]


def test_without_a_known_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(list(progress(iter(range(250)), "frames", 0))) == 250
    assert capsys.readouterr().err.splitlines() == ["frames 100", "frames 200"]


def test_silent_ranks(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress([1, 2], "work", 2, shown=False)) == [1, 2]
    assert capsys.readouterr().err == ""
