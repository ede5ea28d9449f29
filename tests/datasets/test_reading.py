"""Every way in which a file can be stored, and every way in which it can be wrong."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.base import Item, SegmentationDataset
from datasets.camvid import SPEC as CAMVID
from datasets.cityscapes import SPEC
from datasets.reading import find_folder, label_lut, read_label, remap_labels
from media.reading import read_image
from transforms import Pipeline
from utils.errors import UserError

RGB = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["rgb", "rgba", "gray", "rgb16", "gray16", "palette", "bmp", "tiff", "webp"])
def test_images_of_any_kind_become_rgb(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"image.{kind if kind in ('bmp', 'tiff', 'webp') else 'png'}"
    wide = RGB.astype(np.uint16) * 257
    gray = np.repeat(RGB[..., :1], 3, -1)
    expected = gray if kind.startswith("gray") else RGB
    if kind == "rgba":
        Image.fromarray(np.concatenate([RGB, RGB[..., :1]], -1)).save(path)
    elif kind == "palette":
        picture = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6), "P")
        picture.putpalette(RGB.reshape(-1).tolist())
        picture.save(path)
    elif kind.endswith("16"):
        cv2.imwrite(str(path), wide[..., 0] if kind == "gray16" else wide[..., ::-1])
    elif kind == "webp":
        Image.fromarray(RGB).save(path, lossless=True)
    else:
        Image.fromarray(RGB[..., 0] if kind == "gray" else RGB).save(path)
    image = read_image(str(path))
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image, expected, atol=1 if kind.endswith("16") else 0)


def test_exif_rotation_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    Image.fromarray(RGB).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(str(tmp_path / "turned.jpg")).shape == (4, 6, 3)


@pytest.mark.parametrize("kind", ["gray", "palette", "bits4", "rgb", "gray16"])
def test_labels_of_any_kind_keep_their_values(tmp_path: Path, kind: str) -> None:
    path, label = tmp_path / "label.png", np.arange(12, dtype=np.uint8).reshape(3, 4)
    if kind == "palette":
        picture = Image.fromarray(label, "P")
        picture.putpalette(list(range(255, -1, -1)) * 3)
        picture.save(path)
    elif kind == "bits4":
        cv2.imwrite(str(path), label)
        path.write_bytes(four_bit_png(label))
    elif kind == "gray16":
        cv2.imwrite(str(path), label.astype(np.uint16))
    else:
        Image.fromarray(np.repeat(label[..., None], 3, -1) if kind == "rgb" else label).save(path)
    np.testing.assert_array_equal(read_label(str(path)), label)


def four_bit_png(label: np.ndarray) -> bytes:
    """The smallest PNG of values below 16, as tools that squeeze files write it."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(a << 4 | b for a, b in row.reshape(-1, 2).tolist()) for row in label)
    header = struct.pack(">IIBBBBB", label.shape[1], label.shape[0], 4, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_truncated_files_are_named(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"half{suffix}"
    image = cv2.resize(RGB, (200, 100))
    cv2.imwrite(str(path), image)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UserError, match=f"half{suffix} is truncated"):
        read_image(str(path))


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "empty"), (b"no image", "cannot decode"), (None, "cannot read")]
)
def test_unreadable_files_are_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "bad.png"
    if content is not None:
        path.write_bytes(content)
    for read in (read_image, read_label):
        with pytest.raises(UserError, match=f"{message}.*bad.png|bad.png.*{message}") as caught:
            read(str(path))
        assert "\n" not in str(caught.value)


def test_damaged_png_is_named(tmp_path: Path) -> None:
    path = tmp_path / "damaged.png"
    cv2.imwrite(str(path), cv2.resize(RGB, (200, 100)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="damaged.png"):
        read_image(str(path))


def test_color_label_is_refused(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "color.png")
    with pytest.raises(UserError, match="color.png is a color image"):
        read_label(str(tmp_path / "color.png"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_values_without_a_class_are_counted(dtype: type) -> None:
    label = np.array([[7, 8, 77, 77], [0, 33, 26, 99]], dtype)
    with pytest.raises(
        UserError, match=r"some\.png: label value 77 \(2 pixels\), 99 \(1 pixels\) is no class of citys"
    ):
        remap_labels(label, label_lut(SPEC), "some.png", SPEC)


def test_tables() -> None:
    label = np.array([[7, 0, 33, 255]], np.uint8)
    assert remap_labels(label, label_lut(SPEC), "", SPEC).tolist() == [[0, 255, 18, 255]]
    assert remap_labels(np.array([[0, 18, 255]], np.uint8), label_lut(SPEC, True), "", SPEC).tolist() == [[0, 18, 255]]
    assert remap_labels(np.array([[0, 10, 11]], np.uint8), label_lut(CAMVID), "", CAMVID).tolist() == [[0, 10, 255]]
    with pytest.raises(UserError, match="12 "):
        remap_labels(np.array([[12]], np.uint8), label_lut(CAMVID), "", CAMVID)


def test_missing_folder_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "something").mkdir()
    with pytest.raises(UserError, match=r"images: looked for a/b or c in .*; found there: something/"):
        find_folder(str(tmp_path), ("a/b", "c"), "images")
    with pytest.raises(UserError, match="the folder .*nowhere does not exist"):
        find_folder(str(tmp_path / "nowhere"), ("a",), "images")


def test_label_of_another_size(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "image.png")
    Image.fromarray(np.full((4, 5), 7, np.uint8)).save(tmp_path / "label.png")
    item = Item(str(tmp_path / "image.png"), str(tmp_path / "label.png"), "image")
    with pytest.raises(UserError, match=r"label.png is 5x4 pixels, its image .*image.png 6x4"):
        SegmentationDataset([item], SPEC, Pipeline())[0]
