"""Files that cannot be run are answered by one line; one that can gives what it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from onnxfiles import facts, write

from runtime import files
from utils.errors import UserError


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("net.pt2", "it is run by torch; without torch .onnx and .xml are run"),
        ("net.tflite", "it is run by LiteRT's own interpreter"),
        ("net.engine", "it is run by TensorRT on its GPU"),
        ("best.pth", "it is a checkpoint: give it as --snapshot"),
        ("net.bin", "it belongs to the .xml beside it"),
        ("net.jpg", "it is no exported file"),
        ("net.onnx", "there is no such file"),
    ],
)
def test_what_is_not_run(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        files.open_file(tmp_path / name)
    assert message in str(told.value) and name in str(told.value)


@pytest.mark.parametrize(("name", "package"), [("net.onnx", "onnxruntime"), ("net.xml", "openvino")])
def test_a_runtime_that_is_not_there(name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).touch()
    monkeypatch.setattr(files, "find_spec", lambda module: None)
    with pytest.raises(UserError, match=f"which is not installed: pip install {package}"):
        files.open_file(tmp_path / name)


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="no onnxruntime")
def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match="onnxruntime cannot open it"):
        files.open_file(tmp_path / "net.onnx")


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="no onnxruntime")
def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    run, says = files.open_file(write(tmp_path / "net.onnx", facts("argmax", size=(64, 96))))
    assert says == facts("argmax", size=(64, 96))
    (classes,) = run(np.zeros((1, 64, 96, 3), np.uint8))
    assert classes.shape == (1, 64, 96) and classes.dtype == np.int32
