"""The C++ example: built by CMake against OpenVINO's wheel, it gives the demo's mask."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from demos import noise, save
from onnxfiles import SPEC, facts, write_xml
from PIL import Image

from runtime import files
from runtime.apply import Applied

SOURCE = Path(__file__).parents[2] / "examples/cpp"


def missing() -> str:
    """What is needed and not here, as a reason to skip."""
    packages = [name for name in ("onnx", "openvino") if importlib.util.find_spec(name) is None]
    programs = [name for name in ("cmake", "c++") if shutil.which(name) is None]
    headers = [] if list(Path("/usr/include").glob("stb/stb_image.h")) else ["libstb-dev"]
    return ", ".join([*packages, *programs, *headers])


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=f"not installed: {missing()}")
def test_the_demos_mask(tmp_path: Path) -> None:
    import openvino

    build, image = tmp_path / "build", noise(130, 170)
    place = Path(openvino.__path__[0]) / "cmake"
    asked = ["cmake", "-S", SOURCE, "-B", build, "-DCMAKE_BUILD_TYPE=Release", f"-DOpenVINO_DIR={place}"]
    subprocess.run(asked, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", build], check=True, stdout=subprocess.DEVNULL)
    program = str(build / "streetscale_mask")

    model, picture = write_xml(tmp_path / "net.xml", facts("argmax")), save(tmp_path / "a.png", image)
    subprocess.run([program, model, picture, tmp_path / "mask.png"], check=True)
    run, says = files.open_file(model)
    wanted = np.array(SPEC.train_to_id, np.uint8)[Applied(run, says, print)(image).classes]
    with Image.open(tmp_path / "mask.png") as stored:
        assert stored.mode == "L" and np.array_equal(np.array(stored), wanted)

    def complaint(*words: str | os.PathLike[str]) -> str:
        ran = subprocess.run([program, *words], capture_output=True, text=True)
        assert ran.returncode == 2
        return ran.stderr

    fixed = write_xml(tmp_path / "fixed.xml", facts("argmax", size=(64, 96)))
    assert "takes pictures of 64x96" in complaint(fixed, picture, "mask.png")
    scores = write_xml(tmp_path / "scores.xml", facts("logits"))
    assert "does not take pictures and give classes" in complaint(scores, picture, "mask.png")
    assert "sides from 64 on" in complaint(model, save(tmp_path / "small.png", image[:40]), "mask.png")
    assert "absent.png" in complaint(model, "absent.png", "mask.png")
    assert complaint().startswith("usage: ")
