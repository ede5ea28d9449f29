"""Checkpoints: whole or not at all, damage is seen, nothing in them is ever run."""

from __future__ import annotations

import errno
import os
import pickle
import resource
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forked import Process
from runs import finish
from torch import nn

from engine import checkpoint
from inference import from_file
from network import weights
from network.flow import sources
from network.weights import checksum, metadata, safe_load
from scripts.convert_checkpoint import convert
from utils.errors import UserError

ROOT = Path(__file__).parents[2]


def make_state(seed: int = 0, size: int = 500) -> dict[str, Any]:
    torch.manual_seed(seed)
    return {
        "net": OrderedDict(
            {
                "weight": torch.randn(size),
                "half": torch.randn(3).bfloat16(),
                "flag": torch.tensor(True),
                "none": torch.zeros(0),
                "turned": torch.randn(3, 4).t(),
            }
        ),
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99)}]},
        "ema": None,
        "epoch": seed,
        "mean_iu": np.float64(0.5),
        "class_names": ["road", "sky"],
        "config": {"OPTIM.LR": 0.1, "DATASET.MEAN": [0.1, 0.2]},
    }


def touch(path: Path, time: int) -> None:
    os.utime(path, ns=(time, time))


def test_round_trip(tmp_path: Path) -> None:
    state = make_state()
    checkpoint.save(state, tmp_path / "a.pth")
    loaded = checkpoint.load(tmp_path / "a.pth")
    assert checkpoint.is_ours(loaded) and list(loaded) == ["format", *state]
    torch.testing.assert_close(loaded["net"], state["net"], rtol=0, atol=0)
    assert loaded["optimizer"]["param_groups"] == state["optimizer"]["param_groups"]
    assert {k: loaded[k] for k in ("epoch", "mean_iu", "class_names", "config", "ema")} == {
        k: state[k] for k in ("epoch", "mean_iu", "class_names", "config", "ema")
    }
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


def test_checksum_sees_every_leaf() -> None:
    value = checkpoint.checksum(make_state())
    assert value == checkpoint.checksum(make_state())
    for change in (
        lambda s: s["net"]["weight"].__setitem__(3, 9.0),
        lambda s: s["net"].update(flag=torch.tensor(False)),
        lambda s: s["net"].update(other=s["net"].pop("weight")),
        lambda s: s.update(epoch=1),
        lambda s: s["config"].update({"OPTIM.LR": 0.2}),
        lambda s: s["class_names"].reverse(),
    ):
        state = make_state()
        change(state)
        assert checkpoint.checksum(state) != value


def write_on_full_disks(words: list[str]) -> int:
    """Disks that are full after so many bytes: the mistake is printed, the code is 1 where there was none."""
    path, how = Path(words[0]), words[1]
    for limit in (0, 10, 100_000, 790_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            if how == "save":
                checkpoint.save({"net": {"weight": torch.zeros(200_000)}, "epoch": 7}, path)
            else:
                checkpoint.copy_as(path.with_name("big.pth"), path)
        except UserError as error:
            print(error)
            continue
        return 1
    return 0


@pytest.mark.parametrize("how", ["save", "copy"])
def test_full_disk(tmp_path: Path, how: str) -> None:
    """With a file-size limit in place of a full disk: one clear line, the old file intact, nothing left behind."""
    path = tmp_path / "last_checkpoint_ep0.pth"
    checkpoint.save(make_state(), path)
    if how == "copy":
        checkpoint.save({"net": {"weight": torch.zeros(200_000)}}, tmp_path / "big.pth")
    names = sorted(p.name for p in tmp_path.iterdir())
    lines = finish(Process(write_on_full_disks, [str(path), how], os.environ)).splitlines()
    assert len(lines) == 4  # of both streams
    for line in lines:
        assert str(path) in line and "File too large" in line and "intact" in line
    assert checkpoint.load(path)["epoch"] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_folder_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        checkpoint.save(make_state(), tmp_path / "no" / "a.pth")


def test_a_programmers_mistake_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=".") as caught:
        checkpoint.save({"net": lambda: 1}, tmp_path / "a.pth")
    assert not isinstance(caught.value, UserError)
    assert not list(tmp_path.iterdir())


def test_flipped_byte_is_seen(tmp_path: Path) -> None:
    state = make_state()
    checkpoint.save(state, tmp_path / "a.pth")
    data = bytearray((tmp_path / "a.pth").read_bytes())
    place = data.find(state["net"]["weight"].numpy().tobytes())
    assert place > 0
    data[place + 100] ^= 1
    (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(UserError, match="damaged|checkpoint") as caught:
        checkpoint.load(tmp_path / "a.pth")
    assert "a.pth" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_file(tmp_path: Path, share: float) -> None:
    checkpoint.save(make_state(), tmp_path / "a.pth")
    data = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match="a.pth"):
        checkpoint.load(tmp_path / "a.pth")


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.target,))


def test_nothing_is_run(tmp_path: Path) -> None:
    torch.save({"format": checkpoint.FORMAT, "net": Evil(tmp_path / "hit")}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Evil(tmp_path / "hit")))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(UserError, match=name):
            checkpoint.load(tmp_path / name)
    assert not (tmp_path / "hit").exists()


def test_files_that_are_not_ours(tmp_path: Path) -> None:
    for number, content in enumerate(({"state_dict": {}}, [1, 2], torch.ones(2), {"format": "other"})):
        torch.save(content, tmp_path / f"{number}.pth")
        with pytest.raises(UserError, match="--snapshot"):
            checkpoint.load(tmp_path / f"{number}.pth")


# --- names and order -----------------------------------------------------------------------------------------------


def test_newest_skips_the_damaged(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path) == (None, [])
    for epoch in range(3):
        checkpoint.save(make_state(epoch), tmp_path / f"last_checkpoint_ep{epoch}.pth")
        touch(tmp_path / f"last_checkpoint_ep{epoch}.pth", epoch + 1)
    (tmp_path / "last_checkpoint_ep2.pth").write_bytes(b"half a fi")
    touch(tmp_path / "last_checkpoint_ep2.pth", 9)
    (tmp_path / "last_checkpoint_ep3.pth.tmp99").write_bytes(b"killed while writing")
    path, notes = checkpoint.newest(tmp_path)
    assert path is not None and path.name == "last_checkpoint_ep1.pth"
    assert len(notes) == 1 and "last_checkpoint_ep2.pth" in notes[0]


def test_names_tell_what_is_newest_not_clocks(tmp_path: Path) -> None:
    """Nodes whose clocks disagree have written in turn; of one epoch the last goes before its copies."""
    wanted = ["last_checkpoint_ep10", "last_checkpoint_ep9", "checkpoint_ep9", "best_checkpoint_ep9"]
    wanted += ["best_checkpoint_ep7", "checkpoint_ep5", "teacher_checkpoint_ep300"]
    for time, name in enumerate(wanted):
        checkpoint.save(make_state(), tmp_path / f"{name}.pth")
        touch(tmp_path / f"{name}.pth", time + 1)
    for expected in wanted:
        path, _ = checkpoint.newest(tmp_path)
        assert path is not None and path.stem == expected
        path.unlink()


def test_a_listing_that_is_out_of_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network's disk: what another process has removed is listed still."""
    for epoch in (0, 1):
        path = checkpoint.save_last(make_state(epoch), tmp_path, epoch)
    listed = [*tmp_path.iterdir(), tmp_path / "last_checkpoint_ep0.pth", tmp_path / "last_checkpoint_ep2.pth"]
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(x for x in listed if x.match(pattern)))
    found, notes = checkpoint.newest(tmp_path)
    assert found == path and "last_checkpoint_ep2.pth: there is nothing here" in notes[0]
    checkpoint.save_last(make_state(1), tmp_path, 1, pytest.fail)


def test_what_cannot_be_removed_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save_last(make_state(0), tmp_path, 0)
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: os.unlink(tmp_path / "no" / "such"))
    monkeypatch.setattr(os, "unlink", lambda path: (_ for _ in ()).throw(OSError(errno.EPERM, "not permitted")))
    said: list[str] = []
    path = checkpoint.save_last(make_state(1), tmp_path, 1, said.append)
    old = tmp_path / "last_checkpoint_ep0.pth"
    assert said == [f"warning: {old} cannot be removed (not permitted), and is of no use: {path} is newer"]
    assert checkpoint.newest(tmp_path) == (path, [])


def test_newest_with_none_intact(tmp_path: Path) -> None:
    (tmp_path / "last_checkpoint_ep2.pth").write_bytes(b"half a fi")
    with pytest.raises(UserError, match="no checkpoint in .* is intact"):
        checkpoint.newest(tmp_path)


def test_save_last_replaces_the_one_before(tmp_path: Path) -> None:
    for end in ("tmp99", "part"):
        (tmp_path / f"last_checkpoint_ep0.pth.{end}").write_bytes(b"killed while writing")
    for epoch in (0, 1, 1, 2):
        path = checkpoint.save_last(make_state(epoch), tmp_path, epoch)
        assert [p.name for p in tmp_path.iterdir()] == [path.name] == [f"last_checkpoint_ep{epoch}.pth"]


def test_what_is_newer_or_no_epochs_stays(tmp_path: Path) -> None:
    own = {f"{kind}_checkpoint_ep{name}.pth" for kind in ("last", "best") for name in ("3", "1_good")}
    for name in own:
        (tmp_path / name).touch()
    for save in (checkpoint.save_last, checkpoint.save_best):
        own.add(save(make_state(2), tmp_path, 2).name)
    assert {path.name for path in tmp_path.iterdir()} == own


def test_best_replaces_the_one_before(tmp_path: Path) -> None:
    for epoch in (0, 3):
        checkpoint.save_last(make_state(epoch), tmp_path, epoch)
        best = checkpoint.save_best(make_state(epoch) | {"mean_iu": 0.25}, tmp_path, epoch)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best_checkpoint_ep3.pth", "last_checkpoint_ep3.pth"]
    assert checkpoint.load(best)["epoch"] == 3 and checkpoint.load(best)["mean_iu"] == 0.25


def test_random_state_returns() -> None:
    device = torch.device("cpu")
    state = checkpoint.random_state(device)
    first = torch.rand(3)
    checkpoint.set_random_state(state, device)
    assert torch.equal(torch.rand(3), first)


# --- everybody who reads one compares it with its checksum ---------------------------------------------------------


def damaged(folder: Path) -> Path:
    """A checkpoint of which two bytes of a weight are wrong."""
    state = make_state()
    checkpoint.save(state | {"arch": "x", "command": ""}, folder / "a.pth")
    data = bytearray((folder / "a.pth").read_bytes())
    place = data.find(state["net"]["weight"].numpy().tobytes())
    data[place + 402 : place + 404] = bytes(byte ^ 0x5F for byte in data[place + 402 : place + 404])
    (folder / "a.pth").write_bytes(data)
    return folder / "a.pth"


READERS: dict[str, Callable[[Path], object]] = {
    "read": safe_load.read,
    "weights": weights.read_file,
    "snapshot": lambda path: weights.load(nn.Linear(2, 2), path),
    "trunk": lambda path: weights.load_trunk(nn.ModuleDict({"backbone": nn.Linear(2, 2)}), path),
    "what it tells": lambda path: metadata.of_start(path, ""),
    "demo, export, labels": lambda path: from_file.build(["--snapshot", str(path), "--eval", "val"]),
    "resume": checkpoint.load,
    "converter": lambda path: convert(path, path.with_name("out.pth"), "plain"),
    "flow": lambda path: sources.state_of(str(path), "RAFT"),
}


@pytest.mark.parametrize("name", READERS)
def test_damage_is_said_wherever_it_is_read(tmp_path: Path, name: str) -> None:
    path = damaged(tmp_path)
    for _ in range(2):
        with pytest.raises(UserError, match=r"a\.pth: damaged \(its checksum is wrong\)") as caught:
            READERS[name](path)
        assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


def test_each_file_is_compared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process; again where it has changed."""
    sums: list[int] = []
    real = checksum.checksum
    checkpoint.save(make_state(), tmp_path / "a.pth")
    monkeypatch.setattr(checksum, "checksum", lambda *state: sums.append(1) or real(*state))
    for _ in range(3):
        safe_load.read(tmp_path / "a.pth")
    assert len(sums) == 1
    damaged(tmp_path)
    with pytest.raises(UserError, match="damaged"):
        safe_load.read(tmp_path / "a.pth")


def test_one_that_was_written_anew(tmp_path: Path) -> None:
    """Smaller, by its user: its weights are read; a resume needs all of it."""
    checkpoint.save(make_state(), tmp_path / "a.pth")
    content = torch.load(tmp_path / "a.pth", weights_only=False)
    del content["optimizer"]
    torch.save(content, tmp_path / "b.pth")
    with pytest.raises(UserError, match="where it was changed on purpose, delete that entry"):
        safe_load.read(tmp_path / "b.pth")
    del content["checksum"]
    torch.save(content, tmp_path / "c.pth")
    assert weights.read_file(tmp_path / "c.pth").state.keys() == content["net"].keys()
    with pytest.raises(UserError, match="has no checksum"):
        checkpoint.load(tmp_path / "c.pth")
