"""How scripts end."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from utils.cli import comma_list, comma_list_or_none, exit_code
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


def test_lists_with_commas() -> None:
    assert comma_list("0, 1,b") == ["0", "1", "b"] and comma_list_or_none(" ") == []
    for text in ("", " ", "1,", "1,,2"):
        with pytest.raises(ValueError):
            comma_list(text)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("scripts.auto_label", ["--threshold", ""]),
        ("scripts.compare", ["--seeds", ""]),
        ("scripts.make_scenes", ["--parts", "fine,"]),
        ("benchmarks.propagation_gain", ["--flows", "files,,dis"]),
        ("benchmarks.teacher_student", ["--seeds", "0,,2"]),
    ],
)
def test_an_empty_item_of_a_list(script: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(script).main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"invalid comma_list value: {words[1]!r}")


@pytest.mark.parametrize("name", ["", " ", "\t"])
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("scripts.auto_label", ["--out"]),
        ("benchmarks.run", ["--out"]),
        ("scripts.compare", ["plan.yaml", "--out"]),
        ("scripts.convert_checkpoint", ["x.pth"]),
        ("scripts.export", ["--out"]),
        ("scripts.make_scenes", []),
        ("scripts.propagate_labels", ["--target_dir"]),
        ("benchmarks.propagation_gain", ["--out"]),
        ("benchmarks.teacher_student", ["--out"]),
        ("scripts.train_sdcnet", ["--save"]),
        ("demo", ["--save-dir"]),
        ("demo_folder", ["--save-dir"]),
    ],
)
def test_nowhere_to_write_to(script: str, words: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What a shell makes of `--out "$UNSET"`: it would be the folder where one stands."""
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(script).main([*words, name])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"invalid place_to_write value: {name!r}")
