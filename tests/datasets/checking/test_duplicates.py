"""Near-duplicates: what is found, what is not, and that flat images are no leaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
from data_faults import scene

from datasets.checking import duplicates
from datasets.checking.duplicates import Pair


def pairs(images: Sequence[np.ndarray], split: Sequence[int] | None = None) -> list[Pair]:
    made = [duplicates.small(image) for image in images]
    hashes = np.array([one.hashes for one in made], np.uint64)
    pictures = np.stack([one.picture for one in made])
    detailed = np.array([one.detailed for one in made])
    return duplicates.pairs(hashes, pictures, detailed, np.array(split or [0] * len(images)))[0]


def jpeg(image: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        jpeg,
        lambda x: cv2.resize(x, (50, 40), interpolation=cv2.INTER_AREA),
        lambda x: cv2.convertScaleAbs(x, alpha=0.8, beta=20),
        lambda x: cv2.GaussianBlur(x, (0, 0), 1.5),
        lambda x: np.ascontiguousarray(x[:, ::-1]),
    ],
    ids=["same", "jpeg", "smaller", "brighter", "blurred", "mirrored"],
)
def test_copies_are_found(change: Callable[[np.ndarray], np.ndarray], seed: int) -> None:
    image = scene(seed)[0]
    others = [scene(100 + k)[0] for k in range(10)]
    (found,) = pairs([*others, image, change(image)])
    assert (found.first, found.second) == (10, 11) and found.alike > 0.9
    assert found.mirrored == np.array_equal(change(image), image[:, ::-1])


def test_other_images_are_no_copies() -> None:
    """Nor are those that lack contrast: fog, night, a wall, each with its own noise."""
    rng = np.random.default_rng(0)
    flat = [np.full((72, 96, 3), 90, np.uint8) + rng.integers(0, 4, (72, 96, 3), dtype=np.uint8) for _ in range(6)]
    slope = np.linspace(60, 90, 72)[:, None, None]
    fog = [np.clip(slope + rng.normal(0, 1, (72, 96, 3)), 0, 255).astype(np.uint8) for _ in range(6)]
    halves = np.where(np.arange(72)[:, None, None] < 36, 200, 80)  # the same layout, another grain
    alike = [np.clip(halves + rng.normal(0, 20, (72, 96, 3)), 0, 255).astype(np.uint8) for _ in range(6)]
    assert pairs([*flat, *fog, *alike]) == []
    assert pairs([scene(k)[0] for k in range(60)]) == []


def test_each_image_names_the_one_of_a_split_that_is_most_like_it() -> None:
    image = scene(0)[0]
    near, nearer = cv2.convertScaleAbs(image, alpha=0.7, beta=40), cv2.convertScaleAbs(image, alpha=0.98, beta=1)
    found = {(pair.first, pair.second) for pair in pairs([near, nearer, image, image], [0, 0, 0, 1])}
    assert {(1, 2), (2, 3)} <= found and (0, 3) not in found and (0, 2) not in found


def test_every_pair_of_near_hashes_is_a_candidate_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_CHUNK", 7)
    rng = np.random.default_rng(1)
    base = rng.integers(0, 2, (9, duplicates.BITS))
    flips = rng.random((9, 16, duplicates.BITS)) < 0.07
    signs = ((base[:, None] ^ flips).reshape(-1, duplicates.BITS) * 2 - 1).astype(np.int8)
    found = [
        (int(a), int(b))
        for left, right in duplicates._candidates(signs, signs)
        for a, b in zip(left, right, strict=True)
    ]
    differ = (signs[:, None] != signs[None]).sum(-1)
    wanted = {(a, b) for a, b in np.argwhere(differ <= duplicates.FAR).tolist() if a < b}
    assert len(wanted) > 100 and set(found) == wanted and len(found) == len(wanted)


def test_of_too_many_candidates_not_all_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST", 3)
    one = duplicates.small(scene(0)[0])
    hashes, pictures = np.array([one.hashes] * 20, np.uint64), np.stack([one.picture] * 20)
    found, complete = duplicates.pairs(hashes, pictures, np.ones(20, bool), np.zeros(20, int))
    assert found and not complete


def test_many_small_pictures_lie_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_IN_MEMORY", 2)
    room = duplicates.pictures(3)
    room[2] = 7
    assert isinstance(room, np.memmap) and room.shape == (3, 32, 32) and int(room.sum()) == 7 * 1024
