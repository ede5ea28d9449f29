"""Clips: which frames follow each other, what is cut out of them, and users' mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets.clips import ClipDataset, ClipLoader, listing
from datasets.samplers import ClassUniformSampler
from utils.contracts import CropRequest
from utils.errors import UserError
from utils.files import write_file
from utils.visualize import encode_png

HEIGHT, WIDTH = 20, 30


def frame(number: int) -> np.ndarray:
    """(H, W, 3) RGB: red is the number, green the row, blue the column."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([np.full_like(rows, number), rows, columns], 2).astype(np.uint8)


def write(folder: Path, *names: str) -> Path:
    """Frames of these names; the number at a name's end is in the picture."""
    for name in names:
        write_file(folder / f"{name}.png", encode_png(frame(int(name.split("_")[-1][-6:]))))
    return folder


def numbers(folder: Path, length: int, rate: int = 1) -> list[list[str]]:
    return [[path.stem for path in clip] for clip in listing(str(folder), "train", length, rate).clips]


def test_no_clip_reaches_over_a_gap(tmp_path: Path) -> None:
    write(tmp_path / "a", "x_7", "x_8", "x_9", "x_10", "x_12", "x_13", "y_13", "y_14", "000001", "000002")
    write(tmp_path / "b", "x_14", "x_15")  # another folder is another sequence
    assert numbers(tmp_path, 3) == [["x_7", "x_8", "x_9"], ["x_8", "x_9", "x_10"]]
    assert numbers(tmp_path, 3, rate=2) == [["x_8", "x_10", "x_12"]]
    assert len(numbers(tmp_path, 2)) == 7
    summary = listing(str(tmp_path), "train", 3).summary
    assert summary == f"{tmp_path}: 12 frames in 4 sequences with 1 gaps make 2 clips of 3"


def test_cityscapes(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("val", 2)):
        names = [f"altheim_000000_{n:06d}_leftImg8bit" for n in range(count)]
        for n, name in enumerate(names):
            write_file(tmp_path / "leftImg8bit_sequence" / split / "altheim" / f"{name}.png", encode_png(frame(n)))
    assert len(listing(str(tmp_path), "train", 2).clips) == 2
    assert len(listing(str(tmp_path), "val", 2).clips) == 1
    assert len(listing(str(tmp_path / "leftImg8bit_sequence" / "train"), "train", 2).clips) == 2


def test_whole_frames_are_reflected(tmp_path: Path) -> None:
    clips = listing(str(write(tmp_path, "f_1", "f_2")), "", 2).clips
    item = ClipDataset(clips, stride=16)[0]
    assert item.frames.shape == (2, 3, 32, 32) and item.size == (HEIGHT, WIDTH)
    blue, green, red = item.frames[1]
    assert (red == 2).all()
    assert blue[0].tolist() == [*range(30), 28, 27] and green[:, 0].tolist() == [*range(20), *range(18, 6, -1)]


def test_crops(tmp_path: Path) -> None:
    """All frames of a clip alike, by the draw's seed alone; both ways round; the middle without augmentation."""
    clips = listing(str(write(tmp_path, "f_1", "f_2", "f_3")), "", 3).clips
    data = ClipDataset(clips, (8, 12))
    seen = set()
    for seed in range(40):
        item = data[CropRequest(0, None, seed)]
        assert item.frames.shape == (3, 3, 8, 12)
        assert np.array_equal(item.frames, data[CropRequest(0, None, seed)].frames)
        assert np.array_equal(item.frames[0, :2], item.frames[2, :2])  # the same part of each frame
        columns = item.frames[0, 0, 0].astype(int)
        assert abs(int(columns[-1]) - int(columns[0])) == 11
        seen.add((int(item.frames[0, 1, 0, 0]), bool(columns[0] > columns[-1])))
    assert len(seen) > 10 and {mirrored for _, mirrored in seen} == {True, False}
    middle = ClipDataset(clips, (8, 12), augment=False)[CropRequest(0, None, 7)].frames[0]
    assert (middle[1, 0, 0], middle[0, 0, 0]) == (6, 9)
    assert ClipDataset(clips, (40, 12), augment=False)[0].frames.shape == (3, 3, 40, 12)  # reflected first


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs(tmp_path: Path, workers: int) -> None:
    """The same batches for any number of workers, and from the middle on."""
    clips = listing(str(write(tmp_path, *(f"f_{n}" for n in range(9)))), "", 2).clips
    sampler = ClassUniformSampler(range(8), {}, 1, 0.0, 3, seed=4)
    loader = ClipLoader(ClipDataset(clips, (8, 8)), sampler, workers)
    sampler.set_epoch(1)
    whole = [batch.frames for batch in loader]
    assert len(whole) == len(loader) == 2 and whole[0].shape == (3, 2, 3, 8, 8)
    sampler.set_epoch(1, start=1)
    (rest,) = [batch.frames for batch in loader]
    assert rest.equal(whole[1]) and not rest.equal(whole[0])
    reference = ClipDataset(clips, (8, 8))
    assert np.array_equal(whole[0][2].numpy(), reference[sampler.draws()[2]].frames)
    alone = list(ClipLoader(reference, workers=workers))
    assert [batch.frames[0, 0, 2, 0, 0] for batch in alone] == list(range(8))
    loader.close()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "no images whose names end with a number; found there: nothing"),
        (("one", "two"), "no images whose names end with a number; found there: one.png, two.png"),
        (
            ("f_1", "f_2", "f_4", "f_5"),
            "4 frames in 1 sequences with 1 gaps hold no 3 frames",
        ),
        (("f_1", "f_01", "f_2", "f_3"), "are the same frame; keep one of them"),
    ],
)
def test_mistakes_in_a_folder(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        write_file(tmp_path / f"{name}.png", encode_png(frame(1)))
    with pytest.raises(UserError, match=message) as error:
        listing(str(tmp_path), "train", 3)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="there is no such folder"):
        listing(str(tmp_path / "other"), "train", 3)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("data", "message"), [(b"", "f_2.png is empty"), (b"other", "f_2.png and .*differ in size")])
def test_mistakes_in_a_file(tmp_path: Path, data: bytes, message: str, workers: int) -> None:
    write(tmp_path, "f_1", "f_2")
    (tmp_path / "f_2.png").write_bytes(data and encode_png(frame(1)[:9]))
    loader = ClipLoader(ClipDataset(listing(str(tmp_path), "", 2).clips), workers=workers)
    with pytest.raises(UserError, match=message) as error:
        list(loader)
    assert "\n" not in str(error.value)
