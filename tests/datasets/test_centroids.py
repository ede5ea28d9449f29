"""Class centroids: the recorded ones exactly, a plain reference, and the cache."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from golden.fill import labels as golden_labels
from rank_threads import in_threads
from shared import GOLDEN

from datasets import centroids, centroidstore
from datasets.base import Item, SegmentationDataset
from datasets.centroidstore import Part, Store
from datasets.cityscapes import SPEC
from datasets.reading import label_lut, remap_labels
from transforms import Pipeline
from utils.distributed import DistributedContext
from utils.errors import UserError

CASES = json.loads((GOLDEN / "nvidia/centroids.json").read_text())
RECIPES = {
    "train_ids": ("centroids", (6, 256, 512), 19, 255),
    "raw_ids": ("centroids_raw", (6, 256, 512), 34, 0),
    "not_multiple": ("centroids_odd", (3, 200, 300), 19, 255),
}


@pytest.mark.parametrize(("case", "tile"), [(c, t) for c, content in CASES.items() for t in content["tiles"]])
def test_golden(case: str, tile: str) -> None:
    label = golden_labels(*RECIPES[case]).astype(np.uint8)
    if case == "raw_ids":
        table = label_lut(SPEC)
        label = np.stack([remap_labels(one, table, "golden", SPEC) for one in label])
    found = centroids.build(lambda i: label[i], range(len(label)), 19, int(tile), small_tile=True, workers=2)
    assert {str(c): rows.tolist() for c, rows in found.items()} == CASES[case]["tiles"][tile]


def test_tile_is_at_most_the_short_side() -> None:
    label = np.full((20, 50), 255, np.uint8)
    label[2:5, 21:24] = 3
    assert centroids.tile_centroids(label, 19, 1024).tolist() == [[3, 22, 3]]
    assert centroids.tile_centroids(label, 19, 1024, small_tile=True).tolist() == []


def test_equals_a_pixelwise_reference() -> None:
    label = np.random.default_rng(0).choice(np.array([0, 1, 2, 7, 255], np.uint8), (45, 70))
    expected = []
    for top in range(0, 32, 16):
        for left in range(0, 64, 16):
            part = label[top : top + 16, left : left + 16]
            for c in (0, 1, 2, 7):
                y, x = np.nonzero(part == c)
                expected.append([c, int(x.mean()) + left, int(y.mean()) + top])
    assert centroids.tile_centroids(label, 8, 16).tolist() == expected


def make_dataset(folder: Path) -> SegmentationDataset:
    items = []
    for i in range(3):
        path = folder / f"{i}.png"
        cv2.imwrite(str(path), np.full((16, 16), 7 + i // 2, np.uint8))
        items.append(Item(str(path), str(path), path.stem))
    return SegmentationDataset(items, SPEC, Pipeline())


def test_cache_is_read_again_and_keyed_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, cache = make_dataset(tmp_path), tmp_path / "cache"

    def read(tile: int = 16) -> dict[int, list[list[int]]]:
        found = centroids.cached(dataset, range(3), tile, str(cache))
        return {c: rows.tolist() for c, rows in found.items()}

    first = read()
    assert first == {0: [[0, 7, 7], [1, 7, 7]], 1: [[2, 7, 7]]}
    with monkeypatch.context() as patch:
        patch.setattr(centroids, "part", lambda *_: pytest.fail("the cache was not used"))
        assert read() == first
    read(tile=8)
    assert len(list(cache.iterdir())) == 2  # another tile, another file
    cv2.imwrite(str(tmp_path / "0.png"), np.full((16, 16), 33, np.uint8))
    assert read()[18] == [[0, 7, 7]]


@pytest.mark.parametrize("damage", ["truncated", "other", "empty"])
def test_broken_cache_is_made_anew(tmp_path: Path, damage: str) -> None:
    dataset, cache = make_dataset(tmp_path), tmp_path / "cache"
    good = centroids.cached(dataset, range(3), 16, str(cache))
    (path,) = cache.iterdir()
    data = path.read_bytes()
    path.write_bytes({"truncated": data[: len(data) // 2], "other": b"no archive at all", "empty": b""}[damage])
    again = centroids.cached(dataset, range(3), 16, str(cache))
    assert {c: rows.tolist() for c, rows in again.items()} == {c: rows.tolist() for c, rows in good.items()}
    (whole,) = Store(cache, path.name.rpartition("_")[0]).parts()
    assert whole.marks.tolist() == centroids.content_marks(dataset, range(3), DistributedContext()).tolist()


def test_folder_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    (tmp_path / "file").write_text("in the way")
    for place, reason in (
        ("file", "File exists"),
        ("file/cache", "Not a directory"),
        ("n" * 300, "File name too long"),
    ):
        folder = tmp_path / place
        found = centroids.cached(dataset, range(3), 16, str(folder))
        assert found and found.note.startswith(
            f"warning: class centroids cannot be kept in {folder}: {reason}; the next"
        )
    assert centroids.cached(dataset, range(3), 16, str(tmp_path / "cache")).note == ""


def make_labels(folder: Path, count: int) -> SegmentationDataset:
    items = []
    for i in range(count):
        path = folder / f"{i}.png"
        cv2.imwrite(str(path), np.full((16, 16), 7 + i % 2, np.uint8))
        items.append(Item(str(path), str(path), path.stem, False))
    return SegmentationDataset(items, SPEC, Pipeline())


def as_lists(found: centroids.CentroidTable) -> dict[int, list[list[int]]]:
    return {c: rows.tolist() for c, rows in found.items()}


def counted_reads(dataset: SegmentationDataset, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Labels that are read from now on."""
    read, label = list[int](), dataset.label
    monkeypatch.setattr(dataset, "label", lambda index: read.append(index) or label(index))
    return read


def test_only_what_is_new_or_has_changed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_labels(tmp_path, 6)
    centroids.cached(dataset, range(4), 16, str(tmp_path / "cache"))
    cv2.imwrite(str(tmp_path / "1.png"), np.full((16, 16), 33, np.uint8))
    read = counted_reads(dataset, monkeypatch)
    found = centroids.cached(dataset, range(6), 16, str(tmp_path / "cache"))
    assert sorted(read) == [1, 4, 5] and found.note == "class centroids: 3 of 6 labels are new or have changed"
    assert as_lists(found) == {0: [[0, 7, 7], [2, 7, 7], [4, 7, 7]], 1: [[3, 7, 7], [5, 7, 7]], 18: [[1, 7, 7]]}
    # In another order, and some of them twice: each item has its own rows.
    again = centroids.cached(dataset, [5, 1, 0], 16, str(tmp_path / "cache"))
    assert len(read) == 3 and as_lists(again) == {0: [[0, 7, 7]], 1: [[5, 7, 7]], 18: [[1, 7, 7]]}


def test_what_a_killed_process_has_made_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, whole = make_labels(tmp_path, 7), Store.save
    monkeypatch.setattr(centroidstore, "_SHARED", 2)

    def dies(store: Store, part: Part) -> str:
        if len(list(store.folder.glob("*.npz"))) == 2:
            raise KeyboardInterrupt
        return whole(store, part)

    monkeypatch.setattr(Store, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        centroids.cached(dataset, range(7), 16, str(tmp_path / "cache"))
    monkeypatch.setattr(Store, "save", whole)
    read = counted_reads(dataset, monkeypatch)
    found = centroids.cached(dataset, range(7), 16, str(tmp_path / "cache"))
    assert sorted(read) == [4, 5, 6] and sum(map(len, found.values())) == 7


def test_ranks_share_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_labels(tmp_path, 7)
    read = counted_reads(dataset, monkeypatch)
    cache = tmp_path / "cache"
    first, *others = in_threads(3, lambda ranks: centroids.cached(dataset, range(7), 16, str(cache), ranks=ranks))
    assert sorted(read) == [*range(7)]
    assert len(first) == 2 and all(as_lists(other) == as_lists(first) for other in others)
    assert as_lists(first) == as_lists(centroids.cached(dataset, range(7), 16, str(cache))) and len(read) == 7
    assert all(path.suffix == ".npz" for path in cache.iterdir()) and len(list(cache.iterdir())) == 3


def test_ranks_that_do_not_see_each_other_make_all(tmp_path: Path) -> None:
    dataset = make_labels(tmp_path, 5)
    one, other = in_threads(
        2, lambda ranks: centroids.cached(dataset, range(5), 16, str(tmp_path / f"disk{ranks.rank}"), ranks=ranks)
    )
    assert as_lists(one) == as_lists(other) and sum(map(len, one.values())) == 5
    (tmp_path / "file").write_text("in the way")
    locked = in_threads(2, lambda ranks: centroids.cached(dataset, range(5), 16, str(tmp_path / "file"), ranks=ranks))
    assert all(as_lists(found) == as_lists(one) and "cannot be kept" in found.note for found in locked)


def test_a_wrong_label_is_told_on_all_ranks(tmp_path: Path) -> None:
    dataset, said = make_labels(tmp_path, 4), []
    cv2.imwrite(str(tmp_path / "2.png"), np.full((16, 16), 200, np.uint8))

    def work(ranks: DistributedContext) -> None:
        with pytest.raises(UserError, match="label value 200") as caught:
            centroids.cached(dataset, range(4), 16, str(tmp_path / "cache"), ranks=ranks)
        said.append(str(caught.value))

    in_threads(2, work)
    assert len(said) == 2 and len({*said}) == 1


def test_files_that_are_none_of_ours_are_left_out(tmp_path: Path) -> None:
    """Columns of other types, negative sizes, an archive that is damaged or says that it holds more than there is."""
    good = {"marks": np.arange(2), "sizes": np.ones((2, 2), np.int64), "rows": np.ones((2, 3), np.int32)}
    good["pixels"] = np.ones((2, 2), np.int64)
    odd = [{"sizes": np.ones((2, 2))}, {"marks": np.array(["a", "b"])}, {"rows": np.ones((2, 3), np.int64)}]
    odd += [{"sizes": np.array([[-1, 1], [3, 1]])}, {"pixels": np.zeros(2, "m8")}]
    store = Store(tmp_path, "s")
    for more in odd:
        np.savez_compressed(tmp_path / "s_1.npz", **{**good, **more})
        assert not [*store.parts()], more
    np.savez_compressed(tmp_path / "s_1.npz", **good)
    assert len([*store.parts()]) == 1
    data = bytearray((tmp_path / "s_1.npz").read_bytes())
    data[60:80] = b"\xff" * 20
    (tmp_path / "s_1.npz").write_bytes(data)
    assert not [*store.parts()]
