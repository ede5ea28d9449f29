"""How scripts end."""

from __future__ import annotations

from pathlib import Path

import pytest

from utils.cli import exit_code
from utils.errors import UserError


def raising(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    "error, code, line",
    [
        (UserError("a is wrong"), 2, "error: a is wrong\n"),
        (OSError(28, "No space left on device", "x.png"), 2, "error: x.png: No space left on device\n"),
        (OSError(28, "No space left on device"), 2, "error: here: No space left on device\n"),
        (KeyboardInterrupt(), 130, "stopped: the same command goes on from here\n"),
    ],
)
def test_one_line_and_a_code(error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(lambda: raising(error), Path("here")) == code
    assert capsys.readouterr().err == line


def test_what_is_not_the_users_mistake_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        exit_code(lambda: raising(KeyError("a")))


def test_a_code_of_its_own_is_kept() -> None:
    assert exit_code(lambda: 143) == 143


def test_done_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(lambda: print("done")) == 0
    assert capsys.readouterr() == ("done\n", "")
