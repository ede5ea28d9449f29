"""Flow in files, as KITTI keeps it."""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from utils import flowfile
from utils.errors import UserError


def write(path: Path, flow: np.ndarray) -> Path:
    cv2.imwrite(str(path), flowfile.to_pixels(flow)[..., ::-1])
    return path


def test_there_and_back(tmp_path: Path) -> None:
    flow = np.random.default_rng(0).uniform(-511, 511, (7, 9, 2)).astype(np.float32)
    flow[0, 0], flow[1, 1, 0], flow[2, 2, 1], flow[3, 3, 0] = np.nan, np.nan, 512.0, -np.inf
    again = flowfile.read(write(tmp_path / "a.png", flow))
    unknown = np.zeros((7, 9), bool)
    unknown[range(4), range(4)] = True
    assert again.dtype == np.float32 and np.array_equal(np.isnan(again).all(-1), unknown)
    assert np.array_equal(np.isnan(again).any(-1), unknown)
    assert np.abs(again - flow)[~unknown].max() <= 1 / 128


def test_bytes_are_those_of_kitti(tmp_path: Path) -> None:
    """uint16 = 64 * value + 2^15, red dx, green dy, blue the flag; OpenCV gives blue first."""
    path = write(tmp_path / "a.png", np.array([[[1.0, -2.0], [np.nan, 0.0]]], np.float32))
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert stored is not None and stored.tolist() == [[[1, 32768 - 128, 32768 + 64], [0, 0, 0]]]


def test_other_files_are_named(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "b.png").write_bytes(b"")
    for name, message in (("a.png", "holds no flow"), ("b.png", "holds no flow"), ("c.png", "no flow")):
        with pytest.raises(UserError, match=message):
            flowfile.read(tmp_path / name)


def test_a_head_that_asks_for_too_much(tmp_path: Path) -> None:
    """OpenCV raises an error of its own kind for it."""
    data = bytearray(write(tmp_path / "a.png", np.zeros((4, 4, 2), np.float32)).read_bytes())
    data[16:24] = b"\x7f\xff\xff\xff" * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UserError, match="a.png holds no flow"):
        flowfile.read(tmp_path / "a.png")
