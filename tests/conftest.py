"""Fixtures that several folders share."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest
from narrow_nets import TINY, filled, full, golden, narrow, tiny_snapshot  # noqa: F401
from pictures import write_image
from PIL import Image

import toyworld
import train


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What draws or trains for several tests is no test of a single part: the marker `run` is added.

    `in_make_test("a", "b-*")`: of a test's parameters these alone run in `make test`; the others are slow.
    """
    unused: dict[tuple[str, str], str] = {}
    for item in items:
        if "once" in getattr(item, "fixturenames", ()):
            item.add_marker("run")
        if chosen := item.get_closest_marker("in_make_test"):
            case, test = item.callspec.id, item.nodeid.split("[")[0]  # type: ignore[attr-defined]
            for pattern in chosen.args:
                unused[test, pattern] = "" if fnmatchcase(case, pattern) else unused.get((test, pattern), case)
            if not any(fnmatchcase(case, pattern) for pattern in chosen.args):
                item.add_marker("slow")
    for (test, pattern), case in unused.items():
        if case and not any("::" in str(arg) for arg in items[0].config.args):
            raise pytest.UsageError(f"{test}: no parameter is {pattern!r}; one is {case!r}")


def pytest_collection_finish() -> None:
    """What is there before the first test stays: to look through it for garbage took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture
def signals_restored() -> Iterator[None]:
    """Give signals their handlers back after a training in this process."""
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`once(name, make)`: a folder that `make(folder)` fills; one worker of pytest does, and all of them read it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = base / f"once-{name}", base / f"once-{name}.done"
        maker = f"{make.__module__}.{make.__qualname__}"
        with open(base / f"once-{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a worker whose `make` has failed
                folder.mkdir()
                make(folder)
                done.write_text(maker)
            assert done.read_text() == maker, f"two things are called {name}"
        return folder

    return made


@pytest.fixture(scope="session")
def tiny_scenes(once: Callable[..., Path]) -> Path:
    """Embedded scenes, few and small, in the Cityscapes layout."""
    counts = {"train": 8, "val": 4}
    return once("scenes", lambda root: toyworld.write(root / "toy", counts=counts, size=(64, 128), workers=1)) / "toy"


@pytest.fixture(scope="session")
def tiny_words() -> Callable[[Path, Path], list[str]]:
    """`tiny_words(scenes, folder)`: a training of seconds, 2 epochs of 2 steps; the run folder is `folder`/run."""

    def words(scenes: Path, folder: Path) -> list[str]:
        return [
            *("--dataset", "toy", "--data_root", str(scenes), "--arch", TINY),
            *("--width_mult", "0.1", "--segattn_bot_ch", "8", "--crop_size", "64", "--class_uniform_tile", "32"),
            *("--bs_trn", "4", "--max_epoch", "2", "--num_workers", "0", "--lr", "0.01", "--optimizer", "adamw"),
            *("--result_dir", str(folder / "run"), "--syncbn"),
            *("DATASET.CENTROID_ROOT", str(folder / "centroids"), "TRAIN.LOG_EVERY", "1"),
            *("MODEL.OCR.MID_CHANNELS", "16", "MODEL.OCR.KEY_CHANNELS", "8"),
            *("MODEL.OCR_EXTRA.STAGE1.NUM_BLOCKS", "1", "MODEL.OCR_EXTRA.STAGE2.NUM_BLOCKS", "1,1"),
            *("MODEL.OCR_EXTRA.STAGE3.NUM_MODULES", "1", "MODEL.OCR_EXTRA.STAGE3.NUM_BLOCKS", "1,1,1"),
            *("MODEL.OCR_EXTRA.STAGE4.NUM_MODULES", "1", "MODEL.OCR_EXTRA.STAGE4.NUM_BLOCKS", "1,1,1,1"),
        ]

    return words


@pytest.fixture
def tiny_run(tiny_words: Callable[[Path, Path], list[str]], tiny_scenes: Path, tmp_path: Path) -> list[str]:
    """Command line of such a training on small scenes; its folder is `tmp_path`/run."""
    return tiny_words(tiny_scenes, tmp_path)


@pytest.fixture(scope="session")
def trained(tiny_words: Callable[[Path, Path], list[str]], tiny_scenes: Path, once: Callable[..., Path]) -> list[str]:
    """Command line of a training that has ended: 4 epochs, the last one validated, with dropout and a moving average.

    All tests share its folder, beside which lies stdout.txt: `runs.copied` for those that write into it.
    """

    def line(folder: Path) -> list[str]:
        words = [*tiny_words(tiny_scenes, folder), "--max_epoch", "4", "--val_freq", "4", "--save_every", "2"]
        return [*words, "--ema", "0.9", "MODEL.OCR.DROPOUT", "0.5"]

    def make(folder: Path) -> None:
        with open(folder / "stdout.txt", "w") as stream, contextlib.redirect_stdout(stream):
            assert train.main(line(folder)) == 0

    return line(once("trained", make))


@pytest.fixture
def write_file() -> Callable[[Path, np.ndarray], None]:
    """`write_image` itself."""
    return write_image


@pytest.fixture
def make_mapillary() -> Callable[..., Path]:
    """`make_mapillary(root, release, counts=..., sizes=..., classes=...)`: a miniature Mapillary Vistas.

    `release`: "v1.2" (config.json, <split>/labels), "v2.0" (v2.0 alone) or "both" (v1.2 and v2.0 as v2.0 is shipped).
    Labels are palette PNGs whose blocks have every class in turn, "Unlabeled" among them. Sizes take turns, too.
    """

    def make(
        root: Path,
        release: str = "v1.2",
        counts: Mapping[str, int] | None = None,
        sizes: Sequence[tuple[int, int]] = ((64, 96), (75, 50), (51, 101)),
        classes: int = 65,
    ) -> Path:
        root.mkdir(parents=True, exist_ok=True)
        trees = {"v1.2": ("config.json", "labels"), "v2.0": ("config_v2.0.json", "v2.0/labels")}
        both = [("config_v1.2.json", "v1.2/labels", 65), (*trees["v2.0"], 123)]
        parts = both if release == "both" else [(*trees[release], classes)]
        for config, labels, known in parts:
            names = [*(f"Class {i}" for i in range(known)), "Unlabeled"]
            entries = [{"readable": name, "color": [i, 255 - i, 7], "name": name} for i, name in enumerate(names)]
            (root / config).write_text(json.dumps({"labels": entries, "version": "1.1"}))
            for split, count in (counts or {"training": 6, "validation": 3, "testing": 1}).items():
                for number in range(count):
                    height, width = sizes[number % len(sizes)]
                    stem = f"{split}_{number:03d}"
                    rng = np.random.default_rng(number)
                    write_image(root / split / "images" / f"{stem}.jpg", rng.integers(0, 256, (height, width, 3), "u1"))
                    if split == "testing":
                        continue
                    blocks = np.arange(number, number + (-(-height // 8)) * (-(-width // 8))) % len(names)
                    label = blocks.reshape(-(-height // 8), -1).astype("u1").repeat(8, 0).repeat(8, 1)[:height, :width]
                    picture = Image.fromarray(label, mode="P")
                    picture.putpalette([c for entry in entries for c in entry["color"]])
                    path = root / split / labels / f"{stem}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    picture.save(path)
        return root

    return make
