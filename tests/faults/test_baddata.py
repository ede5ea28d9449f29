"""Bad files in every place of every dataset: a line before training, or left out and counted; never a wrong label."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import bad_inputs
import numpy as np
import own_layouts as drawn
import pytest
import runs
import torch
from bad_inputs import BAD_IMAGES, BAD_LABELS, BAD_TEXT, GOOD_IMAGES, GOOD_LABELS, saved
from bad_trees import ANNOTATIONS, TREES
from faults.figures import record
from PIL import Image

import config
import datasets
import train
from datasets import splits
from datasets.base import Item
from datasets.reading import read_label
from media import decoding
from utils.distributed import DistributedContext
from utils.errors import UserError

COUNT = int(os.environ.get("FAULTS_BADDATA", "200"))
FLIPS = int(os.environ.get("FAULTS_FLIPS", "2000"))
ALONE = DistributedContext()
NOT_LISTED = ("vanished", "folder")  # an image that is not there, or none, is in no list of a folder
# Labels by shares of the image's sides; a file without a line is an image without an object.
WELL_FORMED = {
    ("own yolo", "image", "other size"),
    ("own yolo", "annotation", "empty"),
    ("own yolo", "annotation", "truncated at a half"),
}
OPENCV = "OpenCV"
DECODERS = [*(name for name, (module, _) in decoding.DECODERS.items() if importlib.util.find_spec(module)), OPENCV]


class Case(NamedTuple):
    """A fault of the first image, label or annotation of a dataset."""

    tree: str
    place: str
    fault: str

    @property
    def change(self) -> bad_inputs.Fault:
        """What is done to the file."""
        known = {"image": BAD_IMAGES | GOOD_IMAGES, "label": GOOD_LABELS | BAD_LABELS, "annotation": BAD_TEXT}
        return known[self.place][self.fault]

    @property
    def is_good(self) -> bool:
        """Whether the file can be read all the same."""
        known = {"image": BAD_IMAGES, "label": BAD_LABELS, "annotation": BAD_TEXT}[self.place]
        not_listed = self.place == "image" and self.fault in NOT_LISTED and self.tree != "list"
        return self.fault not in known or not_listed or (self.tree, self.place, self.fault) in WELL_FORMED


def _places(tree: str) -> dict[str, Sequence[str]]:
    """List the faults of each place of a dataset."""
    places: dict[str, Sequence[str]] = {"image": [*BAD_IMAGES, *GOOD_IMAGES]}
    if tree in ANNOTATIONS:
        return {**places, "annotation": [*BAD_TEXT]}
    if tree in ("own binary", "own colors", "camvid in colors"):  # the values of the others are no colors or masks
        return {**places, "label": [name for name in BAD_TEXT if name not in ("no UTF-8", "other tree")][:3]}
    if tree == "cityscapes":  # where a folder called like a picture is listed, and read in vain
        places["image"] = [name for name in places["image"] if name != "folder"]
    return {**places, "label": [*dict.fromkeys([*BAD_LABELS, *GOOD_LABELS])]}


def cases(count: int, seed: int = 19) -> list[Case]:
    """Draw cases: every dataset and place in turn, and of each place every fault in turn."""
    rng = random.Random(seed)
    turns = [(tree, place) for tree in TREES for place in _places(tree)]
    left: dict[str, list[str]] = {}
    found: dict[Case, None] = {}
    while len(found) < count:
        for tree, place in turns:
            known = _places(tree)[place]
            queue = left.setdefault(place if len(known) > 3 else tree, [])
            queue += [] if queue else rng.sample(list(known), len(known))
            found.setdefault(Case(tree, place, queue.pop()))
    return [*found][:count]


QUICK = [
    Case("cityscapes", "image", "bit turned"), Case("folder", "label", "id out of range"),
    Case("own gray", "image", "pipe"), Case("mapillary", "image", "huge jpeg"), Case("list", "label", "loop of links"),
    Case("own coco", "annotation", "truncated at a half"), Case("ade20k", "image", "cmyk"),
    Case("camvid", "image", "loop of links"), Case("own palette", "label", "interlaced"),
    Case("acdc", "label", "animated gif"),
]  # fmt: skip


@contextmanager
def decoder(name: str) -> Iterator[None]:
    """Decode by this package within the block."""
    before = decoding._png_decoder
    module, make = decoding.DECODERS.get(name, ("", None))
    found = make(importlib.import_module(module)) if make else None
    decoding._png_decoder = lambda: (name, found)  # type: ignore[assignment]
    try:
        yield
    finally:
        decoding._png_decoder = before


def options(words: Sequence[str], root: Path, *more: str) -> config.CfgNode:
    """The options of a training on small crops."""
    small = ["--arch", "ocrnet.HRNet", "--crop_size", "32", "--bs_trn", "2", "--class_uniform_tile", "16"]
    return config.load([*words, *small, "--num_workers", "0", "DATASET.CENTROID_ROOT", str(root / "near"), *more])


class Seen(NamedTuple):
    """What a training would see: why it was refused or stopped, what its log has, the names and labels of its crops."""

    refused: str
    stopped: str
    lines: list[str]
    batches: list[tuple[tuple[str, ...], torch.Tensor]]


def attempt(cfg: config.CfgNode, between: Callable[[int], object] = lambda epoch: None, start: int = 0) -> Seen:
    """Read two epochs and the validation; `between(epoch)` is called before each epoch."""
    lines: list[str] = []
    batches = []
    try:
        loader = datasets.build_train(cfg, ALONE)
        loader.left_out.say = lines.append
        lines += datasets.audit_labels(cfg, ALONE, loader)
    except UserError as error:
        return Seen(str(error), "", lines, [])
    try:
        for epoch in range(2):
            between(epoch)
            loader.set_epoch(epoch, start if epoch == 0 else 0)
            for batch in datasets.agreed(iter(loader), ALONE, loader.left_out):
                batches.append((tuple(batch["name"]), batch["label"].clone()))
        val = datasets.build_val(cfg, ALONE)
        assert all(len(batch["name"]) for batch in val)
        lines += val.seen(ALONE).lines
    except UserError as error:
        return Seen("", str(error), lines, batches)
    finally:
        loader.close()
    return Seen("", "", lines, batches)


@contextmanager
def in_seconds(most: int) -> Iterator[None]:
    """End with an error what hangs."""

    def late(*_: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(most)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def planted(case: Case, root: Path) -> tuple[list[str], Path]:
    """Draw the dataset, and plant the fault; gives its words and the file."""
    words = TREES[case.tree](root)
    if case.place == "annotation":
        target = sorted(root.glob(ANNOTATIONS[case.tree]))[0]
    else:
        items: Sequence[Item] = splits.load(options(words, root), "train", ALONE).items
        target = Path(items[0].image if case.place == "image" else str(items[0].label))
    if case.tree in ("own binary",) and case.place == "label":
        target = root / "labels/road/0.png"
    if target.is_symlink():
        data = target.read_bytes()
        target.unlink()
        target.write_bytes(data)
    case.change(target)
    return words, target


def check(case: Case, root: Path, workers: str = "0") -> str:
    """Assert the outcome of a case in both modes; gives what it was."""
    outcomes = []
    for mode in ("stop", "skip"):
        shutil.rmtree(root, ignore_errors=True)
        words, target = planted(case, root)
        with in_seconds(60):
            seen = attempt(options(words, root, "--on_bad_sample", mode, "--num_workers", workers))
        said = [line for line in (seen.refused, seen.stopped, *seen.lines) if line]
        assert not any("\n" in line for line in said), said
        if case.is_good:
            assert not seen.refused and not seen.stopped and not any("another sample" in line for line in said), said
        else:
            named = [line for line in said if target.name in line or target.stem in line]
            assert named, (case, said)
            assert seen.refused or mode == "skip" or seen.stopped, (case, said)
            assert not seen.stopped or mode == "stop", (case, said)
            drawn_from = {name for names, _ in seen.batches for name in names} if mode == "skip" else set()
            assert target.stem not in drawn_from or case.place == "annotation", case
        outcomes.append("refused" if seen.refused else "stopped" if seen.stopped else "left out" * (not case.is_good))
    return outcomes[1] or "read"


@pytest.mark.parametrize("case", QUICK, ids=" ".join)
def test_a_bad_file_has_its_outcome(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path / "set")


@pytest.mark.faults
def test_hundreds_of_bad_files_have_their_outcomes(tmp_path: Path) -> None:
    counts: dict[str, int] = {}
    failed: list[str] = []
    for number, case in enumerate(cases(COUNT)):
        with decoder(DECODERS[number % len(DECODERS)]):
            try:
                outcome = check(case, tmp_path / "set", "2" if number % 10 == 9 else "0")
            except Exception as error:
                failed.append(f"{case}: {type(error).__name__}: {str(error)[:500]}")
                continue
        counts[outcome] = counts.get(outcome, 0) + 1
    record("baddata", {"inputs": COUNT, "outcomes": counts, "failed": len(failed)})
    assert not failed, "\n".join(failed)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Turn a bit, or take some bytes out."""
    at = rng.randrange(len(data))
    if rng.random() < 0.75:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    return data[:at] + data[at + rng.randrange(1, 40) :]


def outcomes_of_damage(count: int, folder: Path) -> dict[str, int]:
    """Read damaged PNG labels by every decoder: what each of them gives is the same, and never another label."""
    truth = np.kron(drawn.label(3), np.ones((4, 4), np.uint8))
    kinds = [saved(Image.fromarray(truth), "PNG"), bad_inputs._with_palette(truth)]
    rng, counts, path = random.Random(7), {"refused": 0, "the same label": 0}, folder / "label.png"
    for number in range(count):
        path.write_bytes(damaged(kinds[number % 2], rng))
        seen = set()
        for name in DECODERS:
            with decoder(name):
                try:
                    label = read_label(str(path))
                except UserError:
                    seen.add("refused")
                else:
                    assert label.shape == truth.shape and (label == truth).all(), (number, name)
                    seen.add("the same label")
        assert len(seen) == 1, (number, seen)
        counts[seen.pop()] += 1
    return counts


def test_decoders_agree_on_damage(tmp_path: Path) -> None:
    outcomes_of_damage(150, tmp_path)


@pytest.mark.faults
def test_decoders_agree_on_much_damage(tmp_path: Path) -> None:
    record("baddata", {"damaged labels": FLIPS, "decoders": DECODERS, **outcomes_of_damage(FLIPS, tmp_path)})


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("place", ["images", "labels"])
def test_a_file_that_vanishes_while_training(place: str, workers: str, tmp_path: Path) -> None:
    words = TREES["folder"](tmp_path)

    def lose(epoch: int) -> None:
        (tmp_path / f"train/{place}/{epoch + 1}.png").unlink(missing_ok=True)  # before the first, and between the two

    more = ("--num_workers", workers, "--class_uniform_pct", "0")
    seen = attempt(options(words, tmp_path, *more), lose)
    assert "1.png" in seen.stopped and "No such file" in seen.stopped and not seen.refused
    TREES["folder"](tmp_path)
    seen = attempt(options(words, tmp_path, *more, "--on_bad_sample", "skip"), lose)
    assert not seen.stopped and len(seen.batches) == 6
    lost = [line for line in seen.lines if line.startswith("left out, another sample takes its place")]
    assert len(lost) == 2 and "1.png" in lost[0] and "2.png" in lost[1]
    totals = [line for line in seen.lines if line.startswith("left out since the start: ")]
    assert "for 1 reason" in totals[0] and totals[-1].endswith("samples, for 2 reasons")


def test_what_takes_its_place_is_the_same_for_all(tmp_path: Path) -> None:
    """For any number of processes, and for a run that goes on in the middle of an epoch."""
    words = TREES["folder"](tmp_path)
    for name in ("1", "4"):
        (tmp_path / f"train/images/{name}.png").write_bytes(b"")
    skip = ("--on_bad_sample", "skip")
    one, two = (attempt(options(words, tmp_path, *skip, "--num_workers", count)) for count in ("0", "2"))
    later = attempt(options(words, tmp_path, *skip), start=1)
    assert len(one.batches) == 6 and {name for names, _ in one.batches for name in names} <= {"0", "2", "3", "5"}
    for seen, expected in ((two.batches, one.batches), (later.batches, one.batches[1:])):
        assert [names for names, _ in seen] == [names for names, _ in expected]
        assert all(torch.equal(a, b) for (_, a), (_, b) in zip(seen, expected, strict=True))


def test_where_nothing_can_be_read_a_run_ends(tmp_path: Path) -> None:
    words = TREES["folder"](tmp_path)
    for path in (tmp_path / "train/images").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    seen = attempt(options(words, tmp_path, "--on_bad_sample", "skip"))
    assert seen.stopped.startswith("17 samples in a row cannot be read, the last: ")


def test_a_cache_leaves_bad_samples_out(tmp_path: Path) -> None:
    words = TREES["folder"](tmp_path / "set")
    (tmp_path / "set/train/images/1.png").write_bytes(b"text")
    bad_inputs.BAD_LABELS["id out of range"](tmp_path / "set/train/labels/2.png")
    (tmp_path / "set/val/labels/6.png").write_bytes(b"")
    more = ("--cache_decoded", str(tmp_path / "decoded"))
    assert "is empty" in attempt(options(words, tmp_path, *more)).refused
    seen = attempt(options(words, tmp_path, *more, "--on_bad_sample", "skip"))
    assert not seen.refused and not seen.stopped
    assert {name for names, _ in seen.batches for name in names} == {"0", "3", "4", "5"}
    said = "\n".join(seen.lines)
    assert "train/images/1.png" in said and "label value 200 (6 pixels)" in said and "labels/6.png is empty" in said
    assert "1 of 2 pictures could not be read and are left out" in said


@pytest.mark.run
def test_a_run_goes_on_without_bad_samples(tiny_run: list[str], tmp_path: Path, signals_restored: None) -> None:
    scenes = Path(tiny_run[tiny_run.index("--data_root") + 1])
    copy = shutil.copytree(scenes, tmp_path / "toy")
    words = [word.replace(str(scenes), str(copy)) for word in tiny_run] + ["--on_bad_sample", "skip"]
    first = sorted(copy.glob("leftImg8bit/train/*/*.png"))[0]
    first.write_bytes(bad_inputs.flipped(first.read_bytes()))
    hidden = sorted(copy.glob("gtFine/val/*/*labelIds.png"))[0]
    hidden.write_bytes(hidden.read_bytes()[:40])
    assert train.main(words) == 0
    log = (runs.folder(words) / "train.log").read_text()
    assert log.count(f"left out, another sample takes its place: {first} is damaged") == 1
    assert "left out since the start: " in log and f"left out: {hidden} is truncated" in log
    assert "1 of 4 pictures could not be read and are left out" in log
    evaluate = [*words, "--eval", "val", "--snapshot", str(runs.folder(words))]
    assert train.main(evaluate) == 2
    assert train.main([word if word != "skip" else "stop" for word in evaluate]) == 2
