"""What a file says of itself is what it was told; what says too little is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnxfiles import facts

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


@pytest.mark.parametrize("wrong", [{"palette": "[[1, 2, 3]]"}, {"label_ids": "[7, 8]"}, {"classes": '["road"]'}])
def test_lists_of_other_lengths(wrong: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"net\.onnx does not say .*classes, .* colors, .* label values"):
        read(FILE, facts().written() | wrong)
