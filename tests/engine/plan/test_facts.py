"""What is said of data is what the files hold."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import config
from engine.plan import facts
from utils.distributed import DistributedContext


@pytest.fixture
def cfg(tmp_path: Path) -> object:
    """Two images of 40x80 and one of 60x100, road but for a pole of 4x4 pixels; one label's sky is ignored."""
    for i, (height, width) in enumerate([(40, 80), (40, 80), (60, 100)]):
        label = np.zeros((height, width), np.uint8)
        label[2:6, 2:6] = 1
        label[20:] = 255 if i == 0 else 0
        for kind, picture in (("images", np.full((height, width, 3), 90, np.uint8)), ("labels", label)):
            path = tmp_path / "train" / kind / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), picture)
    (tmp_path / "classes.yaml").write_text("names: [road, pole, sky]\n")
    words = ["--dataset", "folder", "--data_root", str(tmp_path), "--classes", str(tmp_path / "classes.yaml")]
    return config.load([*words, "--num_workers", "0", "--result_dir", str(tmp_path / "run")])


def test_sizes_shares_and_objects(cfg: object) -> None:
    found = facts.of_data(cfg, DistributedContext())
    assert (found.images, found.size, found.looked_at) == (3, (40, 80), 3)
    pixels = 20 * 80 + 40 * 80 + 60 * 100
    assert found.classes == ("road", "pole", "sky")
    assert found.shares == pytest.approx(((pixels - 48) / pixels, 48 / pixels, 0))
    assert found.rarest == ("pole", pytest.approx(48 / pixels))
    assert found.small == 0  # 16 of 3200 pixels is more than a thousandth


def test_small_objects(cfg: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "SMALL", 0.0051)  # 16 of 3200 pixels, and of 6000
    assert facts.of_data(cfg, DistributedContext()).small == 0.5  # each image has a road and a pole


def test_this_machine(cfg: object) -> None:
    found = facts.of_machine(cfg, DistributedContext())
    assert found.device == "cpu" and found.cores >= 1 and 1 << 26 < found.memory < 1 << 50 and not found.half


def test_missing_packages_are_named(cfg: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "find_spec", lambda module: None if module == "timm" else object())
    assert facts.of_machine(cfg, DistributedContext()).missing == ("timm",)
