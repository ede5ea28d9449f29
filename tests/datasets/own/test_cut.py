"""Huge images in pieces: each pixel is in one piece, and a piece reads its own rows."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from datasets_own import CLASSES, config_of, dataset_of, split_of, written
from pictures import write_image
from PIL import Image

from datasets import centroids, rawpixels
from datasets.own import cut
from datasets.own.cut import edges
from media.reading import read_image
from utils.distributed import DistributedContext
from utils.errors import UserError

TEXT = f"images: big\nlabels: {{kind: KIND, path: big_KIND}}\n{CLASSES}splits: {{percent: {{train: 100}}}}\ncut: 64\n"


@pytest.fixture
def big(own: Path) -> Path:
    """An image of 100 x 150 with labels as ids and in colors, and one that is not larger than a piece."""
    rng = np.random.default_rng(0)
    colors = np.array([[0, 0, 0], [10, 20, 30], [40, 50, 60]], np.uint8)
    for name, size in (("a", (100, 150)), ("b", (64, 40))):
        label = rng.integers(1, 3, size, np.uint8)
        write_image(own / "big" / f"{name}.png", rng.integers(0, 255, (*size, 3), np.uint8))
        write_image(own / "big_gray" / f"{name}.png", label)
        write_image(own / "big_rgb" / f"{name}.png", colors[label])
    return own


@pytest.mark.parametrize("kind", ["gray", "rgb"])
def test_pieces_are_the_image_and_no_pixel_is_in_two(big: Path, kind: str) -> None:
    data = dataset_of(written(big, TEXT.replace("KIND", kind)))
    assert [item.name for item in data.items if item.piece is None] == ["b"] and len(data) == 2 * 3 + 1
    image, label = np.zeros((100, 150, 3), np.uint8), np.full((100, 150), 9, np.uint8)
    count = np.zeros((100, 150), int)
    for i, item in enumerate(data.items):
        if item.piece is not None:
            place = (slice(*item.piece.rows), slice(*item.piece.columns))
            sample = data[i]
            image[place], label[place], count[place] = sample.image, sample.label, count[place] + 1
            assert max(sample.image.shape[:2]) <= 64 and sample.size == item.piece.size
    whole = dataset_of(written(big, TEXT.replace("KIND", kind).replace("cut: 64", "cut: 1000")))
    place = [item.name for item in whole.items].index("a")
    assert (
        (count == 1).all() and np.array_equal(image, whole[place].image) and np.array_equal(label, whole[place].label)
    )


def test_the_line_and_a_second_start(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(big, TEXT.replace("KIND", "gray"))
    first = split_of(file).notes[-1]
    assert "set: 1 image of 2 cut into 6 pieces of at most 64 x 64, read from 6.03e-05 GB of raw pixels in" in first
    monkeypatch.setattr(cut, "write_image", None)
    assert len(split_of(file).items) == 7
    assert "so none is cut" in split_of(written(big, TEXT.replace("KIND", "gray").replace("64", "200"))).notes[-1]


def test_centroids_are_those_of_pieces(big: Path, tmp_path: Path) -> None:
    data = dataset_of(written(big, TEXT.replace("KIND", "gray")))
    found = centroids.cached(data, range(len(data)), 32, str(tmp_path))
    for rows in found.values():
        for index, x, y in rows:
            height, width = data[int(index)].image.shape[:2]
            assert 0 <= x < width and 0 <= y < height
    assert len({*centroids.content_marks(data, range(len(data)), DistributedContext()).tolist()}) == len(data)


def test_edges_leave_no_sliver() -> None:
    assert edges(2049, 2048) == [0, 1024, 2049] and edges(20000, 2048)[-1] == 20000
    for length in range(65, 700):
        parts = np.diff(edges(length, 64))
        assert parts.max() <= 64 and parts.max() - parts.min() <= 1 and parts.sum() == length


def test_sixteen_bits_are_reduced_as_in_whole_images(big: Path) -> None:
    values = np.random.default_rng(1).integers(0, 1 << 16, (100, 150, 3)).astype(np.uint16)
    for values_of, bits in ((values, 16), (values >> 4, 12)):
        cv2.imwrite(str(big / "big" / "a.png"), values_of)
        data = dataset_of(written(big, TEXT.replace("KIND", "gray")))
        data.image_bits = bits
        data.__post_init__()
        whole = read_image(str(big / "big" / "a.png"), bits=bits)
        for i, item in enumerate(data.items):
            if item.piece is not None:
                assert np.array_equal(data[i].image, whole[slice(*item.piece.rows), slice(*item.piece.columns)])


def test_images_without_label_are_upright(big: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(read_image(str(big / "big" / "a.png"))).save(big / "big" / "a.png", exif=exif)
    text = (
        TEXT.replace("KIND", "gray")
        .replace("images: big\n", "")
        .replace("{percent: {train: 100}}", "{test: {images: big}}")
    )
    data = dataset_of(written(big, text.replace(", path: big_gray", "")), "test")
    pieces = [item.piece for item in data.items if item.piece]
    assert pieces[-1].whole == (150, 100) and pieces[-1].rows[1] == 150
    upright = read_image(str(big / "big" / "a.png"), upright=True)
    assert np.array_equal(data[0].image, upright[slice(*pieces[0].rows), slice(*pieces[0].columns)])


def test_a_label_of_another_size(big: Path) -> None:
    write_image(big / "big_gray" / "a.png", np.ones((100, 149), np.uint8))
    data = dataset_of(written(big, TEXT.replace("KIND", "gray")))
    with pytest.raises(UserError, match="big_gray/a.png is 149x100 pixels, its image 150x100"):
        data.label(0)


def test_a_full_disk_is_said_before(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 50_000}))
    with pytest.raises(UserError, match="raw pixels of 2 files that are cut need 6e-05 GB in .*, 5e-05 GB are free"):
        split_of(written(big, TEXT.replace("KIND", "gray")))


def test_raw_pixels_that_are_gone(big: Path) -> None:
    data = dataset_of(written(big, TEXT.replace("KIND", "gray")))
    Path(data.items[0].piece.image).unlink()
    with pytest.raises(
        UserError, match="cannot read .*, the raw pixels of .*big/a.png: .*; start again, which makes them"
    ):
        data[0]


def test_a_piece_reads_its_rows_alone(tmp_path: Path) -> None:
    """Of a file of 1 GB, most of which is not even on the disk."""
    path = tmp_path / "x.npy"
    shape = (20000, 20000, 3)
    with open(path, "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        start = stream.tell()
        stream.seek(start + (9000 * 20000 + 7000) * 3)
        stream.write(bytes([1, 2, 3]))
        stream.truncate(start + 20000 * 20000 * 3)
    piece = rawpixels.Piece(str(path), "", (9000, 9064), (7000, 7064), shape[:2])
    found = rawpixels.image("x", piece, 16)
    assert found.shape == (64, 64, 3) and found[0, 0].tolist() == [1, 2, 3] and found.sum() == 6


def test_options_of_a_run(big: Path) -> None:
    assert config_of(written(big, TEXT.replace("KIND", "gray"))).DATASET.NUM_CLASSES == 2


def test_pieces_below_the_crop_are_said(big: Path) -> None:
    file = written(big, TEXT.replace("KIND", "gray"))
    line = "set: cut: 64 is smaller than crops of 96x96, so that a crop may show no more than a piece"
    assert split_of(file, "train", "--crop_size", "96").notes[0].startswith(line)
    assert not [note for note in split_of(file, "train", "--crop_size", "64").notes if "smaller than crops" in note]
