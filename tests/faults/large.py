"""Large pictures, drawn, and their evaluation in a process that may map two gigabytes more than torch does.

Importing torch and this program maps 3.5 GB, of which 0.6 are resident: the limit is what is mapped then and 2 GB.
"""

from __future__ import annotations

import csv
import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from forked import Process
from torch import Tensor, nn

import config
import network
import train
from engine import checkpoint
from utils.cli import start
from utils.resize import resize

LIMIT = "LIMIT_BYTES"  # the variable with the bytes that may be mapped besides; empty: any
BLOCK = 250  # side of an area of one class
_RULE = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Nearest(nn.Module):
    """Gives a pixel the class whose color is nearest, by what its surroundings look like on the average."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.around = nn.AvgPool2d(5, 4, 2)
        self.colors = nn.Conv2d(3, classes, 1)

    def forward(self, image: Tensor, keep: object = None, size: tuple[int, int] | None = None) -> dict[str, Tensor]:
        del keep
        return {"pred": resize(self.colors(self.around(image)), size or tuple(image.shape[-2:]))}


def draw(root: Path, classes: int, sizes: Sequence[tuple[int, int]]) -> None:
    """Write pictures (H, W) of many areas, their labels, the classes and a network that knows their colors."""
    rng = np.random.default_rng(classes)
    colors = rng.permutation(256 * 256)[:classes]
    colors = np.stack([colors // 256, colors % 256, rng.integers(0, 256, classes)], 1).astype(np.uint8)
    for part in ("images", "labels"):
        (root / "val" / part).mkdir(parents=True)
    for number, (height, width) in enumerate(sizes):
        label = rng.integers(0, classes, (-(-height // BLOCK), -(-width // BLOCK)), np.uint8)
        label = label.repeat(BLOCK, 0)[:height].repeat(BLOCK, 1)[:, :width]
        for part, picture in (("images", colors[label][..., ::-1]), ("labels", label)):
            path = str(root / "val" / part / f"{number:03d}.png")
            assert cv2.imwrite(path, picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    names = [f"class {k}" for k in range(classes)]
    text = f"names: {names}\nids: {[*range(classes)]}\nignore: [255]\ncolors: {colors.tolist()}\n"
    (root / "classes.yaml").write_text(text)
    net, (mean, std) = Nearest(classes), (torch.tensor(part) for part in _RULE)
    known = (torch.from_numpy(colors) / 255 - mean) / std  # (K, 3)
    net.colors.load_state_dict({"weight": 20 * known[:, :, None, None], "bias": -10 * (known**2).sum(1)})
    cfg = config.flat(config.load(words(root, root / "none")))
    told = {"arch": "basic.HRNet", "num_classes": classes, "class_names": names, "mean_iu": 0.5}
    checkpoint.save({"net": net.state_dict(), "config": cfg, "epoch": 1, **told}, root / "net.pth")


def words(root: Path, out: Path) -> list[str]:
    """The command line of the evaluation."""
    own = ["--dataset", "folder", "--data_root", str(root), "--classes", str(root / "classes.yaml")]
    own += ["--arch", "basic.HRNet", "--num_workers", "0", "--result_dir", str(out)]
    return own


def _mapped() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def limited(argv: list[str]) -> int:
    """In a process of its own: what the file train.py does, under the limit; then the largest resident memory in MB."""
    network.build = lambda cfg: Nearest(cfg.DATASET.NUM_CLASSES)  # type: ignore[assignment]
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    if os.environ[LIMIT]:
        most = _mapped() + int(os.environ[LIMIT])
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    sys.argv = ["train.py", *argv]
    code = start(train.main)
    print(f"resident at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")
    return code


def evaluated(root: Path, out: Path, limit: int | None, *more: str) -> tuple[dict[str, float], str]:
    """Scores of the pictures by their names, and what the process said; it has to end well."""
    argv = ["--eval", "val", "--snapshot", str(root / "net.pth"), *words(root, out), *more]
    process = Process(limited, argv, os.environ | {LIMIT: str(limit or ""), "OMP_NUM_THREADS": "1"})
    said, _ = process.communicate(timeout=36_000)
    assert process.returncode == 0, said[-3000:]
    rows = csv.DictReader((out / "per_image.csv").read_text().splitlines())
    return {row["image"]: float(row["mean_iou"]) for row in rows}, said


def part_of(root: Path, place: Path, names: Sequence[str]) -> Path:
    """The same pictures in another folder, but only those of `names`."""
    for part in ("images", "labels"):
        (place / "val" / part).mkdir(parents=True)
        for name in names:
            os.link(root / "val" / part / f"{name}.png", place / "val" / part / f"{name}.png")
    for name in ("classes.yaml", "net.pth"):
        os.link(root / name, place / name)
    return place
