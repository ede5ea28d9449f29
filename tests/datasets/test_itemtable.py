"""Items in little memory: the same items come out, and lists of many take few bytes each."""

from __future__ import annotations

import os
import random
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets import audit, centroids, centroidstore, itemtable, lists
from datasets.base import Item, SegmentationDataset, listed
from datasets.cityscapes import SPEC
from datasets.itemtable import ItemTable, labeled
from datasets.kept import Kept
from datasets.rawpixels import Piece
from datasets.samplers import ClassUniformSampler
from utils.distributed import DistributedContext

MANY, SOME = 20_000, 1000


def various(count: int) -> list[Item]:
    """Items that differ in every field; some names are no UTF-8."""
    other = replace(SPEC, name="other")
    piece = Piece("a.npy", "b.npy", (0, 4), (2, 6), (8, 8))
    return [
        Item(
            f"images/\udcff{i}.png",
            f"labels/{i}.png" if i % 3 else None,
            f"name {i}",
            (True, False, None)[i % 3],
            f"p{i}.png" if i % 5 == 0 else None,
            f"c{i}.png" if i % 7 == 0 else None,
            i % 2 == 0,
            (i, 5) if i % 11 == 0 else None,
            "fog" if i % 4 else "",
            i % 2 == 1,
            (None, SPEC, other)[i % 3],
            piece if i % 13 == 0 else None,
            Kept(f"i{i}.npy", f"l{i}.npy", i % 2 == 0) if i % 17 else None,
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 64, 200])
def test_items_come_out_as_they_were(count: int) -> None:
    items = various(count)
    table = ItemTable.of(iter(items))
    assert len(table) == count and list(table) == items and table == items and (table != items[1:]) == (count > 0)
    assert [table[i] for i in range(-count, count)] == items + items
    assert all(one.spec is other.spec for one, other in zip(table, items, strict=True))
    assert list(table[3:150:7]) == items[3:150:7] and list(table[::-1]) == items[::-1]
    assert labeled(table[1::2]).tolist() == labeled(items[1::2]).tolist() == [bool(x.label) for x in items[1::2]]
    with pytest.raises(IndexError):
        table[count]
    assert ItemTable.of(table) is table


def test_one_block_is_read_for_neighbors(monkeypatch: pytest.MonkeyPatch) -> None:
    table, read = ItemTable.of(various(200)), list[int]()
    unpacked = ItemTable._unpacked
    monkeypatch.setattr(ItemTable, "_unpacked", lambda self, block: read.append(block) or unpacked(self, block))
    assert len(list(table)) == 200 and read == [0, 1, 2, 3]
    assert table[199] and table[198] and read == [0, 1, 2, 3]


@pytest.fixture
def big(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list of many images that are said to be there."""
    rows = (f"images/town{i // 500}/{i:06d}_leftImg8bit.png labels/town{i // 500}/{i:06d}.png\n" for i in range(MANY))
    (tmp_path / "train.lst").write_text("".join(rows))
    monkeypatch.setattr(os.path, "isfile", lambda path: True)
    return tmp_path


def list_of(root: Path, name: str = "train.lst") -> Sequence[Item]:
    """Items of a list."""
    return lists.split(str(root / name), str(root), SPEC, label_ids="train").items


def peak_of(work: Callable[[], object]) -> int:
    """Bytes at the peak of some work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_long_list_takes_few_bytes_an_image(big: Path) -> None:
    items = list_of(big)
    assert isinstance(items, ItemTable) and len(items) == MANY
    assert len(items._data) + items._ends.nbytes + items._labeled.nbytes < 40 * MANY and len(items._common) == 1
    last = items[-1]
    assert last.name == f"{MANY - 1:06d}" and str(last.label).endswith(f"{MANY - 1:06d}.png") and last.train_ids
    (big / "short.lst").write_text("".join((big / "train.lst").read_text().splitlines(keepends=True)[:SOME]))
    some = list_of(big, "short.lst")  # compiled expressions and the like are there by now
    assert peak_of(lambda: list_of(big, "short.lst")) < 500 * SOME and peak_of(lambda: listed(some)) < 100 * SOME


def part_of(marks: np.ndarray) -> centroidstore.Part:
    """Two tiles of twelve classes a label."""
    rows = np.array([[c, x, 7] for x in (5, 20) for c in range(12)])
    return centroidstore.Part.of(marks, [(rows, np.r_[np.full(12, 9), np.zeros(8, np.int64)])] * len(marks))


def test_centroids_and_epochs_of_many_take_few_bytes(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every label's file is asked for once, no label is read, and a file of centroids holds a thousand labels."""
    dataset, ranks, asked = SegmentationDataset(list_of(big), SPEC), DistributedContext(), list[str]()
    monkeypatch.setattr(SegmentationDataset, "label", lambda self, index: pytest.fail("a label was read"))
    monkeypatch.setattr(centroids, "_stamp", lambda path: path and (asked.append(path) or [path, 1, 2]))
    marks = centroids.content_marks(dataset, range(MANY), ranks)
    assert len(asked) == len({*asked}) == MANY == len({*marks.tolist()})
    store = centroidstore.Store(big / "c", f"{SPEC.name}_tile32_{centroids.description(dataset, 32, False)}")
    for some in centroidstore.chunks(np.arange(MANY)):
        assert not store.save(part_of(marks[some]))
    assert len(list((big / "c").iterdir())) == -(-MANY // 1024)
    asked.clear()
    found = centroids.cached(dataset, range(MANY), 32, str(big / "c"), ranks=ranks)
    assert sum(map(len, found.values())) == 24 * MANY and len(asked) == MANY
    assert sum(rows.nbytes for rows in found.values()) == 24 * 12 * MANY
    assert sum(column.nbytes for column in found.pixels) == (8 + 12 * 10) * MANY
    sampler = ClassUniformSampler(range(MANY), found, 19, 0.5, 8)
    draws = sampler.draws()
    assert draws.item.nbytes + draws.center.nbytes + draws.seed.nbytes <= 24 * MANY
    first = next(iter(sampler))
    assert len(first) == 8 and all(type(crop.index) is int and type(crop.seed) is int for crop in first)
    tally = audit.Labels(dataset, range(MANY), [found.pixels]).counted(0, 1)
    assert tally.labels == MANY and tally.pixels[:12].tolist() == [9 * MANY] * 12


def test_a_loader_process_gets_few_bytes() -> None:
    items = [Item(f"/data/images/{i:06d}.png", f"/data/labels/{i:06d}.png", f"{i:06d}", False) for i in range(2000)]
    table = ItemTable.of(items)
    assert len(table._data) < 30 * len(items) and len(table._common) == 1
    random.Random(0).shuffle(items)
    assert len(ItemTable.of(items)._data) < 60 * len(items)
    assert itemtable._BLOCK <= 64  # a crop of a random image unpacks one block
