"""The demo over a folder of many pictures, broken ones among them, and on a disk that fills up.

FAULTS_PICTURES: of the long run.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from faults.figures import record
from faults.usage import Watch

import demo_folder
from utils import files

MANY = int(os.environ.get("FAULTS_PICTURES", "3000"))
ARCH = "ocrnet.HRNet_Mscale"


def encoded(number: int, kind: str) -> bytes:
    """The file of a small picture."""
    return cv2.imencode(kind, np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8))[1].tobytes()


def bomb() -> bytes:
    """A few bytes that promise 30,000 x 30,000 pixels."""
    data = bytearray(encoded(0, ".png"))
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    return bytes(data)


# Endings of names, and what the files hold; the first two can be read.
SORTS: tuple[tuple[str, Callable[[int], bytes]], ...] = (
    (".png", lambda number: encoded(number, ".png")),
    (".jpg", lambda number: encoded(number, ".jpg")),
    ("cut.png", lambda number: encoded(number, ".png")[:60]),
    ("<b>'%s.png", lambda number: b""),
    ("text.jpg", lambda number: b"no picture"),
    ("bomb.png", lambda number: bomb()),
)


def fill(folder: Path, count: int) -> int:
    """As many pictures, of each sort in turn but two good ones for each bad one; gives how many are good."""
    order = [0, 1, 2, 0, 1, 3, 0, 1, 4, 0, 1, 5]
    for number in range(count):
        ending, data = SORTS[order[number % len(order)]]
        path = folder / f"{number // 500}" / f"{number}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data(number))
    return sum(order[number % len(order)] < 2 for number in range(count))


def shown(folder: Path, snapshot: str, out: Path) -> int:
    """The demo's exit code."""
    return demo_folder.main(["--demo-folder", str(folder), "--snapshot", snapshot, "--save-dir", str(out)])


def full_after(count: int) -> Callable[..., Any]:
    """As `open`, on a disk with room for so many new files."""
    left = [count]

    def opened(path: Any, mode: str = "r", **more: Any) -> Any:
        left[0] -= "w" in mode
        if left[0] < 0 and "w" in mode:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return open(path, mode, **more)

    return opened


@pytest.mark.run
def test_a_disk_that_fills_up_is_one_line(
    tiny_snapshot: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written is whole; the same command goes on where there is room again."""
    fill(tmp_path / "in", 6)
    with monkeypatch.context() as patch:
        patch.setattr(files, "open", full_after(8), raising=False)
        assert shown(tmp_path / "in", tiny_snapshot, tmp_path / "out") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert "cannot write" in line and "No space left on device; free some space" in line
    written = [*(tmp_path / "out").rglob("*.png")]
    assert len(written) == 8 and all(cv2.imread(str(path)) is not None for path in written)
    assert not [*(tmp_path / "out").rglob("*.part")]
    assert shown(tmp_path / "in", tiny_snapshot, tmp_path / "out") == 2  # the broken ones
    assert len([*(tmp_path / "out").rglob("pred_mask*.png")]) == 4


@pytest.mark.faults
def test_thousands_of_pictures(tiny_snapshot: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, watch, began = fill(tmp_path / "in", MANY), Watch(0.2), time.process_time()
    watch.start()
    assert shown(tmp_path / "in", tiny_snapshot, tmp_path / "out") == 2
    after = watch.end()
    said = capsys.readouterr()
    assert f"{MANY - good} of {MANY} pictures could not be read" in said.err and "Traceback" not in said.err
    assert said.out.count("left out: ") == MANY - good
    assert len([*(tmp_path / "out").rglob("pred_mask*.png")]) == good
    assert after.files <= watch.before.files + 2
    figures = {"pictures": MANY, "left out": MANY - good, "CPU seconds": round(time.process_time() - began)}
    figures |= {"memory at most, MB": round(watch.most.memory), "memory before, MB": round(watch.before.memory)}
    record("load", {"demo": figures})
