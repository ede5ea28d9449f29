"""Long trainings and large sets: memory, open files and threads stay as they are.

FAULTS_IMAGES: images of the long training; a fifth as many are validated.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from faults.figures import record
from faults.usage import Usage, slope, usage
from torch import Tensor, nn

import network
import train
from inference import Predictor
from utils.resize import resize

IMAGES = int(os.environ.get("FAULTS_IMAGES", "100000"))
NAMES = "names: [sea, land, boat]\nids: [0, 1, 2]\ncolors: [[0, 0, 200], [90, 60, 0], [250, 250, 250]]\n"
DRAWN = 8


class Small(nn.Module):
    """A network whose steps take little more than the rest of a training."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 4, 3, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, image: Tensor, keep: object = None, size: tuple[int, int] | None = None) -> dict[str, Tensor]:
        del keep
        return {"pred": resize(self.head(self.trunk(image)), size or tuple(image.shape[-2:]))}

    def trunk_layers(self, stages: bool = False) -> dict[int, int]:
        """As a network of ours gives them."""
        del stages
        return {id(parameter): 0 for parameter in self.trunk.parameters()}

    def start_epoch(self, epoch: int) -> None:
        """As a network of ours does."""

    def wait(self, groups: object) -> None:
        """Nothing waits."""


def draw(root: Path, counts: dict[str, int]) -> None:
    """As many names of a few small pictures and their labels (hard links); 32 x 32 pixels."""
    colors = np.array([[0, 0, 200], [90, 60, 0], [250, 250, 250]], np.uint8)
    for split, count in counts.items():
        for part in ("images", "labels"):
            (root / split / part).mkdir(parents=True)
        for number in range(count):
            kinds = np.random.default_rng(number).integers(0, 3, (4, 4), np.uint8).repeat(8, 0).repeat(8, 1)
            for part, picture in (("images", colors[kinds][..., ::-1]), ("labels", kinds)):
                path, drawn = (root / split / part / f"{n:06d}.png" for n in (number, number % DRAWN))
                if number < DRAWN:
                    cv2.imwrite(str(path), picture)
                else:
                    os.link(drawn, path)
    (root / "classes.yaml").write_text(NAMES)


def words(root: Path, run: Path, batch: int) -> list[str]:
    """The command line of a training of one epoch, which is validated."""
    return [
        *("--dataset", "folder", "--data_root", str(root), "--classes", str(root / "classes.yaml")),
        *("--arch", "basic.HRNet", "--crop_size", "32", "--bs_trn", str(batch), "--bs_val", str(batch)),
        *("--num_workers", "0", "--lr", "0.01", "--class_uniform_pct", "0", "--max_epoch", "1"),
        *("--result_dir", str(run)),
    ]


class Series(NamedTuple):
    """What a process uses, at each `every`-th call."""

    every: int
    values: list[Usage]

    def grown(self) -> dict[str, Any]:
        """What the last three quarters gain: MB in a thousand calls, files and threads in all."""
        late = self.values[len(self.values) // 4 :]
        return {
            "MB in 1000": round(slope([one.memory for one in late], self.every), 3),
            "files": late[-1].files - late[0].files,
            "threads": late[-1].threads - late[0].threads,
            "memory at the end, MB": round(late[-1].memory),
        }


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, signals_restored: None, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """`run(images, validated, batch)`: trains an epoch; gives seconds and growth of its steps and predictions."""
    del signals_restored

    def watched(owner: object, name: str, every: int) -> Series:
        series, real, count = Series(every, []), getattr(owner, name), itertools.count(1)

        def call(*args: Any, **more: Any) -> Any:
            if next(count) % every == 0:
                series.values.append(usage())
            return real(*args, **more)

        monkeypatch.setattr(owner, name, call)
        return series

    def make(images: int, validated: int, batch: int) -> dict[str, Any]:
        monkeypatch.setattr(network, "build", lambda cfg: Small())
        draw(tmp_path / "data", {"train": images, "val": validated})
        steps = watched(train, "optimizer_step", max(1, images // batch // 80))
        passes = watched(Predictor, "__call__", max(1, validated // batch // 40))
        began = time.process_time()
        assert train.main(words(tmp_path / "data", tmp_path / "run", batch)) == 0
        return {
            "CPU seconds": round(time.process_time() - began),
            "steps": images // batch,
            "of steps": steps.grown(),
            "predictions": -(-validated // batch),
            "of predictions": passes.grown(),
        }

    return make


@pytest.mark.run
def test_a_training_keeps_nothing(run: Callable[..., dict[str, Any]]) -> None:
    """A hundred steps and as many predictions: what each keeps would be seen if it were 50 KB."""
    found = run(images=400, validated=400, batch=4)
    for kind in ("of steps", "of predictions"):
        assert found[kind]["files"] == found[kind]["threads"] == 0, found
        assert found[kind]["MB in 1000"] < 50, found


@pytest.mark.faults
def test_a_hundred_thousand_images(run: Callable[..., dict[str, Any]]) -> None:
    """Fifty in each step, so that there are two thousand."""
    found = run(images=IMAGES, validated=IMAGES // 5, batch=50)
    record("load", {"long training": {"images": IMAGES, "validated": IMAGES // 5, **found}})
    for kind in ("of steps", "of predictions"):
        assert found[kind]["files"] == found[kind]["threads"] == 0, found
        assert found[kind]["MB in 1000"] < 20, found  # names and scores of fifty thousand images are 5
