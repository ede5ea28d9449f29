"""The embedded scenes: deterministic files in the layout of Cityscapes that are neither trivial nor arbitrary."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

import toyworld
from datasets.cityscapes import SPEC
from toyworld import ids, parts
from toyworld.coarse import coarsen
from utils.errors import UserError

pytestmark = pytest.mark.run

FEW = {
    "train": 2, "val": 1, "test": 1, "train_extra": 1, "sequences": 1, "frames": 3, "adverse_train": 1,
    "adverse_val": 1,
}  # fmt: skip
SMALL = (96, 192)
RAW_IDS = set(range(34))


def read(path: Path) -> np.ndarray:
    """(H, W, 3) RGB or (H, W) of a PNG."""
    array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert array is not None, path
    return array[..., ::-1] if array.ndim == 3 else array


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*.png"))}


def pairs(root: Path, split: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and train ids of a split."""
    found = []
    for path in sorted((root / "gtFine" / split).rglob("*_gtFine_labelIds.png")):
        city = path.parent.name
        image = root / "leftImg8bit" / split / city / path.name.replace("_gtFine_labelIds", "_leftImg8bit")
        found.append((read(image), ids.train_ids(read(path))))
    return found


@pytest.fixture(scope="session")
def full(once: Callable[..., Path]) -> Path:
    """The 150 pictures that `make train` learns from."""
    return once("scenes_full", toyworld.write)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A little of every part."""
    root = tmp_path_factory.mktemp("scenes_small")
    toyworld.write(root, tuple(parts.PARTS), counts=FEW, size=SMALL, workers=1)
    return root


def test_render_is_a_pure_function() -> None:
    image, label = toyworld.render(3, size=SMALL)
    again = toyworld.render(3, size=SMALL)
    assert image.shape == (*SMALL, 3) and image.dtype == np.uint8
    assert label.shape == SMALL and label.dtype == np.uint8
    assert np.array_equal(image, again[0]) and np.array_equal(label, again[1])
    few = [toyworld.render(3, size=SMALL, **other)[1] for other in ({}, {"seed": 1}, {"split": "val"})]
    for other in (*few[1:], toyworld.render(4, size=SMALL)[1]):
        assert (other != few[0]).mean() > 0.05


@pytest.mark.slow
def test_files_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    for workers in (1, 2):
        toyworld.write(tmp_path / str(workers), ("fine",), counts=FEW, size=SMALL, workers=workers)
    one, two = (files(tmp_path / workers) for workers in "12")
    assert len(one) == 6 and one == two


@pytest.mark.slow
def test_layout_is_that_of_cityscapes(small: Path) -> None:
    patterns = [
        (r"leftImg8bit/(train|val|test|train_extra)/(\w+)/\2_\d{6}_000019_leftImg8bit\.png", 5),
        (r"gtFine/(train|val|test)/(\w+)/\2_\d{6}_000019_gtFine_labelIds\.png", 4),
        (r"gtCoarse/(train|val|train_extra)/(\w+)/\2_\d{6}_000019_gtCoarse_labelIds\.png", 4),
        (r"leftImg8bit_sequence/(train|val)/(\w+)/\2_\d{6}_0000(18|19|20)_leftImg8bit\.png", 6),
        (r"gtFine_sequence/(train|val)/(\w+)/\2_\d{6}_0000(18|19|20)_gtFine_labelIds\.png", 6),
        (r"flow_sequence/(train|val)/(\w+)/\2_\d{6}_0000(18_000019|19_000020)_flow\.png", 4),
        (r"flow_sequence/(train|val)/(\w+)/\2_\d{6}_0000(19_000018|20_000019)_flow\.png", 4),
        (r"rgb_anon/(fog|night|rain|snow)/(train|val)/(\w+)/\3_frame_\d{6}_rgb_anon\.png", 8),
        (r"gt/(fog|night|rain|snow)/(train|val)/(\w+)/\3_frame_\d{6}_gt_labelIds\.png", 8),
        (r"gt/(fog|night|rain|snow)/(train|val)/(\w+)/\3_frame_\d{6}_gt_labelTrainIds\.png", 8),
    ]
    names = set(files(small))
    for pattern, count in patterns:
        assert sum(bool(re.fullmatch(pattern, name)) for name in names) == count, pattern
    assert len(names) == sum(count for _, count in patterns)
    for path in small.rglob("*.png"):
        array = read(path)
        assert array.shape == (SMALL if "label" in path.name else (*SMALL, 3))
        if "labelIds" in path.name:
            assert set(np.unique(array).tolist()) <= RAW_IDS


@pytest.mark.slow
def test_train_ids_follow_the_raw_ids(small: Path) -> None:
    for path in (small / "gt").rglob("*_labelIds.png"):
        train = read(path.with_name(path.name.replace("labelIds", "labelTrainIds")))
        assert np.array_equal(train, ids.train_ids(read(path)))
        assert set(np.unique(train).tolist()) <= {*range(19), 255}


@pytest.mark.slow
def test_written_once(tmp_path: Path) -> None:
    counts = {"train": 1, "val": 1}
    toyworld.write(tmp_path, counts=counts, size=SMALL, workers=1)
    before, times = files(tmp_path), {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.png")}
    toyworld.write(tmp_path, counts=counts, size=SMALL, workers=1)
    assert times == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.png")}
    next(iter(times)).unlink()
    toyworld.write(tmp_path, counts=counts, size=SMALL, workers=1)
    assert files(tmp_path) == before
    toyworld.write(tmp_path, counts=counts, size=SMALL, seed=1, workers=1)
    after = files(tmp_path)
    assert after.keys() == before.keys() and all(after[name] != before[name] for name in before)


def test_an_interrupted_generation_leaves_nothing_and_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(job: parts.Job, **_: object) -> None:
        if job.split == "val":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(parts, "run", stop)
        toyworld.write(tmp_path, counts={"train": 1, "val": 1}, size=SMALL, workers=1)
    assert [p.name for p in tmp_path.iterdir()] == [".toy.lock"]
    killed = tmp_path / ".toy_fine_killed"
    killed.mkdir()
    toyworld.write(tmp_path, counts={"train": 1, "val": 1}, size=SMALL, workers=1)
    assert len(files(tmp_path)) == 4 and not killed.exists()


def test_real_data_is_not_replaced(tmp_path: Path) -> None:
    city = tmp_path / "leftImg8bit" / "train" / "aachen"
    city.mkdir(parents=True)
    with pytest.raises(UserError, match="does not hold generated scenes"):
        toyworld.write(tmp_path, counts=FEW, size=SMALL)
    assert city.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parts": ("fog", "fine", "cource")}, "did you mean 'coarse'"),
        ({"counts": {"trian": 3}}, "did you mean 'train'"),
        ({"size": (7, 512)}, "even numbers"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        toyworld.write(tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_coarse_labels_lie_inside_the_fine_ones(small: Path) -> None:
    fine = toyworld.render(0)[1]
    drawn = [(coarsen(fine), fine)]
    for path in (small / "gtCoarse" / "train").rglob("*.png"):
        drawn.append((read(path), read(small / path.relative_to(small).as_posix().replace("gtCoarse", "gtFine"))))
    assert len(drawn) == 3
    for coarse, fine in drawn:
        labeled = coarse > 0
        assert 0.4 < labeled.mean() < 0.97
        assert (coarse == fine)[labeled].mean() > 0.98


@pytest.mark.slow
def test_frames_of_a_sequence_overlap(small: Path) -> None:
    folder = small / "leftImg8bit_sequence" / "train" / "altheim"
    frames = [read(p).astype(float) for p in sorted(folder.iterdir())]
    annotated = read(small / "leftImg8bit" / "train" / "altheim" / "altheim_000000_000019_leftImg8bit.png")
    other = read(small / "leftImg8bit" / "train" / "brunnwald" / "brunnwald_000000_000019_leftImg8bit.png")
    assert np.array_equal(frames[1], annotated)
    elsewhere = np.abs(frames[1] - other).mean()
    for a, b in zip(frames[:-1], frames[1:], strict=True):
        assert 0 < np.abs(a - b).mean() < 0.5 * elsewhere


@pytest.mark.slow
def test_the_camera_drives_on() -> None:
    """The label map five frames later looks like an enlarged part of the first, more than like the first itself."""
    gain = []
    for index in (1, 3, 6):
        first, later = toyworld.render(index)[1], toyworld.render(index, time=6.0)[1]
        zoomed = cv2.resize(first[6:-6, 12:-12], (512, 256), interpolation=cv2.INTER_NEAREST)
        gain.append((zoomed == later).mean() - (first == later).mean())
        assert (first == later).mean() > 0.6
    assert np.mean(gain) > 0


@pytest.mark.slow
def test_every_weather_shows_the_same_street() -> None:
    clear, label = toyworld.render(2, split="val")
    shots = {}
    for condition in ("fog", "night", "rain", "snow"):
        shots[condition], same = toyworld.render(2, split="val", condition=condition)
        assert (same == label).mean() > 0.995
    ground = np.isin(label, (ids.ROAD, ids.SIDEWALK, ids.TERRAIN))
    assert shots["night"].mean() < 0.6 * clear.mean()
    assert shots["snow"][ground].mean() > 1.15 * shots["rain"][ground].mean()


@pytest.mark.slow
def test_fog_takes_the_contrast_out_of_the_distance() -> None:
    ratios = []
    for index in (0, 2, 4):
        band = [toyworld.render(index, split="val", condition=name)[0][90:150].std() for name in ("fog", "clear")]
        ratios.append(band[0] / band[1])
    assert max(ratios) < 0.9 and np.mean(ratios) < 0.7


@pytest.mark.slow
def test_every_class_is_drawn() -> None:
    """In few scenes; how often, and that color and place do not tell them, is looked at in all 150, slowly."""
    labels = [ids.train_ids(toyworld.render(index, size=(64, 128))[1]) for index in range(10, 14)]
    pixels = np.bincount(np.concatenate(labels).ravel(), minlength=256)[:19]
    assert SPEC.classes[pixels.argmax()] == "road" and pixels.min() > 60
    assert pixels[SPEC.classes.index("rider")] < 0.012 * pixels.sum()


@pytest.mark.slow
def test_classes_occur_often_enough_and_rare_ones_are_rare(full: Path) -> None:
    for split, images, least in (("train", 120, 15), ("val", 30, 5)):
        labels = [label for _, label in pairs(full, split)]
        assert len(labels) == images
        pixels = np.array([np.bincount(label.ravel(), minlength=256)[:19] for label in labels])
        present = dict(zip(SPEC.classes, (pixels > 60).sum(0).tolist(), strict=True))
        assert min(present.values()) >= least, present
        share = dict(zip(SPEC.classes, (pixels.sum(0) / pixels.sum()).tolist(), strict=True))
        assert max(share, key=lambda name: share[name]) == "road"
        for name in ("traffic light", "rider", "train", "motorcycle"):
            assert share[name] < 0.012, share
        assert share["building"] > 0.12 and share["vegetation"] > 0.06 and share["car"] > 0.03


def _features(
    rng: np.random.Generator, found: list[tuple[np.ndarray, np.ndarray]], count: int, weight: float
) -> tuple[np.ndarray, np.ndarray]:
    features, targets = [], []
    for image, label in found:
        y, x = np.nonzero(label < 255)
        pick = rng.integers(0, len(y), count)
        y, x = y[pick], x[pick]
        place = weight * np.column_stack([y / label.shape[0], x / label.shape[1]])
        features.append(np.column_stack([image[y, x] / 255.0, place]))
        targets.append(label[y, x])
    return np.concatenate(features), np.concatenate(targets).astype(np.int64)


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.3, 1.0, 3.0])
def test_color_and_place_do_not_tell_the_class(full: Path, weight: float) -> None:
    """One nearest neighbor on (RGB, x, y) among 60,000 training pixels; `weight` of the place against the color."""
    rng = np.random.default_rng(0)
    known, classes = _features(rng, pairs(full, "train"), 500, weight)
    asked, truth = _features(rng, pairs(full, "val"), 1500, weight)
    guess = classes[cKDTree(known).query(asked)[1]]
    matrix = np.bincount(truth * 19 + guess, minlength=361).reshape(19, 19)
    iou = np.diag(matrix) / (matrix.sum(0) + matrix.sum(1) - np.diag(matrix))
    assert 0.1 < iou.mean() < 0.30
