"""Runs that are killed anywhere: the same command goes on and ends with the bits of the run that nobody disturbed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import forked
import pytest
import tiny_trunk
from equal_runs import differences
from faults.figures import record as note
from kill_points import Blow, Point, arguments, choose, read, run
from runs import train_on_command

import toyworld

COUNT = int(os.environ.get("FAULTS_KILLS", "100"))  # of one process; of the others a share of it
SEED = int(os.environ.get("FAULTS_SEED", "0"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1)
WORDS = [
    *("--dataset", "toy", "--arch", "tiny+ocr", "MODEL.OCR.MID_CHANNELS", "8", "MODEL.OCR.KEY_CHANNELS", "8"),
    *("--crop_size", "32", "--lr", "0.01", "--optimizer", "adamw", "MODEL.OCR.DROPOUT", "0.5"),
    *("--max_epoch", "2", "--val_freq", "1", "--save_every", "1", "--ema", "0.9", "--class_uniform_tile", "16"),
    *("DATASET.CENTROID_ROOT", "centroids", "--cache_decoded", "cache", "--dump_topn", "1"),
    *("TRAIN.LOG_EVERY", "1", "--result_dir", "run", "--resume", "auto"),
]
READING = ("step", "optimizer", "epoch", "checkpoint", "validation", "save")  # where such processes are at work
ENDED = (0, 2, 128 + signal.SIGTERM, 128 + signal.SIGUSR1)  # whole, or with a line that says why not


def command(words: list[str]) -> int:
    """train.py with the tiny trunk."""
    tiny_trunk.install()
    return train_on_command(words)


class Course:
    """Scenes, a whole run in `whole` by `world` processes, and what it has done, if asked, counted in `points.json`."""

    def __init__(self, folder: Path, world: int = 1, readers: int = 0) -> None:
        self.folder, self.world, self.command = folder, world, command
        self.words = [*WORDS, "--bs_trn", str(2 // world), "--num_workers", str(readers)]
        self.words += ["--data_root", str(folder / "scenes")]

    def make(self, counted: bool = True) -> None:
        """Draw the scenes and run undisturbed."""
        if self.words:
            toyworld.write(self.folder / "scenes", counts={"train": 4, "val": 2}, size=(32, 64), workers=1)
        (self.folder / "whole").mkdir()
        codes, output = self.start(self.folder / "whole", record=self.folder / "points.json" if counted else None)
        assert not any(codes), output

    @property
    def counts(self) -> dict[tuple[str, str], int]:
        """What the undisturbed run has done."""
        return read(self.folder / "points.json")

    def start(self, place: Path, blow: Blow | None = None, record: Path | None = None) -> tuple[list[int | None], str]:
        """The command in the folder `place`; its exit codes and what it has printed."""
        words = arguments(self.command, place, self.words, blow, record)
        if self.world > 1:
            processes = forked.ranks(run, words, self.world)
        else:
            processes = [forked.Process(run, words, os.environ | {"OMP_NUM_THREADS": "1"})]
        outputs = [process.communicate(timeout=1800)[0] for process in processes]
        return [process.returncode for process in processes], "\n".join(outputs)

    def survived(self, place: Path, blows: Sequence[Blow]) -> tuple[list[str], int]:
        """Start, be hit, start again, until nobody hits; what is not as in the whole run, and the starts that ended."""
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        ended = 0
        for blow in blows:
            codes, output = self.start(place, blow)
            ended += codes != [0] * self.world
            for rank, code in enumerate(codes):
                killed = code == -blow.signal and rank == blow.rank and not blow.worker
                if not (killed or code in ENDED):
                    return [f"{blow}: rank {rank} ended with {code}: {output[-2000:]}"], ended
        codes, output = self.start(place)
        if any(codes):
            return [f"{list(blows)}: the last start ended with {codes}: {output[-2000:]}"], ended
        return [f"{list(blows)}: {what}" for what in differences(self.folder / "whole", place)], ended


@pytest.fixture(scope="session")
def course(once: Callable[..., Path]) -> Course:
    """One process."""
    return Course(once("killed", lambda folder: Course(folder).make(counted=False)))


@pytest.fixture(scope="session")
def counted(once: Callable[..., Path]) -> Course:
    """One process whose points are known."""
    return Course(once("killed-counted", lambda folder: Course(folder).make()))


@pytest.fixture(scope="session")
def pair(once: Callable[..., Path]) -> Course:
    """Two processes that meet by gloo."""
    return Course(once("killed-pair", lambda folder: Course(folder, 2).make()), 2)


# A dozen for `make test`: several one after another in one run, in the order in which a run comes by.
DOZEN = {
    "building": [
        Blow(Point("cache", "os.rename", 3)),
        Blow(Point("centroids", "write", 5)),
        Blow(Point("centroids", "line", 300), signal.SIGTERM),
        Blow(Point("step", "line", 20)),
    ],
    "checkpoints": [
        Blow(Point("checkpoint", "write", 2600)),  # of the second epoch
        Blow(Point("go back", "os.rename")),
        Blow(Point("prune", "os.remove")),
        Blow(Point("keep", "os.rename")),
        Blow(Point("best", "line", 3)),
    ],
    "results": [
        Blow(Point("optimizer", "line", 40), signal.SIGUSR1),
        Blow(Point("validation", "os.rename", 5)),
        Blow(Point("report", "os.rename")),
        Blow(Point("metrics", "open", 3)),
    ],
}


@pytest.mark.run
@pytest.mark.parametrize("name", DOZEN)
def test_a_dozen(course: Course, tmp_path: Path, name: str) -> None:
    found, ended = course.survived(tmp_path / "run", DOZEN[name])
    assert not found, "\n".join(found)
    assert ended == len(DOZEN[name])  # each was hit


def draw(words: list[str]) -> int:
    """Draw a few scenes."""
    counts = {"train": 2, "val": 1, "train_extra": 2}
    toyworld.write("scenes", ("fine", "coarse"), counts=counts, size=(32, 64), workers=1)
    return 0


class Drawing(Course):
    """The same of a drawing of scenes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.words, self.command = [], draw


def throw(course: Course, place: Path, kind: str, count: int, hit: Callable[[random.Random, int, Point], Blow]) -> None:
    """Hit so many runs, every fourth of them twice; note figures, and fail with all that was not equal."""
    dice, found, seen, ended, began = random.Random(SEED), list[str](), Counter[str](), 0, time.monotonic()
    points = choose(course.counts, count, SEED)
    for number, point in enumerate(points):
        blows = [hit(dice, number, point)] + [hit(dice, dice.randrange(3), dice.choice(points))] * (number % 4 == 3)
        unlike, by = course.survived(place, blows)
        seen.update(blow.point.phase for blow in blows)
        found, ended = found + unlike, ended + by
    figures = {"runs": count, "starts that were ended": ended, "phases": dict(seen), "differences": len(found)}
    note("kill", {kind: {**figures, "seed": SEED, "seconds": round(time.monotonic() - began)}})
    assert not found, "\n".join(found)


def by_turns(dice: random.Random, number: int, point: Point) -> Blow:
    """Each signal in turn, at the point."""
    return Blow(point, SIGNALS[number % 3])


@pytest.mark.faults
def test_anywhere(counted: Course, tmp_path: Path) -> None:
    throw(counted, tmp_path / "run", "one process", COUNT, by_turns)


@pytest.mark.faults
def test_at_any_time(counted: Course, tmp_path: Path) -> None:
    began = time.monotonic()
    assert not counted.survived(tmp_path / "run", [])[0]
    most = int(1000 * (time.monotonic() - began))

    def hit(dice: random.Random, number: int, point: Point) -> Blow:
        return Blow(Point("any", "time", dice.randint(1, most)), SIGNALS[number % 3])

    throw(counted, tmp_path / "run", "one process, by time", COUNT // 5, hit)


@pytest.mark.faults
def test_one_rank_of_two(pair: Course, tmp_path: Path) -> None:
    def hit(dice: random.Random, number: int, point: Point) -> Blow:
        shared = point.phase in READING and point.kind == "line" and point.phase not in ("checkpoint", "save")
        return Blow(point, SIGNALS[number % 3], rank=dice.randrange(2) if shared else 0)  # the others write nothing

    throw(pair, tmp_path / "run", "one rank of two", COUNT // 10, hit)


@pytest.fixture(scope="session")
def readers(once: Callable[..., Path]) -> Course:
    """One process and two that read pictures for it."""
    return Course(once("killed-readers", lambda folder: Course(folder, readers=2).make()), readers=2)


@pytest.mark.faults
def test_loader_process(readers: Course, tmp_path: Path) -> None:
    places = choose({key: n for key, n in readers.counts.items() if key[0] in READING}, COUNT, SEED)

    def hit(dice: random.Random, number: int, point: Point) -> Blow:
        return Blow(dice.choice(places), worker=True)

    throw(readers, tmp_path / "run", "a loader process", COUNT // 10, hit)


@pytest.fixture(scope="session")
def drawing(once: Callable[..., Path]) -> Course:
    """Scenes that were drawn undisturbed."""
    return Drawing(once("killed-drawing", lambda folder: Drawing(folder).make()))


@pytest.mark.faults
def test_drawing_of_scenes(drawing: Course, tmp_path: Path) -> None:
    def hit(dice: random.Random, number: int, point: Point) -> Blow:
        return Blow(point)  # other signals end this command with a traceback of the test's own

    throw(drawing, tmp_path / "run", "drawing of scenes", COUNT // 4, hit)
