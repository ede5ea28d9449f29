"""Loading processes that die: one line with the likely cause, what was trained is saved."""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from runs import folder, into, last
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter
from yacs.config import CfgNode

import datasets
import train
from datasets import leftout, loaders
from datasets.base import SegmentationDataset
from utils import workers
from utils.distributed import DistributedContext
from utils.errors import LoadingError, UserError
from utils.processes import fate, shortage

pytestmark = pytest.mark.run

Make = Callable[..., CfgNode]
TOLD = "a process that reads pictures has died "


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch looks every 5 seconds whether its processes live."""
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.2,))


def dying(monkeypatch: pytest.MonkeyPatch, end: Callable[[], object], at: int) -> None:
    """Let a loading process end at its item number `at`."""
    read, done = SegmentationDataset.__getitem__, iter(range(1000))
    parent = os.getpid()

    def item(self: SegmentationDataset, draw: Any) -> Any:
        if os.getpid() != parent and next(done) == at:
            faulthandler.disable()
            time.sleep(at / 4)  # what it has read before is on its way
            end()
        return read(self, draw)

    monkeypatch.setattr(SegmentationDataset, "__getitem__", item)


@pytest.mark.in_make_test("9-*", "3-*")
@pytest.mark.parametrize(
    ("end", "line"),
    [
        (signal.SIGKILL, r"\(SIGKILL\): as a rule memory ran out, .* start fewer of them \(--num_workers 1\), or give"),
        (signal.SIGBUS, r"\(SIGBUS\): as a rule /dev/shm of \d+ MiB is full; enlarge it \(docker: --shm-size 8g\), or"),
        (signal.SIGSEGV, r"\(SIGSEGV\): a library crashed, over a damaged file perhaps"),
        (signal.SIGABRT, r"\(SIGABRT\): a library crashed"),
        (3, r"\(exit code 3\): what it printed says why"),
    ],
)
def test_the_likely_cause_is_said(
    make_cfg: Make, cityscapes_root: Path, monkeypatch: pytest.MonkeyPatch, end: signal.Signals | int, line: str
) -> None:
    act = (lambda: os.kill(os.getpid(), end)) if isinstance(end, signal.Signals) else lambda: os._exit(3)
    dying(monkeypatch, act, at=1)
    loader = datasets.build_val(
        make_cfg("--set_cityscapes_root", cityscapes_root, "--num_workers", "4"), DistributedContext()
    )
    before = signal.getsignal(signal.SIGCHLD)
    with pytest.raises(LoadingError, match=TOLD + line):
        list(loader)
    assert signal.getsignal(signal.SIGCHLD) == before


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("received 0 items of ancdata", "ulimit -n"),
        ("unable to open shared memory object </torch_1_2> in read-write mode: Too many open files (24)", "ulimit -n"),
        ("unable to write to file </torch_1_2>: No space left on device (28)", "--shm-size"),
        ("unable to allocate shared memory(shm) for file </torch_1_2>: Resource unavailable (11)", "--shm-size"),
    ],
)
def test_what_processes_lack(
    make_cfg: Make, cityscapes_root: Path, monkeypatch: pytest.MonkeyPatch, text: str, cure: str
) -> None:
    def fail(self: Any) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(loaders.DataLoader, "__iter__", fail)
    loader = datasets.build_val(make_cfg("--set_cityscapes_root", cityscapes_root), DistributedContext())
    with pytest.raises(LoadingError, match=f"{cure}.*--num_workers 0"):
        list(loader)
    assert not shortage(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.mark.in_make_test("flags1-6-2", "flags2-0-0")
@pytest.mark.parametrize(
    ("flags", "at", "saved"),
    [
        ([], 4, 1),  # in the second of two batches
        (["--bs_trn", "2", "--accum", "2"], 6, 2),  # in the middle of the second step of two batches
        ([], 0, 0),  # nothing was trained
    ],
)
def test_what_was_trained_is_saved(
    tiny_run: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    at: int,
    saved: int,
) -> None:
    words = [*tiny_run, "--num_workers", "1", "--max_epoch", "1", "--do_eval", "false", *flags]
    with monkeypatch.context() as patch:
        dying(patch, lambda: os.kill(os.getpid(), signal.SIGKILL), at)
        assert train.main(into(words, "parts")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {TOLD}(SIGKILL): as a rule memory ran out")
    log = (folder(into(words, "parts")) / "train.log").read_text()
    assert line in log
    if not saved:
        assert "saved" not in line and not list(folder(into(words, "parts")).glob("*.pth"))
        return
    assert line.endswith(f"; saved in epoch 0, iteration {saved}: --resume auto goes on from there")
    assert (last(into(words, "parts"))["iteration"], last(into(words, "parts"))["step"]) == (saved, 1)
    assert train.main([*into(words, "parts"), "--resume", "auto"]) == 0
    if not flags:  # else a batch of the step that was lost has moved the running statistics
        assert train.main(into(words, "whole")) == 0
        one, other = last(into(words, "whole")), last(into(words, "parts"))
        assert all((value == other["net"][name]).all() for name, value in one["net"].items())


@pytest.mark.slow
def test_a_validation_ends_in_one_line(
    tiny_run: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was trained stands; the validation is made up for. An evaluation ends so, too."""
    words = [*tiny_run, "--max_epoch", "1", "--num_workers", "2", "--async_save", "false"]  # the file tells the place
    build = datasets.build_val

    def build_dying(cfg: CfgNode, ranks: DistributedContext, mode: str = "val") -> datasets.EvalLoader:
        loader = build(cfg, ranks, mode)
        if (folder(words) / "last_checkpoint_ep0.pth").exists():
            dying(patch, lambda: os.kill(os.getpid(), signal.SIGSEGV), at=0)
        return loader

    with monkeypatch.context() as patch:
        patch.setattr(datasets, "build_val", build_dying)
        assert train.main(words) == 2
        assert f"error: {TOLD}(SIGSEGV): a library crashed" in capsys.readouterr().err
        evaluation = ["--eval", "val", "--snapshot", str(folder(words) / "last_checkpoint_ep0.pth")]
        assert train.main([*words, *evaluation]) == 2
        assert f"error: {TOLD}(SIGSEGV)" in capsys.readouterr().err
    assert last(words)["epoch"] == 0
    assert train.main([*words, "--resume", "auto"]) == 0 and (folder(words) / "best_checkpoint_ep0.pth").exists()


class Two(DistributedContext):
    """Two ranks in one process; the other one says what it is told to."""

    other = ""

    def any(self, flag: bool) -> bool:
        return flag or bool(self.other)

    def gather(self, value: Any) -> list[Any]:
        return [value, (self.other, [])]


def failing(batches: int) -> Any:
    yield from range(batches)
    raise LoadingError("mine")


@pytest.mark.parametrize(
    ("other", "batches", "line"), [("", 2, "mine"), ("theirs", 2, "theirs"), ("theirs", 0, "mine")]
)
def test_ranks_stop_together(other: str, batches: int, line: str) -> None:
    ranks = Two(0, 2)
    seen = []
    with pytest.raises(LoadingError, match=line):
        for batch in leftout.agreed(failing(batches), ranks):
            seen.append(batch)
            object.__setattr__(ranks, "other", other)
        pytest.fail("the end was not told")
    assert seen == list(range(batches))[: 1 if other and batches else batches]


def test_other_tasks_in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(ThreadPoolExecutor):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(1)

        def submit(self, *args: Any) -> Any:
            raise BrokenProcessPool("A process in the process pool was terminated abruptly")

    monkeypatch.setattr(workers, "ProcessPoolExecutor", Broken)
    with pytest.raises(UserError, match="a process of 'scenes' has died: as a rule memory ran out"):
        workers.in_processes(print, [1, 2], "scenes", 2)


def test_unknown_signals_have_a_name() -> None:
    assert fate(-signal.SIGRTMIN - 1).startswith("(signal ") and fate(-15).startswith("(SIGTERM): somebody ended it")


def test_a_missing_validation_is_said_before_training(
    make_cfg: Make, cityscapes_root: Path, make_mapillary: Callable[..., Path], tmp_path: Path, tiny_scenes: Path
) -> None:
    for path in cityscapes_root.rglob("val"):
        shutil.rmtree(path)
    mapillary = make_mapillary(tmp_path / "mapillary", counts={"training": 2})
    acdc = tmp_path / "acdc"
    for kind, start in (("rgb_anon", "leftImg8bit"), ("gt", "gtFine")):
        for path in sorted((tiny_scenes / start / "train").rglob("*.png")):
            stem = path.name.split("_leftImg8bit")[0].split("_gtFine")[0]
            end = "rgb_anon" if kind == "rgb_anon" else "gt_labelIds"
            if kind == "rgb_anon" or path.name.endswith("labelIds.png"):
                target = acdc / kind / "fog/train/a" / f"{stem}_{end}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    for words in (
        ("--set_cityscapes_root", cityscapes_root),
        ("--dataset", "mapillary", "--data_root", mapillary),
        ("--dataset", "acdc", "--data_root", acdc, "--conditions", "fog"),
    ):
        with pytest.raises(UserError, match="val"):
            datasets.build_train(make_cfg(*words), DistributedContext())
        if words[0] == "--set_cityscapes_root":  # its training and validation are split from both folders
            continue
        assert len(datasets.build_train(make_cfg(*words, "--do_eval", "false", "--bs_trn", "1"), DistributedContext()))
