"""Pictures as they are found: turned, of few bits, damaged."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from datasets import bit_depth
from datasets.base import Item, SegmentationDataset, Split
from datasets.folder import SPEC
from datasets.loaders import EvalLoader
from datasets.reading import color_lut, read_label, read_rgb_encoded, size_of
from media.exif import orientation
from media.reading import PictureError, read_image, read_turned
from transforms import Pipeline
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.evenly import spread

RGB = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)


def photo(path: Path, turn: int) -> str:
    """RGB with an EXIF orientation; JPEG would change the pixels, so that only its shape can be compared."""
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(RGB).save(path, exif=exif, lossless=True)  # which WebP alone reads
    return str(path)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".jpg"])
def test_upright_as_viewers_show_it_and_stored_as_it_is(tmp_path: Path, suffix: str, turn: int) -> None:
    path = photo(tmp_path / f"a{suffix}", turn)
    stored = Image.fromarray(RGB)
    stored.getexif()[0x0112] = turn
    viewed = np.asarray(ImageOps.exif_transpose(stored))
    upright, turned = read_turned(path, upright=True)
    assert turned == (turn != 1)
    assert upright.shape == viewed.shape and read_image(path).shape == RGB.shape
    if suffix != ".jpg":
        assert np.array_equal(upright, viewed) and np.array_equal(read_image(path), RGB)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "tif", "palette.tif", "double.tif", "painted.tif"])
def test_labels_stay_as_they_are_stored(tmp_path: Path, kind: str, turn: int) -> None:
    """As the pictures that they lie over; a tool may copy a photo's tags into its label."""
    ids, path = RGB[..., 0] // 8, tmp_path / f"a.{kind}"
    if kind == "double.tif":  # which Pillow does not know
        cv2.imwrite(str(path), ids.astype(np.float64), [cv2.IMWRITE_TIFF_COMPRESSION, 1])
        data = path.read_bytes()
        start = struct.unpack_from("<I", data, 4)[0]
        last = start + 2 + 12 * (struct.unpack_from("<H", data, start)[0] - 1)
        tags = [data[at : at + 12] for at in range(start + 2, last + 12, 12)]
        new = sorted([*tags, struct.pack("<HHII", 0x0112, 3, 1, turn)], key=lambda tag: struct.unpack("<H", tag[:2]))
        path.write_bytes(
            data[:4] + struct.pack("<I", len(data)) + data[8:] + struct.pack("<H", len(new)) + b"".join(new) + bytes(4)
        )
    else:
        exif = Image.Exif()
        exif[0x0112] = turn
        image = Image.fromarray(RGB if kind == "painted.tif" else ids)
        if kind == "palette.tif":
            image.putpalette(list(range(96)))
        image.save(path, exif=exif)
    if kind == "painted.tif":
        colors = {(int(r), int(g), int(b)): i for i, (r, g, b) in enumerate(RGB.reshape(-1, 3))}
        right, found = np.arange(24).reshape(4, 6), read_rgb_encoded(str(path), color_lut(colors), "own")
    else:
        right, found = ids, read_label(str(path))
    assert found.shape == right.shape and (found == right).all()
    assert kind == "double.tif" or size_of(str(path)) == (4, 6)


@pytest.mark.parametrize("block", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + b"\7" * 40])
def test_a_broken_exif_block_is_none(tmp_path: Path, block: bytes) -> None:
    data = io.BytesIO()
    Image.fromarray(RGB).save(data, "JPEG")
    jpeg = data.getvalue()
    broken = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]
    (tmp_path / "a.jpg").write_bytes(broken)
    assert orientation(broken) == orientation(broken[:9]) == 1
    (tmp_path / "b.jpg").write_bytes(jpeg)
    assert np.array_equal(read_image(str(tmp_path / "a.jpg"), upright=True), read_image(str(tmp_path / "b.jpg")))


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_orientation_that_is_none(tmp_path: Path, value: int) -> None:
    assert read_turned(photo(tmp_path / "a.png", value), upright=True)[1] is False


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".ppm"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_sixteen_bits_that_are_fewer(tmp_path: Path, suffix: str, bits: int) -> None:
    values = RGB.astype(np.uint16) << (bits - 8)
    values[0, 0] = (1 << bits) - 1
    paths = [str(tmp_path / f"{name}{suffix}") for name in ("bright", "dark")]
    for path, one in zip(paths, (values, values // 16), strict=True):
        assert cv2.imwrite(path, one[..., ::-1])
    found, note = bit_depth.bits_of_folder(paths, 0)
    assert found == bits and f"use {bits} of them (highest value {(1 << bits) - 1}" in note
    expected = RGB.copy()
    expected[0, 0] = 255
    assert np.array_equal(read_image(paths[0], bits=bits), expected)
    assert np.abs(read_image(paths[1], bits=bits).astype(int) - expected // 16).max() <= 1  # one range for all
    assert bit_depth.bits_of_folder(paths, 16) == (16, "")
    with pytest.raises(PictureError, match=f"{bits} of 16 bits.*--image_bits {bits}"):
        read_image(paths[0], bits=0)  # black without a word otherwise


def test_gray_and_signed_of_twelve_bits(tmp_path: Path) -> None:
    gray = RGB[..., 0].astype(np.int16) << 4
    for name, values in (("a.png", gray.astype(np.uint16)), ("b.tiff", gray)):
        assert cv2.imwrite(str(tmp_path / name), values)
        assert np.array_equal(read_image(str(tmp_path / name), bits=12), np.repeat(RGB[..., :1], 3, -1))


def test_values_beyond_the_range_of_the_others_are_said(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((2, 2, 3), 5000, np.uint16))
    with pytest.raises(PictureError, match=r"a.png has values up to 5000, 14 of 16 bits, others of these pictures 12"):
        read_image(str(tmp_path / "a.png"), bits=12)


def test_all_of_sixteen_bits_is_as_ever(tmp_path: Path) -> None:
    path = str(tmp_path / "a.png")
    cv2.imwrite(path, np.full((2, 2, 3), 20000, np.uint16))
    assert bit_depth.bits_of_folder([path], 0) == (16, "")
    assert (read_image(path, bits=0) == 20000 >> 8).all()
    black = str(tmp_path / "b.png")
    cv2.imwrite(black, np.zeros((2, 2, 3), np.uint16))
    assert not read_image(black, bits=0).any()


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (np.full((3, 3, 3), 0.5, np.float32), "values of type float32"),
        (np.full((3, 3, 3), -5, np.int16), "negative values"),
        (np.full((3, 3), 0.5, np.float32), "fractions"),
        (np.full((3, 3), 70000, np.int32), "whole numbers of 32 bits"),
    ],
)
def test_pictures_that_hold_no_colors(tmp_path: Path, values: np.ndarray, what: str) -> None:
    path = tmp_path / "a.tiff"
    if values.ndim == 2:
        Image.fromarray(values).save(path)
    else:
        assert cv2.imwrite(str(path), values)
    with pytest.raises(PictureError, match=f"a.tiff.*{what}.*save it with"):
        read_image(str(path))


def items(folder: Path, upright: bool) -> list[Item]:
    """Three pictures, the second turned, the third cut off."""
    good, turned, bad = photo(folder / "a.png", 1), photo(folder / "b.png", 6), folder / "c.png"
    bad.write_bytes(Path(good).read_bytes()[:60])
    return [Item(path, None, Path(path).stem, exif_turned=upright) for path in (good, turned, str(bad))]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_is_left_out_and_counted(tmp_path: Path, workers: int) -> None:
    dataset = SegmentationDataset(items(tmp_path, True), SPEC, Pipeline())
    for batch_size in (1, 3):
        loader = EvalLoader(dataset, batch_size, workers, lenient=True)
        read = {
            name: image.shape for batch in loader for name, image in zip(batch["name"], batch["image"], strict=True)
        }
        loader.close()
        assert read == {"a": (4, 6, 3), "b": (6, 4, 3)}
        lines = loader.seen(DistributedContext()).lines
        assert lines[0].startswith("left out: ") and "c.png is truncated" in lines[0]
        assert "1 of 3 pictures carry a turn (EXIF): turned upright" in lines[1]
        assert lines[2] == "1 of 3 pictures could not be read and are left out"
    with pytest.raises(UserError, match=r"c.png is truncated"):
        list(EvalLoader(dataset))  # the score of a dataset is one over all of its images


def test_where_no_picture_can_be_read(tmp_path: Path) -> None:
    loader = EvalLoader(SegmentationDataset(items(tmp_path, True)[2:], SPEC, Pipeline()), lenient=True)
    assert list(loader) == []
    with pytest.raises(UserError, match=r"none of the 1 pictures can be read, the first: .*c.png"):
        loader.seen(DistributedContext())


def test_turns_of_training_images_are_said(tmp_path: Path) -> None:
    stored, upright = (Split.plain(items(tmp_path, kind)) for kind in (False, True))
    assert "1 of 3 training images looked at carry a turn (EXIF): read as they are stored" in bit_depth.turned_note(
        stored
    )
    assert bit_depth.turned_note(upright) == ""
    assert spread([str(i) for i in range(10)], 4) == ("0", "2", "5", "7")


def test_all_processes_count_what_each_has_left_out(tmp_path: Path) -> None:
    class Two(DistributedContext):
        def gather(self, value: Any) -> list[Any]:
            return [value, ["b.png is empty"] if isinstance(value, list) else 2]

    loader = EvalLoader(SegmentationDataset(items(tmp_path, False), SPEC, Pipeline()), lenient=True)
    list(loader)
    seen = loader.seen(Two())
    assert "b.png is empty" in seen.left_out and seen.note == "2 of 3 pictures could not be read and are left out"
    assert "3 of 3 pictures carry a turn (EXIF): read as they are stored" in seen.lines[2]


def banded(path: Path, bands: int, extra: int | None) -> str:
    """A TIFF of 4 x 4 pixels of so many bands; `extra`: what the fourth is said to be (0: nothing, 2: transparency)."""
    tags = [(256, 3, 1, 4), (257, 3, 1, 4), (259, 3, 1, 1), (262, 3, 1, 2 if bands > 2 else 1), (277, 3, 1, bands)]
    tags += [(278, 3, 1, 4), (279, 4, 1, 16 * bands)] + ([(338, 3, 1, extra)] if extra is not None else [])
    count = len(tags) + 2
    end = 8 + 2 + 12 * count + 4
    bits = (258, 3, bands, end if bands > 2 else 0x0008_0008)
    tags = sorted([*tags, bits, (273, 4, 1, end + 2 * bands)])
    data = b"II*\0" + struct.pack("<IH", 8, count)
    data += b"".join(struct.pack("<HHII", *tag) for tag in tags) + struct.pack("<I", 0)
    path.write_bytes(data + struct.pack("<H", 8) * bands + bytes(range(16 * bands)))
    return str(path)


@pytest.mark.parametrize(("bands", "extra"), [(4, 0), (5, None), (7, 0), (2, 0)])
def test_other_bands_than_colors_are_refused(tmp_path: Path, bands: int, extra: int | None) -> None:
    with pytest.raises(PictureError, match=f"x.tif has {bands} bands; an image has 1 .gray. or 3"):
        read_image(banded(tmp_path / "x.tif", bands, extra))


@pytest.mark.parametrize(("bands", "extra"), [(3, None), (4, 2), (4, None)])
def test_transparency_is_no_band(tmp_path: Path, bands: int, extra: int | None) -> None:
    image = read_image(banded(tmp_path / "x.tif", bands, extra))
    assert image[0, 0].tolist() == [0, 1, 2] or bands == 4 and image.shape == (4, 4, 3)
