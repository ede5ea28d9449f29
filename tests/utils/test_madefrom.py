"""What a second start does anew: files whose inputs have changed, and files that are damaged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from utils import workers
from utils.madefrom import NAME, is_whole, remove_stale
from utils.visualize import encode_png

PNG = encode_png(np.zeros((4, 6), np.uint8))


@pytest.fixture
def made(tmp_path: Path) -> dict[Path, list[Path]]:
    """Two outputs of two inputs each, made once."""
    found = {tmp_path / f"out/{name}.png": [tmp_path / f"{name}.jpg", tmp_path / "both.txt"] for name in "ab"}
    for source in (source for inputs in found.values() for source in inputs):
        source.write_text("1")
    (tmp_path / "out").mkdir()
    for output in found:
        output.write_bytes(PNG)
    assert remove_stale(tmp_path / "out", found) == ""
    return found


def grow(made: dict[Path, list[Path]]) -> None:
    next(iter(made.values()))[0].write_text("12")


def touch(made: dict[Path, list[Path]]) -> None:
    os.utime(next(iter(made.values()))[0], ns=(0, 10**18))  # older than its output: the copy of an older file


def exchange(made: dict[Path, list[Path]]) -> None:
    first, inputs = next(iter(made.items()))
    made[first] = [inputs[0].with_suffix(".png"), inputs[1]]


def all_of_them(made: dict[Path, list[Path]]) -> None:
    os.utime(next(iter(made.values()))[1], ns=(0, 10**18))


def lose(made: dict[Path, list[Path]]) -> None:
    next(iter(made.values()))[0].unlink()


@pytest.mark.parametrize(
    ("change", "gone"), [(grow, 1), (touch, 1), (exchange, 1), (lose, 1), (all_of_them, 2), (lambda made: None, 0)]
)
def test_changed_inputs(
    made: dict[Path, list[Path]], tmp_path: Path, change: Callable[[dict[Path, list[Path]]], None], gone: int
) -> None:
    change(made)
    line = remove_stale(tmp_path / "out", made)
    assert [output.exists() for output in made] == [False] * gone + [True] * (2 - gone)
    expected = (
        f"made anew in {tmp_path / 'out'}: {gone} whose input has changed ({'a.png' if gone == 1 else 'a.png, b.png'})"
    )
    assert line == (expected if gone else "")
    for output in made:
        output.write_bytes(PNG)
    assert remove_stale(tmp_path / "out", made) == ""


@pytest.mark.parametrize("content", [b"", PNG[:-1], PNG[:20], b"\0" * len(PNG), b"<html>"])
def test_damaged_outputs(made: dict[Path, list[Path]], tmp_path: Path, content: bytes) -> None:
    first = next(iter(made))
    first.write_bytes(content)
    assert not is_whole(first)
    assert remove_stale(tmp_path / "out", made) == f"made anew in {tmp_path / 'out'}: 1 damaged (a.png)"
    assert not first.exists()


@pytest.mark.parametrize("record", [None, b"", b"{", b"[]", b"\xff\xfe"])
def test_without_a_record_the_younger_file_stays(
    made: dict[Path, list[Path]], tmp_path: Path, record: bytes | None
) -> None:
    """Files of before there was one, and a record that is damaged."""
    (tmp_path / "out" / NAME).unlink()
    if record is not None:
        (tmp_path / "out" / NAME).write_bytes(record)
    first, second = made
    os.utime(first, ns=(0, 10**18))
    assert "1 whose input has changed (a.png)" in remove_stale(tmp_path / "out", made)
    assert second.exists()


def test_a_part_of_the_work_leaves_the_rest_known(made: dict[Path, list[Path]], tmp_path: Path) -> None:
    first, second = made
    remove_stale(tmp_path / "out", {first: made[first]})
    os.utime(made[second][0], ns=(0, 10**18))
    assert "b.png" in remove_stale(tmp_path / "out", {second: made[second]})


def number(source: Path) -> bytes:
    return encode_png(np.full((2, 2), int(source.read_text()), np.uint8))


def test_a_converter_does_anew_what_has_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [(tmp_path / f"{n}.txt", tmp_path / f"{n}.png") for n in range(3)]
    for source, _ in pairs:
        source.write_text("1")
    assert workers.convert(number, pairs, "labels", 1, tmp_path) == (3, 0)
    assert workers.convert(number, pairs, "labels", 1, tmp_path) == (0, 3)
    pairs[0][0].write_text("22")
    pairs[2][1].write_bytes(b"")
    assert workers.convert(number, pairs, "labels", 1, tmp_path) == (2, 1)
    assert pairs[0][1].read_bytes() == number(pairs[0][0]) and is_whole(pairs[2][1])
    assert "1 damaged (2.png), 1 whose input has changed (0.png)" in capsys.readouterr().out
