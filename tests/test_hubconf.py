"""`torch.hub` gives a Predictor of a checkpoint."""

from __future__ import annotations

import lzma
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from shared import GOLDEN

import hubconf
import inference

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """A trained network of a few thousand weights."""
    path = tmp_path / "before.pth"
    path.write_bytes(lzma.decompress((GOLDEN / "before_the_house/before.pth.xz").read_bytes()))
    return str(path)


def test_two_lines_give_predictions(checkpoint: str) -> None:
    before = list(sys.path)
    predictor = torch.hub.load(str(ROOT), "predictor", checkpoint, source="local")
    assert isinstance(predictor, inference.Predictor) and sys.path == before
    assert predictor.spec is not None and predictor.spec.classes[:2] == ("road", "sidewalk")
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    (prediction,) = predictor([image])
    assert prediction.classes.shape == (64, 96) and prediction.classes.dtype == torch.uint8
    (same,) = inference.load(checkpoint)([image])
    assert torch.equal(prediction.classes, same.classes)


@pytest.mark.slow
def test_flags_of_the_driver_are_taken(checkpoint: str) -> None:
    predictor = torch.hub.load(str(ROOT), "predictor", checkpoint, "cpu", "--do_flip", source="local")
    assert predictor.rule.flip and not inference.load(checkpoint).rule.flip


def test_every_package_that_is_imported_is_looked_for() -> None:
    """In a process of its own: whatever the predictor's import loads of this folder."""
    code = "import sys, inference; print(*{name.partition('.')[0] for name, m in sys.modules.items() if "
    code += "(getattr(m, '__file__', None) or '').startswith(sys.argv[1] + '/') and '/.venv/' not in m.__file__})"
    found = subprocess.check_output([sys.executable, "-c", code, str(ROOT)], cwd=ROOT, text=True)
    assert {*found.split()} <= {*hubconf._OURS}


@pytest.mark.parametrize("name", ["datasets", "runtime", "media"])
def test_a_module_of_the_same_name_is_named(name: str, checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    with pytest.raises(ImportError, match=f"a module '{name}' is loaded already"):
        torch.hub.load(str(ROOT), "predictor", checkpoint, source="local")
