"""The temperature beside a checkpoint: for that checkpoint alone, and said in a line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from inference import temperature
from inference.rule import PLAIN


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A checkpoint with a temperature."""
    path = tmp_path / "best_checkpoint_ep1.pth"
    path.write_bytes(b"weights")
    temperature.write(path, 1.75, ("a", "b"), PLAIN, {"images": 3})
    return path


def test_it_is_of_its_checkpoint(file: Path) -> None:
    value, line = temperature.of(file, ("a", "b"), PLAIN)
    assert value == 1.75 and f"1.750 of {file.parent / temperature.FILE}" in line and "another" not in line
    assert json.loads((file.parent / temperature.FILE).read_text())["images"] == 3
    assert temperature.of(file, ("a", "b"), replace(PLAIN, tile=64)) == (value, line)  # tiles are for memory alone
    assert "fitted under another way" in temperature.of(file, ("a", "b"), replace(PLAIN, flip=True))[1]


@pytest.mark.parametrize("what", ["checkpoint", "classes", "text", "value", "none", "list", "huge", "deep"])
def test_what_is_of_others_is_not_used_and_said(what: str, file: Path) -> None:
    place, classes = file.parent / temperature.FILE, ("a", "b")
    content = json.loads(place.read_text())
    if what == "checkpoint":
        file.write_bytes(b"other weights")
    elif what == "classes":
        classes = ("a", "c")
    elif what == "none":
        place.unlink()
    else:
        wrong = {"text": "{", "value": json.dumps({**content, "temperature": 0}), "list": "[]", "deep": "[" * 100_000}
        wrong["huge"] = json.dumps({**content, "temperature": 10**400})
        place.write_text(wrong[what])
    value, line = temperature.of(file, classes, PLAIN)
    assert value == 1 and "\n" not in line
    says = {"checkpoint": "another checkpoint", "classes": "other classes", "none": "--fit writes", "value": "0 is no"}
    assert says.get(what, "cannot be read") in line


def test_only_one_that_nobody_can_use_may_be_replaced(file: Path) -> None:
    place, other = file.parent / temperature.FILE, file.with_name("last_checkpoint_ep2.pth")
    assert temperature.others(file) == ""
    assert temperature.others(other) == f"{place} is there already, of {file.name}, not of {other.name}"
    for text in ("mine", "[]", "{}", '{"checkpoint": "x"}'):
        place.write_text(text)
        assert "no temperature of a checkpoint" in temperature.others(file)
    temperature.write(file, 1.75, ("a", "b"), PLAIN, {})
    file.unlink()
    assert temperature.others(other) == ""
    place.unlink()
    assert temperature.others(file) == ""
