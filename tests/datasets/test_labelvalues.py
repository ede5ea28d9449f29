"""Label files as other tools write them: each keeps its ids, or is refused in one line that names file and value."""

from __future__ import annotations

import errno
import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.base import Item, SegmentationDataset
from datasets.batches import ErrorCapturingDataset, WorkerError
from datasets.cityscapes import SPEC
from datasets.loaders import EvalLoader
from datasets.reading import color_lut, read_label, read_rgb_encoded, size_of
from media import decoding, files
from media.reading import read_image
from transforms import Pipeline
from utils.errors import UserError

Damage = Callable[[Path, pytest.MonkeyPatch], str]

COLORS = color_lut({(0, 0, 0): 0})
IDS = np.arange(12).reshape(3, 4)
SOME_COLORS = [(i * 7919) % 256 for i in range(768)]


def numbered(value: object) -> str | None:
    """A name for a case that is bytes: pytest adds its number."""
    return "file" if isinstance(value, bytes) else None


def tiff(pages: list[np.ndarray], bits: int = 0, white_is_zero: bool = False, kinds: tuple[int, ...] = (0,)) -> bytes:
    """Little-endian, one strip a page, values as they are; `kinds`: what each page is (1: a smaller copy)."""
    out, links = b"II*\0", [4]
    out += b"\0\0\0\0"
    for page, kind in zip(pages, kinds * len(pages), strict=False):
        raw = packed(page, bits) if bits else page.astype(page.dtype.newbyteorder("<")).tobytes()
        start, sign = len(out), {"u": 1, "i": 2, "f": 3}[page.dtype.kind]
        out += raw + b"\0" * (len(raw) % 2)
        height, width = page.shape
        tags = [(254, 4, kind), (256, 4, width), (257, 4, height), (258, 3, bits or page.itemsize * 8), (259, 3, 1)]
        tags += [(262, 3, int(not white_is_zero)), (273, 4, start), (277, 3, 1), (278, 4, height), (279, 4, len(raw))]
        tags += [(339, 3, sign)]
        out = out[: links[-1]] + struct.pack("<I", len(out)) + out[links[-1] + 4 :]
        out += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", t, k, 1, v) for t, k, v in tags)
        links.append(len(out))
        out += b"\0\0\0\0"
    return out


def packed(page: np.ndarray, bits: int) -> bytes:
    """Rows of values of few bits, each filled up to whole bytes."""
    spread = np.unpackbits(page.astype(np.uint8)[..., None], axis=-1)[..., 8 - bits :]
    return np.packbits(spread.reshape(len(page), -1), axis=-1).tobytes()


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def palette(values: np.ndarray, kind: str, colors: int = 256) -> bytes:
    picture = Image.fromarray(values.astype(np.uint8), "P")
    picture.putpalette(SOME_COLORS[: 3 * colors])
    return saved(picture, kind)


def gray_alpha(depth: type) -> bytes:
    layers = [IDS, IDS, IDS, np.full_like(IDS, np.iinfo(depth).max)]
    return cv2.imencode(".png", np.stack(layers, -1).astype(depth))[1].tobytes()


PLAIN_GRAY = b"P2\n# of some tool\n4 3\n11\n" + b" ".join(b"%d" % i for i in range(12)) + b"\n"
WITH_OVERVIEWS = tiff([IDS.astype(np.uint8), IDS[::2, ::2].astype(np.uint8)], kinds=(0, 1))


@pytest.mark.parametrize(
    "content",
    [
        *(tiff([IDS.astype(kind)]) for kind in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")),
        tiff([IDS.astype(np.uint8)], bits=4),
        *(saved(Image.fromarray(IDS.astype(np.uint8)), kind) for kind in ("BMP", "GIF", "TGA", "PPM")),
        *(saved(Image.fromarray(IDS.astype(np.uint8)), "TIFF", compression=c) for c in ("tiff_lzw", "packbits")),
        *(palette(IDS, kind, size) for kind in ("PNG", "BMP", "TIFF", "GIF", "PCX") for size in (12, 16, 256)),
        saved(Image.merge("LA", [Image.fromarray(IDS.astype(np.uint8))] * 2), "PNG"),
        gray_alpha(np.uint8),
        gray_alpha(np.uint16),
        PLAIN_GRAY,
        b"P5\n4 3\n11\n" + IDS.astype(np.uint8).tobytes(),
        WITH_OVERVIEWS,
    ],
    ids=numbered,
)
def test_ids_are_what_the_file_holds(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "label").write_bytes(content)
    label = read_label(str(tmp_path / "label"))
    assert label.dtype in (np.uint8, np.uint16)
    np.testing.assert_array_equal(label, IDS)
    label[0] = 0  # whoever reads it may write on it


@pytest.mark.parametrize(
    "content",
    [
        *(saved(Image.fromarray(IDS % 2 > 0), kind) for kind in ("PNG", "BMP", "TIFF", "PCX", "PPM")),
        saved(Image.fromarray(IDS % 2 > 0), "TIFF", compression="group4"),
        tiff([(IDS % 2).astype("u1")], bits=1),
        tiff([((IDS + 1) % 2).astype("u1")], bits=1, white_is_zero=True),
        palette(IDS % 2, "PNG", 2),
        palette(IDS % 2, "BMP", 2),
        b"P2 4 3 1\n" + b" ".join(b"%d" % (i % 2) for i in range(12)),
    ],
    ids=numbered,
)
def test_one_bit_is_0_and_1(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mask").write_bytes(content)
    np.testing.assert_array_equal(read_label(str(tmp_path / "mask")), IDS % 2)


@pytest.mark.parametrize(("bits", "kind"), [(2, "PNG"), (2, "TIFF"), (4, "PNG"), (4, "TIFF")])
def test_few_bits_are_not_spread(tmp_path: Path, bits: int, kind: str) -> None:
    values = (IDS % 2**bits).astype(np.uint8)
    (tmp_path / "x").write_bytes(
        tiff([values], bits) if kind == "TIFF" else png(values.shape, bits, packed(values, bits))
    )
    np.testing.assert_array_equal(read_label(str(tmp_path / "x")), values)


def png(shape: tuple[int, int], bits: int, rows: bytes) -> bytes:
    """A gray PNG of few bits."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = np.insert(np.frombuffer(rows, np.uint8).reshape(shape[0], -1), 0, 0, axis=1).tobytes()
    header = struct.pack(">IIBBBBB", shape[1], shape[0], bits, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def with_value(value: float, kind: str) -> bytes:
    values = IDS.astype(kind)
    values[0, :2] = value
    return tiff([values])


def frames(kind: str) -> bytes:
    picture = Image.fromarray(IDS.astype(np.uint8))
    others = [Image.fromarray(IDS.astype(np.uint8)[::-1])]
    return saved(picture, kind, save_all=True, append_images=others)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            with_value(0.5, "f4"),
            r"label value 0\.5 \(2 pixels\) cannot be an id; ids are whole numbers from 0 to 65535",
        ),
        (with_value(np.nan, "f8"), r"label value nan \(2 pixels\)"),
        (with_value(np.inf, "f4"), r"label value inf \(2 pixels\)"),
        (with_value(-1, "i1"), r"label value -1 \(2 pixels\)"),
        (with_value(-1, "i2"), r"label value -1 \(2 pixels\)"),
        (with_value(-100, "i4"), r"label value -100 \(2 pixels\)"),
        (with_value(4294967295, "u4"), r"label value 4294967295 \(2 pixels\)"),
        (with_value(70000, "i4"), r"label value 70000 \(2 pixels\)"),
        (tiff([IDS.astype(np.uint8)] * 2), "holds 2 pictures"),
        (frames("GIF"), "holds 2 pictures"),
        (frames("PNG"), "holds 2 pictures"),
        (saved(Image.new("CMYK", (4, 3)), "JPEG"), r"is a color image \(CMYK\)"),
        (saved(Image.new("RGB", (4, 3), (1, 2, 3)), "TIFF"), "is a color image"),
        (tiff([IDS.astype(np.uint8)], white_is_zero=True), "stores white as 0"),
        (tiff([IDS.astype(np.uint16)])[:-100], "cannot decode"),
        (saved(Image.fromarray(IDS.astype(np.uint8)), "BMP")[:-5], "cannot decode"),
        (b"P2\n4 3\n11\n1 2 3", "cannot decode"),
        (b"P2\n", "cannot decode"),
    ],
    ids=numbered,
)
def test_what_cannot_be_a_label_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "label").write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        read_label(str(tmp_path / "label"))
    assert str(tmp_path / "label") in str(caught.value) and "\n" not in str(caught.value)


def with_files(folder: Path, label: bytes, image: bytes = b"") -> SegmentationDataset:
    """A data set of one image, 4x3 pixels, and its label."""
    (folder / "image.png").write_bytes(image or saved(Image.new("RGB", (4, 3)), "PNG"))
    (folder / "label.tif").write_bytes(label)
    item = Item(str(folder / "image.png"), str(folder / "label.tif"), "image")
    return SegmentationDataset([item], SPEC, Pipeline())


@pytest.mark.parametrize("workers", [0, 1])
def test_it_comes_out_of_loaders_as_one_line(tmp_path: Path, workers: int) -> None:
    dataset = with_files(tmp_path, with_value(0.5, "f4"))
    with pytest.raises(UserError, match=r"label\.tif: label value 0\.5 \(2 pixels\) cannot be an id") as caught:
        list(EvalLoader(dataset, workers=workers))
    assert "\n" not in str(caught.value)


def vanished(folder: Path, patch: pytest.MonkeyPatch) -> str:
    (folder / "label.tif").unlink()
    return r"cannot read .*label\.tif: No such file or directory"


def denied(folder: Path, patch: pytest.MonkeyPatch) -> str:
    patch.setattr(files, "opened", raises(PermissionError(errno.EACCES, "Permission denied")))
    return r"cannot read .*image\.png: Permission denied"


def no_descriptors(folder: Path, patch: pytest.MonkeyPatch) -> str:
    patch.setattr(files, "opened", raises(OSError(errno.EMFILE, "Too many open files")))
    return r"cannot read .*image\.png: Too many open files; raise `ulimit -n`, or lower --num_workers"


def no_memory(folder: Path, patch: pytest.MonkeyPatch) -> str:
    patch.setattr(decoding, "_png_decoder", lambda: ("OpenCV", None))
    patch.setattr(cv2, "imdecode", raises(MemoryError()))
    return r"cannot read .*image\.png: MemoryError"


def odd_error_of_a_decoder(folder: Path, patch: pytest.MonkeyPatch) -> str:
    patch.setattr(decoding, "_png_decoder", lambda: ("OpenCV", None))
    patch.setattr(cv2, "cvtColor", raises(struct.error("unpack requires\n4 bytes")))
    return r"cannot read .*image\.png: error: unpack requires 4 bytes"


def odd_error_of_pillow(folder: Path, patch: pytest.MonkeyPatch) -> str:
    patch.setattr(Image.Image, "__array_interface__", property(raises(IndexError("bytearray index out of range"))))
    return r"cannot read .*label\.tif: IndexError: bytearray index out of range"


def fault_of_a_transform(folder: Path, patch: pytest.MonkeyPatch) -> str:
    patch.setattr(Pipeline, "__call__", lambda *_: [][3])
    return r"IndexError: list index out of range \(.*test_labelvalues\.py, line \d+, with .*image\.png\)"


def raises(error: Exception) -> Callable[..., Any]:
    def work(*_: Any) -> Any:
        raise error

    return work


@pytest.mark.parametrize(
    "damage",
    [
        vanished,
        denied,
        no_descriptors,
        no_memory,
        odd_error_of_a_decoder,
        odd_error_of_pillow,
        fault_of_a_transform,
    ],
)
def test_whatever_is_raised_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Damage) -> None:
    dataset = with_files(tmp_path, tiff([np.full((3, 4), 7, np.uint8)]))
    said = damage(tmp_path, monkeypatch)
    failure = ErrorCapturingDataset(dataset)[0]
    assert isinstance(failure, WorkerError) and re.search(said, failure.message) and "\n" not in failure.message


@pytest.mark.parametrize("read", [read_image, read_label, size_of, lambda path: read_rgb_encoded(path, COLORS, "x")])
def test_readers_outside_of_loaders_do_the_same(tmp_path: Path, read: Callable[[str], object]) -> None:
    for path in (tmp_path / "gone.png", tmp_path, Path("with\0zero.png")):
        with pytest.raises(UserError, match="cannot read") as caught:
            read(str(path))
        assert str(path) in str(caught.value) and str(caught.value).count(str(path)) == 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_no_side_is_too_long(tmp_path: Path, kind: str) -> None:
    """OpenCV refuses more than 2^20 pixels."""
    values = (np.arange(2**20 + 8) % 7).astype(np.uint8)[None]
    (tmp_path / "long").write_bytes(
        saved(Image.fromarray(values), kind, **{"compress_level": 1} if kind == "PNG" else {})
    )
    np.testing.assert_array_equal(read_label(str(tmp_path / "long")), values)
    image = read_image(str(tmp_path / "long"))
    assert image.shape == (*values.shape, 3) and (image == values[..., None]).all()


def test_no_area_is_too_large(tmp_path: Path) -> None:
    """Pillow refuses more than 2^27.4 pixels, as an attack."""
    (tmp_path / "large.png").write_bytes(png((20000, 30000), 8, b"\0" * 20000) + bytes(10**6))
    assert size_of(str(tmp_path / "large.png")) == (20000, 30000)


def test_a_label_in_colors_is_one_picture(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((4, 4, 3), value, np.uint8)) for value in (0, 9)]
    pages[0].save(tmp_path / "two.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match="two.tif holds 2 pictures"):
        read_rgb_encoded(str(tmp_path / "two.tif"), color_lut({(0, 0, 0): 1, (9, 9, 9): 2}), "set")
