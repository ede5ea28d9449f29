"""Disks that are full, read-only, slow, broken or shared: what a training loses (nothing), and what it says."""

from __future__ import annotations

import gc
import itertools
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from faults.disks import FAULTS, Disk, failing, mounted
from faults.figures import record
from runs import assert_same_end

import train
from engine import checkpoint
from engine.log import RunLog
from engine.runlock import FolderLock
from engine.saving import Saver
from network.weights import checksum
from utils.errors import UserError

SEED = int(os.environ.get("FAULTS_SEED", "0"))
OFFSETS = int(os.environ.get("FAULTS_OFFSETS", "200"))
POINTS = int(os.environ.get("FAULTS_POINTS", "40"))
KILLS = int(os.environ.get("FAULTS_KILLS", "100"))
DONE = int(os.environ.get("FAULTS_DONE", "0"))  # points of an earlier run, which are not tried again


def state(epoch: int, size: int = 20_000, **more: Any) -> dict[str, Any]:
    net = {"weight": torch.full((size,), float(epoch)), "bias": torch.arange(7.0)}
    return {"net": net, "epoch": epoch, "iteration": 0, "config": {"SEED": 0}, **more}


# --- damaged checkpoints -------------------------------------------------------------------------------------------


def damage(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Cut off, or with one bit or 512 bytes of it wrong."""
    place, kind = rng.randrange(len(content)), rng.choice(["cut", "bit", "sector"])
    if kind == "cut":
        return f"cut at {place}", content[:place]
    wrong = bytes([content[place] ^ 1 << rng.randrange(8)]) if kind == "bit" else rng.randbytes(512)
    return f"{kind} at {place}", content[:place] + wrong + content[place + len(wrong) :]


def is_same(one: Any, other: Any) -> bool:
    return checksum.checksum(one) == checksum.checksum(other)


def damaged_are_found(folder: Path, count: int, size: int = 20_000) -> dict[str, int]:
    """The one before is taken and the other named, or its content is what was written, where no byte of it matters."""
    checkpoint.save(state(0, size), folder / "checkpoint_ep0.pth")
    path, rng = folder / "last_checkpoint_ep1.pth", random.Random(SEED)
    checkpoint.save(state(1, size), path)
    content, wanted = path.read_bytes(), checkpoint.load(path)
    found = {"damaged": count, "found": 0, "harmless": 0}
    for number in range(count):
        how, wrong = damage(content, rng)
        path.write_bytes(wrong)
        os.utime(path, ns=(number, number))
        taken, notes = checkpoint.newest(folder)
        if taken == path:
            assert is_same(checkpoint.load(path), wanted), how
            found["harmless"] += 1
        else:
            assert taken == folder / "checkpoint_ep0.pth" and len(notes) == 1, how
            assert str(path) in notes[0] and "\n" not in notes[0], (how, notes)
            found["found"] += 1
    return found


def test_damaged_checkpoints_are_found(tmp_path: Path) -> None:
    found = damaged_are_found(tmp_path, 24, 2000)
    assert found["found"] > 12


@pytest.mark.faults
def test_damaged_checkpoints_are_found_at_many_offsets(tmp_path: Path) -> None:
    record("storage", {"checkpoints": damaged_are_found(tmp_path, OFFSETS)})


# --- a power cut on a disk that does renames and removals in any order ------------------------------------------------


class Recorder(Disk):
    """Keeps what is done to a folder's names: ("rename", from, to, content), ("remove", name) and ("sync",)."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.names: list[tuple[Any, ...]] = []
        self.saved: list[tuple[int, int]] = []  # (names so far, epoch) where a save has returned

    def act(self, call: str, path: object) -> bool:
        """Take note; nothing fails."""
        path = Path(os.readlink(f"/proc/self/fd/{path}")) if isinstance(path, int) else Path(str(path))
        if call == "rename":
            self.names.append(("rename", path.name.removesuffix(".part"), path.read_bytes()))
        elif call == "remove":
            self.names.append(("remove", path.name))
        elif call == "sync" and path.is_dir():
            self.names.append(("sync",))
        return False


def after_power_cuts(recorder: Recorder) -> Iterator[tuple[dict[str, bytes], int]]:
    """(files that are left, epoch that was saved by then): up to each moment, synced names and any of the others."""
    for moment in range(len(recorder.names) + 1):
        done = recorder.names[:moment]
        last = max((i for i, act in enumerate(done) if act[0] == "sync"), default=-1)
        waiting = [i for i in range(last + 1, moment)]
        epoch = max((epoch for when, epoch in recorder.saved if when <= moment), default=-1)
        for chosen in itertools.product([False, True], repeat=len(waiting)):
            kept = {*range(last), *itertools.compress(waiting, chosen)}
            files: dict[str, bytes] = {}
            for i, act in enumerate(done):
                if i in kept and act[0] == "rename":
                    files[act[1]] = act[2]
                elif i in kept and act[0] == "remove":
                    files.pop(act[1], None)
            yield files, epoch


def test_a_power_cut_at_any_moment(tmp_path: Path) -> None:
    """What a save has written is there, in whichever order the disk does what it was not told to do first; the times of
    files tell nothing.
    """
    run, rng = tmp_path / "run", random.Random(SEED)
    run.mkdir()
    with failing(Recorder(run)) as recorder:
        saver = Saver(run, every=2)
        for epoch in range(4):
            saver.last(state(epoch, 10), epoch)
            recorder.saved.append((len(recorder.names), epoch))
            saver.best(state(epoch, 10), epoch)
    seen: dict[tuple[tuple[str, ...], int], dict[str, bytes]] = {}
    for files, epoch in after_power_cuts(recorder):
        seen[tuple(sorted(files)), epoch] = files
    assert len(seen) > 15
    for number, ((names, epoch), files) in enumerate(seen.items()):
        place = tmp_path / str(number)
        place.mkdir()
        for name, content in files.items():
            (place / name).write_bytes(content)
            moment = rng.randrange(1 << 60)
            os.utime(place / name, ns=(moment, moment))
        found, _ = checkpoint.newest(place)
        assert (found is not None) == bool(names)
        assert epoch <= (-1 if found is None else checkpoint.load(found)["epoch"]), names


# --- a process that is killed while its thread writes -----------------------------------------------------------------


def killed_while_writing(folder: Path, kills: int) -> dict[str, int]:
    """What was said to be written is there and whole; half a file is not taken for one, and goes with the next save."""
    rng, cut, epoch = random.Random(SEED), 0, -1
    folder.mkdir()
    for _ in range(kills):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            saver = Saver(folder, beside=True)
            for number in itertools.count(epoch + 1):
                saver.last(state(number, 300_000), number)
                os.write(write, b"s")
                saver.wait()
                os.write(write, b"w")
        os.close(write)
        os.read(read, 1)
        time.sleep(rng.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(read, "rb") as stream:
            said = stream.read().count(b"w")
        cut += any(folder.glob("*.part"))
        found, notes = checkpoint.newest(folder)
        now = -1 if found is None else checkpoint.load(found)["epoch"]
        assert epoch + said <= now <= epoch + said + 1 and not notes
        epoch = now
    checkpoint.save_last(state(epoch + 1), folder, epoch + 1)
    assert [path.name for path in folder.iterdir()] == [f"last_checkpoint_ep{epoch + 1}.pth"]
    return {"kills while a thread writes": kills, "files cut off": cut, "checkpoints lost": 0}


def test_kills_while_a_thread_writes(tmp_path: Path) -> None:
    killed_while_writing(tmp_path / "run", 6)


@pytest.mark.faults
def test_many_kills_while_a_thread_writes(tmp_path: Path) -> None:
    figures = killed_while_writing(tmp_path / "run", KILLS)
    assert figures["files cut off"] > KILLS // 10
    record("storage", figures)


def test_processes_that_fork_while_a_thread_writes(tmp_path: Path) -> None:
    """As those that read pictures do: the file that they inherit half written is not touched."""
    saver = Saver(tmp_path, beside=True)
    for epoch in range(10):
        saver.last(state(epoch, 300_000), epoch)
        child = os.fork()
        if not child:
            gc.collect()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        saver.wait()
        assert checkpoint.load(tmp_path / f"last_checkpoint_ep{epoch}.pth")["epoch"] == epoch


# --- what a save takes ------------------------------------------------------------------------------------------------


@pytest.mark.faults
def test_what_a_save_takes_from_training(tmp_path: Path) -> None:
    """70 million weights and their momentum, saved in turn both ways: seconds of the training's thread, by the clock
    and of a processor. The first pair, which makes room for the copy, does not count.
    """
    weights = {kind: {f"{i}": torch.randn(1_000_000) for i in range(70)} for kind in ("net", "optimizer")}
    took: dict[str, list[tuple[float, float]]] = {"at once": [], "beside": []}
    savers = {name: Saver(tmp_path / name, beside=name == "beside") for name in took}
    for epoch, (name, saver) in itertools.product(range(5), savers.items()):
        (tmp_path / name).mkdir(exist_ok=True)
        clock, processor = time.perf_counter(), time.thread_time()
        saver.last({**weights, "epoch": epoch, "iteration": 0}, epoch)
        took[name].append((time.perf_counter() - clock, time.thread_time() - processor))
        saver.wait()
    one, other = ((tmp_path / name / "last_checkpoint_ep4.pth").read_bytes() for name in took)
    assert one == other
    middle = {name: [round(median(part), 3) for part in zip(*found[1:], strict=True)] for name, found in took.items()}
    record("storage", {"a save of 560 MB: seconds by the clock, of a processor": middle, "pairs": 4})


# --- real disks -------------------------------------------------------------------------------------------------------


def test_a_small_disk_that_fills_up(tmp_path: Path) -> None:
    """In the thread: one line, what was there stays, and there is room again once the half file is gone."""
    with mounted(tmp_path / "disk", 300 << 10):
        saver = Saver(tmp_path / "disk", beside=True)
        saver.last(state(0), 0)
        for size in (60_000, 75_000, 200_000):
            saver.wait()
            saver.last(state(1, size), 1)
            with pytest.raises(UserError, match="could not write .*No space left on device; free some space .*intact"):
                saver.wait()
            assert [path.name for path in (tmp_path / "disk").iterdir()] == ["last_checkpoint_ep0.pth"]
        saver.last(state(2), 2)
        saver.wait()
        assert [path.name for path in (tmp_path / "disk").iterdir()] == ["last_checkpoint_ep2.pth"]


def test_a_disk_that_turns_read_only(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 1 << 20) as mount:
        checkpoint.save_last(state(0), tmp_path / "disk", 0)
        mount("remount,ro")
        saver = Saver(tmp_path / "disk", beside=True)
        saver.last(state(1), 1)
        with pytest.raises(UserError, match="Read-only file system; it may only be read: choose another folder"):
            saver.wait()
        assert checkpoint.newest(tmp_path / "disk")[0] == tmp_path / "disk" / "last_checkpoint_ep0.pth"
        with FolderLock() as lock:
            assert "cannot be locked (Read-only file system)" in lock.take(tmp_path / "disk", "x")
        with pytest.raises(UserError, match="cannot be written: Read-only file system; it may only be read"):
            RunLog(tmp_path / "disk")


@pytest.mark.skipif(os.geteuid() != 0, reason="somebody who may not write, made by somebody who may all")
def test_a_folder_of_somebody_else() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        checkpoint.save_last(state(0), folder, 0)
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.setuid(65534)
            try:
                checkpoint.save_last(state(1), folder, 1)
            except UserError as error:
                os.write(write, str(error).encode())
            os._exit(0)
        os.close(write)
        os.waitpid(child, 0)
        assert [path.name for path in folder.iterdir()] == ["last_checkpoint_ep0.pth"]
    with os.fdopen(read) as stream:
        assert "Permission denied; change the permissions or choose another folder" in stream.read()


# --- two runs in one folder -------------------------------------------------------------------------------------------


def test_of_many_that_start_at_once_one_gets_the_folder(tmp_path: Path) -> None:
    told: list[str] = []
    for number in range(20):
        locks, start = [FolderLock() for _ in range(6)], threading.Barrier(6)
        got: list[FolderLock] = []

        def take(lock: FolderLock, start: threading.Barrier = start, got: list[FolderLock] = got) -> None:
            start.wait()
            try:
                lock.take(tmp_path / str(number), "train.py")  # noqa: B023
                got.append(lock)
            except UserError as error:
                told.append(str(error))

        threads = [threading.Thread(target=take, args=(lock,)) for lock in locks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        got[0].release()
    assert len(told) == 100 and all("is in use by" in line for line in told)


# --- whole runs on a disk that fails at some call ---------------------------------------------------------------------


@pytest.fixture(scope="session")
def words(tiny_words: Callable[[Path, Path], list[str]], tiny_scenes: Path) -> Callable[[Path], list[str]]:
    """`words(place)`: a training that writes its run and its cache below `place`."""
    return lambda place: [*tiny_words(tiny_scenes, place), "--save_every", "1"]


@pytest.fixture(scope="session")
def undisturbed(words: Callable[[Path], list[str]], once: Callable[..., Path]) -> Path:
    """Folder of a run that has ended, with the calls that its disk has seen."""

    def make(place: Path) -> None:
        with failing(Disk(place)) as disk:
            assert train.main(words(place)) == 0
        (place / "calls").write_text(" ".join(call for call, _ in disk.log))

    return once("storage", make)


def calls_of(undisturbed: Path, fault: str) -> int:
    """How many calls of a run the fault may begin with."""
    return sum(call in FAULTS[fault][1] for call in (undisturbed / "calls").read_text().split())


def disturbed(
    words: Callable[[Path], list[str]], place: Path, undisturbed: Path, fault: str, first: int, capsys: Any
) -> None:
    """A run whose disk fails from a call on is told of it in a line; the same command goes on to the same end."""
    place.mkdir()
    with failing(Disk(place, fault, first)):
        code = train.main(words(place))
    _, err = capsys.readouterr()
    said = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code in (0, 2) and len(said) == (code == 2) and "Traceback" not in err, (fault, first, err)
    assert code == 0 or (str(place) in said[0] and os.strerror(FAULTS[fault][0]) in said[0]), said
    assert train.main([*words(place), "--resume", "auto"]) == 0, (fault, first, capsys.readouterr().err)
    assert_same_end(words(undisturbed), words(place))
    one, other = (sorted(path.name for path in (run / "run").glob("*.pth*")) for run in (place, undisturbed))
    assert one == other, (fault, first)


@pytest.mark.usefixtures("signals_restored")
@pytest.mark.parametrize(("fault", "share"), [("full", 0.55), ("read-only", 0.9)])
def test_a_run_on_a_disk_that_fails(
    words: Callable[[Path], list[str]],
    undisturbed: Path,
    tmp_path: Path,
    fault: str,
    share: float,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = int(share * calls_of(undisturbed, fault))
    disturbed(words, tmp_path / "point", undisturbed, fault, first, capsys)


@pytest.mark.faults
@pytest.mark.usefixtures("signals_restored")
def test_runs_on_disks_that_fail_at_any_call(
    words: Callable[[Path], list[str]], undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, calls = random.Random(SEED), len((undisturbed / "calls").read_text().split())
    for number in range(POINTS):
        fault = sorted(FAULTS)[number % len(FAULTS)]
        first = rng.randrange(calls_of(undisturbed, fault))
        if number < DONE:
            continue
        disturbed(words, tmp_path / f"point{number}", undisturbed, fault, first, capsys)
        record("storage", {"runs on failing disks": number + 1, "calls of a run": calls, "runs lost": 0})
