"""Pictures as bytes: every type that readers take, turned and of 16 bits too; what is none is refused in one line."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from media import reading
from media.reading import PictureError
from serving.uploads import file_name, picture

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
MOST = 1000


def encoded(kind: str, image: np.ndarray = IMAGE) -> bytes:
    """A picture's file, RGB; gray and 16 bits as they are."""
    return cv2.imencode(kind, image[..., ::-1] if image.ndim == 3 else image)[1].tobytes()


@pytest.mark.parametrize("kind", [".png", ".bmp", ".ppm", ".tif", ".jpg", ".webp"])
def test_every_type_is_read(kind: str) -> None:
    image, notes = picture(f"a{kind}", encoded(kind), MOST)
    assert image.shape == IMAGE.shape and notes == []
    assert kind in (".jpg", ".webp") or np.array_equal(image, IMAGE)


def test_a_photo_stands_upright() -> None:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(IMAGE).save(stream, "PNG", exif=exif)
    image, notes = picture("a.png", stream.getvalue(), MOST)
    assert np.array_equal(image, np.rot90(IMAGE, -1)) and notes == ["turned upright (EXIF)"]


def test_sixteen_bits_count_as_far_as_they_are_used() -> None:
    deep = IMAGE.astype(np.uint16) << 4
    image, (note,) = picture("a.png", encoded(".png", deep), MOST)
    assert np.array_equal(image, IMAGE) and "use 12 of them" in note


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose head promises many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "x.png is empty"),
        (b"hello, this is text", "is no picture that is read here: PNG, JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no picture that is read here"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture that is read here"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC and AVIF: save it as JPEG"),
        (encoded(".png")[:60], "truncated"),
        (encoded(".jpg")[:-30], "truncated"),
        (bomb(60_000, 60_000), r"has 60000 x 60000 pixels, 3,600\.0 megapixels: at most 0\.0 megapixels are taken"),
        (bomb(1001, 1), "--max_megapixels"),
    ],
)
def test_what_is_refused(data: bytes, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, and nothing is decoded."""
    for decoder in ("decode", "decode_rgb"):
        monkeypatch.setattr(reading, decoder, lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(PictureError, match=words) as caught:
        picture("x.png", data, MOST)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("x.png")


def scans(count: int) -> bytes:
    """A progressive JPEG with its last scan again and again: each of them is work for every pixel."""
    stream = io.BytesIO()
    Image.fromarray(IMAGE).save(stream, "JPEG", progressive=True)
    data = stream.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def test_a_jpeg_of_countless_scans_is_refused() -> None:
    assert picture("a.jpg", scans(1), MOST)[0].shape == IMAGE.shape
    with pytest.raises(PictureError, match=r"a\.jpg has more than 100 scans"):
        picture("a.jpg", scans(200), MOST)


def test_pictures_in_a_file_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be a million of them, each to be looked for behind the one before."""
    monkeypatch.setattr(TiffImageFile, "n_frames", property(lambda _: pytest.fail("they were counted")))
    stream, frames = io.BytesIO(), [Image.fromarray(IMAGE)] * 3
    frames[0].save(stream, "TIFF", save_all=True, append_images=frames[1:])
    assert picture("a.tif", stream.getvalue(), MOST)[1] == ["the first of several pictures in the file"]


def test_a_damaged_file_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    """Pillow has a warning for each tag whose value is not there, and a file room for thousands of tags."""
    data = bytearray(encoded(".tiff"))
    at = struct.unpack_from("<I", data, 4)[0]
    struct.pack_into("<I", data, at + 2 + 4, 1 << 30)  # so many widths
    with pytest.raises(PictureError):
        picture("a.tiff", bytes(data), MOST)
    assert not recwarn.list


def test_a_head_that_lies_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "decode_rgb", lambda *_: np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(PictureError, match="larger than its head says"):
        picture("x.png", encoded(".png"), MOST)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("street.jpg", "street.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\fotos\\a.png", "a.png"),
        ("a\nb\x1b[31m.png", "a\\nb\\x1b[31m.png"),
        ("", "picture"),
        ("/", "picture"),
        ("x" * 200 + ".jpeg", "x" * 68 + "..." + "xxx.jpeg"),
    ],
)
def test_names_are_for_people_only(given: str, name: str) -> None:
    assert file_name(given) == name


def test_what_is_not_used_of_a_file_is_said() -> None:
    stream, frames = io.BytesIO(), [Image.fromarray(np.roll(IMAGE, k, 1)) for k in range(3)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    assert picture("a.gif", stream.getvalue(), MOST)[1] == ["the first of several pictures in the file"]
    stream = io.BytesIO()
    Image.fromarray(np.dstack([IMAGE, IMAGE[..., :1]]), "RGBA").save(stream, "PNG")
    assert picture("a.png", stream.getvalue(), MOST)[1] == ["transparency is dropped: what lies behind it counts"]
