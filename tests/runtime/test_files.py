"""Files that cannot be run are answered by one line; one that can gives what it says."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnxfiles import facts, write, write_xml

from runtime import files
from utils.errors import UserError

ROOT = Path(__file__).parents[2]


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
def test_what_a_runtime_says(tmp_path: Path) -> None:
    """Its reason stands at the end, behind places in its source; of an array that it cannot take, a line, too."""
    onnx = pytest.importorskip("onnx")
    newer, path = tmp_path / "newer.onnx", write(tmp_path / "net.onnx", facts(size=(64, 96)))
    model = onnx.load(str(path))
    model.ir_version = 99
    newer.write_bytes(model.SerializeToString())  # onnx.save would check it
    with pytest.raises(UserError, match=r"newer than what this version reads \(\.\.\. .*IR version: 99, max"):
        files.open_file(newer)
    run, _ = files.open_file(path)
    with pytest.raises(UserError, match=r"net\.onnx: onnxruntime cannot run it on 1x32x96x3 \(.*Got: 32 Expected: 64"):
        run(np.zeros((1, 32, 96, 3), np.uint8))


def test_runtimes_send_nothing() -> None:
    """ONNX Runtime, OpenVINO and NNCF would tell their makers which models they run."""
    code = (
        "import os, sys; from runtime import files; files.imported('json')\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'], sys.modules['openvino_telemetry'])"
    )
    env = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["1", "None"]
    imports = re.compile(r"^\s*(import|from) (onnxruntime|openvino|nncf)\b", re.MULTILINE)
    rooms = ("runtime", "inference", "engine", "benchmarks", "scripts")
    assert [p for room in rooms for p in (ROOT / room).rglob("*.py") if imports.search(p.read_text())] == []


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="no openvino")
def test_weights_of_another_export(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    path = write_xml(tmp_path / "net.xml", facts())
    assert files.open_file(path)[1] == facts()
    other = write_xml(tmp_path / "other.xml", replace(facts(), mean=(0.1, 0.2, 0.3)))
    weights = other.with_suffix(".bin").replace(path.with_suffix(".bin"))
    with pytest.raises(UserError, match=r"net\.xml: net\.bin beside it is of another export"):
        files.open_file(path)
    weights.unlink()
    with pytest.raises(UserError, match=r"net\.xml: its weights, net\.bin, have to lie beside it"):
        files.open_file(path)


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="no onnxruntime")
def test_a_file_says_what_it_is(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    run, says = files.open_file(write(tmp_path / "net.onnx", facts("argmax", size=(64, 96))))
    assert says == facts("argmax", size=(64, 96))
    (classes,) = run(np.zeros((1, 64, 96, 3), np.uint8))
    assert classes.shape == (1, 64, 96) and classes.dtype == np.int32
