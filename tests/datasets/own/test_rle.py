"""Masks as lengths of runs: COCO's, CVAT's, Label Studio's."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.own.rle import coco_lengths, from_coco, from_label_studio, from_runs
from utils.errors import UserError


def random_mask(seed: int, size: tuple[int, int]) -> np.ndarray:
    blocks = np.random.default_rng(seed).random((-(-size[0] // 5), -(-size[1] // 7))) < 0.4
    return blocks.repeat(5, 0).repeat(7, 1)[: size[0], : size[1]]


MASKS = {
    **{f"blocks {seed}": random_mask(seed, (97, 113)) for seed in range(5)},
    **{f"noise {seed}": np.random.default_rng(seed).random((41, 300 * seed + 1)) < 0.1 for seed in range(3)},
    "none": np.zeros((30, 40), bool),
    "all": np.ones((40, 30), bool),
    "last pixel": np.arange(1200).reshape(30, 40) == 1199,
}


@pytest.mark.parametrize("name", MASKS)
def test_coco_gives_what_pycocotools_gives(name: str) -> None:
    coco, mask = pytest.importorskip("pycocotools.mask"), MASKS[name]
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    lengths = coco_lengths(packed["counts"], "x")
    for counts in (packed["counts"], packed["counts"].decode(), lengths):
        assert (from_coco(counts, mask.shape, "x") == mask).all()
    again = coco.decode(coco.frPyObjects({"size": [*mask.shape], "counts": lengths}, *mask.shape))
    assert (again == mask).all()


def test_coco_by_hand() -> None:
    """Columns first: of 2 x 3 pixels one outside, two inside, three outside."""
    expected = np.array([[0, 1, 0], [1, 0, 0]], bool)
    assert (from_coco([1, 2, 3], (2, 3), "x") == expected).all()
    assert (from_coco("123", (2, 3), "x") == expected).all()
    # From the third length on differences to the one before the last; a negative one; one of two letters.
    assert coco_lengths("123N", "x") == [1, 2, 3, 0]
    assert coco_lengths("P1", "x") == [32]


def test_runs_go_by_rows() -> None:
    assert (from_runs([1, 2, 3], (2, 3), "x") == np.array([[0, 1, 1], [0, 0, 0]], bool)).all()


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ([1, 2], "its mask has 3 pixels instead of 6"),
        ([1, 2, 4], "its mask has 7 pixels"),
        ([1, -2, 7], "a run of -2 pixels"),
        ([1.5, 4.5], "no list of lengths"),
        ([[1, 5]], "no list of lengths"),
        (["1", "5"], "no list of lengths"),
        (None, "no list of lengths"),
        ([10**30], "no list of lengths"),
        ([2**62, 2**62, 2**62], "its mask has"),
        ("12", "its mask has 3 pixels"),
        ("12P", "damaged"),
        ("PPPPPPP0", "damaged"),
        ("1 2", "damaged"),
        ("1\u20ac", "damaged"),
        ("0N", "a run of -2 pixels"),
    ],
)
def test_coco_refuses(counts: object, line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        from_coco(counts, (2, 3), "a.json, annotation 7")
    assert str(error.value).startswith("a.json, annotation 7: ") and "\n" not in str(error.value)


def packed(values: np.ndarray, sizes: tuple[int, ...] = (3, 4, 8, 16), width: int = 8) -> list[int]:
    """The bits of a brush: runs of two and more alike, others one by one."""
    bits = f"{len(values):032b}{width - 1:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    ends = np.flatnonzero(np.diff(values.astype(int))) + 1
    for part in np.split(values, ends):
        while len(part):
            kind = next(k for k, size in enumerate(sizes) if len(part) <= 1 << size or size == sizes[-1])
            now = part[: 1 << sizes[kind]]
            alike = len(now) > 1
            bits += f"{int(alike)}{kind:02b}{len(now) - 1:0{sizes[kind]}b}" + f"{int(now[0]):0{width}b}"
            part = part[len(now) :]
    return [int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8)]


def brush(mask: np.ndarray) -> np.ndarray:
    """Red, green, blue and alpha of each pixel."""
    return np.stack([mask * 10, mask * 20, mask * 30, mask * 255], -1).astype(np.uint8).ravel()


@pytest.mark.parametrize("seed", range(3))
def test_label_studio_reads_what_was_packed(seed: int) -> None:
    mask = random_mask(seed, (23, 31))
    assert (from_label_studio(packed(brush(mask)), (23, 31), "x") == mask).all()


def test_label_studio_by_hand() -> None:
    """Two pixels: one run of four zeros, then four values one by one, 1 2 3 255."""
    head = f"{8:032b}{7:05b}" + "0001" * 4
    bits = head + "1" + "00" + "11" + "00000000" + "0" + "01" + "11" + "".join(f"{v:08b}" for v in (1, 2, 3, 255))
    data = [int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8)]
    assert from_label_studio(data, (1, 2), "x").tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ([], "cut off"),
        ([0, 0, 0, 24], "cut off"),
        (packed(brush(random_mask(0, (9, 9))))[:-20], "cut off"),
        ([255, 255, 255, 255, *[0] * 20], "4294967295 values"),
        ([300, 1], "no list of bytes"),
        ([-1], "no list of bytes"),
        ("AAAA", "no list of lengths"),
        (packed(np.zeros(8, np.uint8)), "8 values of 8 bits"),
    ],
)
def test_label_studio_refuses(data: object, line: str) -> None:
    with pytest.raises(UserError, match=line):
        from_label_studio(data, (9, 9), "x.json, result 1")
