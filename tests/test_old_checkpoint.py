"""A checkpoint written before the rooms were built: the same command line continues it to the same bits.

`golden/before_the_house/` holds the file, the command lines, and what the code of that time made of them.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from runs import last, rows
from shared import GOLDEN

import train
from engine.state import TrainState
from scripts import make_scenes

HERE = GOLDEN / "before_the_house"
RECORD = json.loads((HERE / "record.json").read_text())
LINES = {name: shlex.split(line) for name, line in RECORD["lines"].items()}
PLATFORM = {"torch": str(torch.__version__), "cpu": torch.backends.cpu.get_cpu_capability()}
SAME_PLATFORM = PLATFORM == RECORD["platform"]
ANOTHER = f"recorded on {RECORD['platform']}, this is {PLATFORM}: bits of sums and convolutions may differ there"


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a nested state with its path, in the order in which it is kept."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list | tuple) else None
    if items is None:
        yield path, tree
    for key, value in items or ():
        yield from leaves(value, f"{path}/{key}")


def digest(tree: Any) -> str:
    """SHA-256 over the paths, their order, and every bit of the values."""
    seen = hashlib.sha256()
    for path, value in leaves(tree):
        text = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, torch.Tensor) else repr(value)
        seen.update(f"{path} {text}\n".encode())
        if isinstance(value, torch.Tensor):
            seen.update(value.detach().cpu().contiguous().numpy().tobytes())
    return seen.hexdigest()


def digests(state: dict[str, Any]) -> dict[str, str]:
    """One digest each of weights, moving average and optimizer."""
    return {part: digest(state[part]) for part in ("net", "ema", "optimizer")}


def sums(state: dict[str, Any]) -> dict[str, float]:
    """The sum of the absolute values of each part: how far apart two states are, where their digests differ."""
    parts = ((part, [v for _, v in leaves(state[part]) if isinstance(v, torch.Tensor)]) for part in digests(state))
    return {part: sum(float(value.double().abs().sum()) for value in values) for part, values in parts}


def pixels(root: Path) -> str:
    """SHA-256 over names and pixels of all PNG images below `root`."""
    seen = hashlib.sha256()
    for path in sorted(root.rglob("*.png")):
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        seen.update(f"{path.relative_to(root).as_posix()} {picture.shape}\n".encode() + picture.tobytes())
    return seen.hexdigest()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scenes and the checkpoint; the command lines name both relative to it."""
    root = tmp_path_factory.mktemp("before")
    (root / "before.pth").write_bytes(lzma.decompress((HERE / "before.pth.xz").read_bytes()))
    words = list(LINES["scenes"])
    assert make_scenes.main([str(root / words[0]), *words[1:]]) == 0
    return root


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside that folder, on one thread as the record was made."""
    monkeypatch.chdir(home)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def confusion() -> list[list[str]]:
    """Rows of the evaluation's confusion matrix, truth by truth."""
    return [line.split(",") for line in Path("eval/confusion.csv").read_text().splitlines()]


def assert_same_matrix() -> None:
    """Equal cell by cell where the platform is that of the record; elsewhere the same pixels in each class."""
    found, expected = confusion(), RECORD["confusion"]
    assert found[0] == expected[0]
    totals = [[(row[0], sum(map(int, row[1:]))) for row in table[1:]] for table in (found, expected)]
    assert totals[0] == totals[1]
    if SAME_PLATFORM:
        assert found == expected


def test_the_scenes_are_those_of_then(home: Path) -> None:
    if not SAME_PLATFORM:
        pytest.skip(ANOTHER)
    assert pixels(home / "scenes") == RECORD["scenes"]


def test_it_resumes_with_the_same_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded is equal to the last bit everywhere; what it ends in, where torch and processor are the same."""
    loaded: list[dict[str, str]] = []
    unpack = TrainState.unpack

    def spy(self: TrainState, *args: Any, **kwargs: Any) -> Any:
        remark = unpack(self, *args, **kwargs)
        assert self.ema is not None
        parts = {"net": self.net, "ema": self.ema.net, "optimizer": self.optimizer}
        loaded.append(digests({name: part.state_dict() for name, part in parts.items()}))
        return remark

    monkeypatch.setattr(TrainState, "unpack", spy)
    Path("run").mkdir()
    shutil.copy("before.pth", "run/last_checkpoint_ep0.pth")
    content = torch.load("before.pth", weights_only=True)
    assert train.main(LINES["resume"]) == 0
    log = Path("run/train.log").read_text()
    assert loaded == [digests(content)] == [RECORD["before"]["digests"]]
    assert "all 391 entries: epoch 0 done" in log and "changed" not in log and "warning: without effect" not in log
    state = last(LINES["resume"])
    assert state["step"] == 4 and list(state["net"]) == list(content["net"])
    found = [rows(LINES["resume"], phase)[-1] for phase in ("train", "val")]
    # Two batches from the loaded weights and generators: rounding alone does not move their loss far.
    assert found[0]["loss"] == pytest.approx(RECORD["rows"][0]["loss"], rel=0.02)
    if not SAME_PLATFORM:
        pytest.skip(f"bits of the end: {ANOTHER}")
    assert sums(state) == RECORD["after"]["sums"]
    assert digests(state) == RECORD["after"]["digests"]
    assert found == RECORD["rows"]


def test_its_evaluation_gives_the_matrix_of_then() -> None:
    assert train.main(LINES["eval"]) == 0
    assert_same_matrix()


def test_a_bare_state_dict_gives_the_same_matrix(home: Path) -> None:
    """As `torch.save(net.state_dict())` writes it: the command line names what the file does not."""
    torch.save(torch.load(home / "before.pth", weights_only=True)["ema"], "bare.pth")
    assert train.main(LINES["bare"]) == 0
    assert_same_matrix()
