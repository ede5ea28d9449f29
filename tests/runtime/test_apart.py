"""A file in a process of its own gives what it gives in this one; a process that dies is an error of one line."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import numpy as np
import pytest
from onnxfiles import facts, write

from runtime import apart, files
from runtime.apart import Apart
from utils.errors import UserError

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")), reason="no onnx, no onnxruntime"
)
IMAGE = np.random.default_rng(0).integers(0, 256, (1, 70, 90, 3), np.uint8)


@pytest.mark.run
def test_another_process(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", facts())
    run = Apart(path)
    (found,), (wanted,) = run(IMAGE), files.onnx(path).run(IMAGE)
    assert np.array_equal(found, wanted) and found.dtype == wanted.dtype
    with pytest.raises(UserError, match=r"net\.onnx: InvalidArgument: "):
        run(IMAGE[..., :2])
    assert np.array_equal(run(IMAGE)[0], wanted)  # it goes on
    run._process.kill()
    with pytest.raises(UserError, match=r"net\.onnx: its runtime ended by SIGKILL; try --size"):
        run(IMAGE)


def test_what_is_answered(tmp_path: Path) -> None:
    path = write(tmp_path / "net.onnx", facts("argmax"))
    given, answers = io.BytesIO(), io.BytesIO()
    for image in (IMAGE, IMAGE[:, :64]):
        apart._put(given, {"image": image})
    given.seek(0)
    apart.serve(path, "", given, answers)
    answers.seek(0)
    shapes = [[*apart._take(answers).values()][0].shape for _ in range(2)]
    assert shapes == [(1, 70, 90), (1, 64, 90)]
    with pytest.raises(EOFError):
        apart._take(answers)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"no graph")
    given, answers = io.BytesIO(), io.BytesIO()
    apart._put(given, {"image": IMAGE})
    given.seek(0)
    apart.serve(tmp_path / "net.onnx", "", given, answers)
    answers.seek(0)
    assert "INVALID_PROTOBUF" in str(apart._take(answers)["error"])
