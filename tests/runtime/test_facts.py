"""What a file says of itself is what it was told; what says too little is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from onnxfiles import SPEC, facts

from runtime.facts import read
from utils.errors import UserError

FILE = Path("net.onnx")


@pytest.mark.parametrize("says", [facts(), facts("argmax", raw=False, size=(64, 96))])
def test_written_and_read(says) -> None:
    assert read(FILE, says.written()) == says


@pytest.mark.parametrize(
    "wrong", [{"input": "bgr"}, {"palette": "[[1, 2]]"}, {"size": "[1"}, {"mean": "[null]"}, {"output": "x"}]
)
def test_what_says_too_little(wrong: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"net\.onnx does not say what it takes and gives .*scripts/export\.py"):
        read(FILE, facts().written() | wrong)
    (key,) = wrong
    with pytest.raises(UserError, match=f"'{key}'"):
        read(FILE, {name: text for name, text in facts().written().items() if name != key})


HOSTILE = [
    {"palette": "[[300, 0, 0]]"}, {"palette": "[[-1, 2, 3]]"}, {"palette": "[[1e400, 0, 0]]"}, {"label_ids": "[-1]"},
    {"label_ids": "[70000]"}, {"label_ids": "[5, 5]"}, {"size": "[-5, 3]"}, {"size": "[1000000000, 64]"},
    {"size": '"96"'}, {"size": "false"}, {"size": "[96]"}, {"classes": "[" * 100000}, {"classes": '"ab"'},
    {"classes": '{"a": 1}'}, {"classes": "[]"}, {"mean": "[0.5]"}, {"std": "[0, 0, 0]"}, {"mean": "[NaN, 0, 0]"},
    {"std": "[1e999, 1, 1]"}, {"ignore_label": "9" * 5000}, {"input": "\x1b[2J\nx"},
]  # fmt: skip


@pytest.mark.parametrize("wrong", HOSTILE, ids=str)
def test_what_cannot_be_is_one_line(wrong: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"net\.onnx does not say what it takes and gives") as raised:
        read(FILE, facts().written() | wrong)
    assert str(raised.value).isprintable() and len(str(raised.value)) < 600


def test_more_classes_than_a_mask_holds() -> None:
    many = {"classes": json.dumps(["a"] * 300), "palette": json.dumps([[1, 2, 3]] * 300), "label_ids": "[]"}
    with pytest.raises(UserError, match="300 classes"):
        read(FILE, facts().written() | many)


def test_texts_are_shown_on_one_line() -> None:
    """What a file says of itself reaches the terminal and a log, which says whose masks a folder holds."""
    names = ["\x1b[31mroad\n\rERR", *SPEC.classes[1:]]
    says = {"classes": json.dumps(names), "dataset": "x\npython demo.py y", "precision": "\x1b[2J\nfp32"}
    found = read(FILE, facts().written() | says)
    assert all(text.isprintable() for text in (*found.spec.classes, found.spec.name, found.precision))
    assert found.spec.name == r"x\npython demo.py y"


@pytest.mark.parametrize("wrong", [{"palette": "[[1, 2, 3]]"}, {"label_ids": "[7, 8]"}, {"classes": '["road"]'}])
def test_lists_of_other_lengths(wrong: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"net\.onnx does not say .*classes, .* colors, .* label values"):
        read(FILE, facts().written() | wrong)
