"""Decoded images and labels that are kept: the same batches, made once, anew for what has changed, and no harm."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import write_image
from PIL import Image
from yacs.config import CfgNode

import datasets
from datasets import keeping, kept
from datasets.base import Item, PseudoLabelFilter, SegmentationDataset
from datasets.cityscapes import SPEC
from datasets.keeping import keep
from datasets.rawpixels import Piece
from transforms.geometry import RandomScaleCrop
from utils.distributed import DistributedContext
from utils.errors import UserError

RANKS = DistributedContext()
RNG = np.random.default_rng(0)
Make = Callable[..., CfgNode]
Usage = namedtuple("Usage", "total used free")


def dataset(folder: Path, count: int = 2, suffix: str = ".png") -> SegmentationDataset:
    """Images (24, 40) and labels of Cityscapes' ids."""
    items = []
    for place in range(count):
        image, label = folder / f"{place}{suffix}", folder / f"{place}_ids.png"
        write_image(image, RNG.integers(0, 256, (24, 40, 3), np.uint8))
        write_image(label, RNG.choice(np.array([7, 8, 26, 0], np.uint8), (24, 40)))
        items.append(Item(str(image), str(label), str(place)))
    return SegmentationDataset(items, SPEC)


def files(home: Path) -> dict[str, int]:
    """What is kept, and when it was written."""
    return {path.name: path.stat().st_mtime_ns for path in home.iterdir() if path.suffix in (kept.RAW, kept.PACKED)}


def same(one: SegmentationDataset, other: SegmentationDataset) -> bool:
    return all(
        np.array_equal(a.image, b.image) and np.array_equal(a.label, b.label) and a.turned == b.turned  # type: ignore[arg-type]
        for a, b in zip(map(one.__getitem__, range(len(one))), map(other.__getitem__, range(len(one))), strict=True)
    )


def on_disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, free + 10**9))


def test_batches_are_the_same_bits(make_cfg: Make, cityscapes_root: Path, tmp_path: Path) -> None:
    flags = ("--set_cityscapes_root", cityscapes_root, "--gblur", "--crop_size", "16,24")
    home = tmp_path / "kept"
    batches = []
    for more in ((), ("--cache_decoded", home), ("--cache_decoded", home)):
        train, val = datasets.build(make_cfg(*flags, *more), RANKS)
        train.set_epoch(1)
        assert all(item.kept is not None for item in train.dataset.items) == bool(more)
        read = [(torch.from_numpy(batch["image"][0]), torch.from_numpy(np.asarray(batch["label"][0]))) for batch in val]
        batches.append([(batch["image"], batch["label"]) for batch in train] + read)
    for plain, *others in zip(*batches, strict=True):
        for other in others:
            assert torch.equal(plain[0], other[0]) and torch.equal(plain[1], other[1])
    assert len(files(home)) == 2 * (6 + 3)


def test_what_is_there_is_read_and_not_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, home = dataset(tmp_path), tmp_path / "kept"
    first = keep(data, str(home), RANKS)
    assert capsys.readouterr().err.startswith(f"--cache_decoded {home}: 4 decoded images and labels, 7.68e-06 GB of ")
    assert first.notes == (f"2 images and 2 labels are read decoded from {home} (raw pixels)",)
    written = files(home)
    for item in data.items:  # what stands there now is not read: the same size, the same time
        times = os.stat(item.image)
        Path(item.image).write_bytes(bytes(times.st_size))
        os.utime(item.image, ns=(times.st_atime_ns, times.st_mtime_ns))
    again = keep(data, str(home), RANKS)
    assert same(first, again) and files(home) == written and not capsys.readouterr().err


def test_a_changed_file_is_decoded_anew(tmp_path: Path) -> None:
    data, home = dataset(tmp_path), tmp_path / "kept"
    keep(data, str(home), RANKS)
    before = files(home)
    write_image(Path(data.items[0].image), np.full((24, 40, 3), 9, np.uint8))
    write_image(Path(data.items[1].label or ""), np.full((24, 40), 7, np.uint8))
    changed = keep(data, str(home), RANKS)
    assert same(changed, data) and (changed[0].image == 9).all() and (changed[1].label == 0).all()
    assert len(files(home)) == len(before) + 2 and before.items() <= files(home).items()


def test_labels_are_kept_as_train_ids_of_their_own_classes(tmp_path: Path) -> None:
    data, home = dataset(tmp_path, 1), str(tmp_path / "kept")
    ids = SPEC.id_to_train
    assert ids is not None
    other = replace(SPEC, id_to_train={**ids, 7: 5})
    for spec in (SPEC, other):
        found = keep(replace(data, spec=spec), home, RANKS)
        assert same(found, replace(data, spec=spec))
    write_image(Path(data.items[0].label or ""), np.full((24, 40), 1, np.uint8))
    as_train = replace(data, items=[data.items[0]._replace(train_ids=True)])
    for one in (data, as_train):
        assert same(keep(one, home, RANKS), one)
    assert (keep(as_train, home, RANKS)[0].label == 1).all() and (keep(data, home, RANKS)[0].label == 255).all()


def test_pseudo_labels_are_kept_clean(tmp_path: Path) -> None:
    data, home = dataset(tmp_path, 1), str(tmp_path / "kept")
    confidence = tmp_path / "confidence.png"
    write_image(confidence, RNG.integers(0, 256, (24, 40), np.uint8))
    item = data.items[0]._replace(pseudo_label=True, pseudo_label_confidence=str(confidence))
    for least in (0.2, 0.8):
        one = replace(data, items=[item], filter_pseudo_labels=PseudoLabelFilter(least))
        assert same(keep(one, home, RANKS), one)


def test_turned_and_deep_pictures(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RNG.integers(0, 256, (24, 40, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    write_image(tmp_path / "b.png", RNG.integers(0, 4096, (24, 40, 3)).astype(np.uint16))
    items = [Item(str(tmp_path / name), None, name, exif_turned=name == "a.jpg") for name in ("a.jpg", "b.png")]
    data, home = SegmentationDataset(items, SPEC, image_bits=12), tmp_path / "kept"
    found = keep(data, str(home), RANKS)
    assert [found[i].image.shape for i in (0, 1)] == [(40, 24, 3), (24, 40, 3)] and found[0].turned
    shallow = replace(data, image_bits=16)
    for one, other in ((found, data), (keep(shallow, str(home), RANKS), shallow)):
        assert all(np.array_equal(one[i].image, other[i].image) for i in (0, 1))
    assert sum(".turned." in name for name in files(home)) == 2


def test_a_crop_reads_its_rows_of_a_map(tmp_path: Path) -> None:
    """What is cut may be written; what it is cut from is the file itself, which nobody writes to."""
    data = keep(dataset(tmp_path, 1), str(tmp_path / "kept"), RANKS)
    pixels, _ = data.image(0)
    assert isinstance(pixels.base, np.memmap) and not pixels.flags.writeable
    cut = replace(data, transform=RandomScaleCrop((8, 8), 0.5, 2.0))[0]
    assert cut.image.shape == (8, 8, 3) and cut.image.flags.writeable
    whole = data[0]
    assert whole.image.flags.writeable and whole.label is not None and whole.label.flags.writeable


def test_a_disk_without_room_for_raw_pixels_gets_png(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, home = dataset(tmp_path, suffix=".bmp"), tmp_path / "kept"
    on_disk(monkeypatch, 2 * 24 * 40 * 4 - 1)
    found = keep(data, str(home), RANKS)
    assert "as PNG, since raw pixels do not fit" in capsys.readouterr().err
    assert same(found, data) and all(name.endswith(".png") for name in files(home)) and len(files(home)) == 4
    assert found.notes == (f"2 images and 2 labels are read decoded from {home} (PNG files)",)


def test_png_files_are_not_kept_as_other_png_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, home = dataset(tmp_path), tmp_path / "kept"
    on_disk(monkeypatch, 2 * 24 * 40 * 4 - 1)
    found = keep(data, str(home), RANKS)
    assert same(found, data) and [bool(item.kept and item.kept.image) for item in found.items] == [False, False]
    assert found.notes == (f"0 images and 2 labels are read decoded from {home} (PNG files)",)
    monkeypatch.undo()
    write_image(Path(data.items[0].image), np.full((24, 40, 3), 9, np.uint8))
    assert keep(data, str(home), RANKS).notes[0].endswith(f"{home} (raw pixels, and 2 PNG files)")


def test_a_disk_without_room_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "kept"
    on_disk(monkeypatch, 100)
    with pytest.raises(UserError) as caught:
        keep(dataset(tmp_path), str(home), RANKS)
    said = str(caught.value)
    assert said.startswith(f"--cache_decoded {home}: decoded images and labels need 7.68e-06 GB, about ")
    cure = "free some space, name another disk, or leave it out"
    assert said.endswith(f"1e-07 GB are free beside 1 GB for the run: {cure}")
    assert "\n" not in said and not files(home)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_is_one_line_and_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    data, home = dataset(tmp_path), tmp_path / "kept"
    monkeypatch.setattr(keeping, "write_head", lambda *_: (_ for _ in ()).throw(OSError(number, os.strerror(number))))
    with pytest.raises(UserError, match=rf"cannot write {home}/\w+\.npy: {os.strerror(number)}; free some"):
        keep(data, str(home), RANKS)
    assert not [path for path in home.iterdir() if "npy" in path.name]
    monkeypatch.undo()
    assert same(keep(data, str(home), RANKS), data)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/kept: Not a directory"):
        keep(dataset(tmp_path), str(tmp_path / "file/kept"), RANKS)


def test_halves_of_a_killed_process_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of others who write stay, also where this machine's clock is ahead of the disk's."""
    data, home = dataset(tmp_path), tmp_path / "kept"
    keep(data, str(home), RANKS)
    name = min(files(home))
    old, new = home / f"{name}.0a0a0a0a.part", home / f"{name}.0b0b0b0b.part"
    for part in (old, new):
        part.write_bytes(b"half")
    now = time.time()
    os.utime(old, (now - 2 * 3600,) * 2)
    monkeypatch.setattr(time, "time", lambda: now + 2 * 3600)
    (home / name).unlink()
    assert same(keep(data, str(home), RANKS), data) and (home / name).is_file()
    assert new.exists() and not old.exists()  # the new one may be another machine's


@pytest.mark.parametrize("damage", ["cut", "other", "empty"])
def test_a_damaged_file_is_one_line(tmp_path: Path, damage: str) -> None:
    data = keep(dataset(tmp_path, 1), str(tmp_path / "kept"), RANKS)
    assert data.items[0].kept is not None
    file = Path(data.items[0].kept.image)
    if damage == "other":
        np.save(file, np.zeros((24, 40), np.float32))
    else:
        file.write_bytes(file.read_bytes()[:1000] if damage == "cut" else b"")
    with pytest.raises(UserError, match=r"cannot read .*\.npy, which keeps .*0\.png decoded: .*; delete it") as caught:
        data[0]
    assert "\n" not in str(caught.value)


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    whole = Path(data.items[1].image).read_bytes()
    Path(data.items[1].image).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"1\.png is truncated"):
        keep(data, str(tmp_path / "kept"), RANKS)


def test_pieces_keep_their_own_raw_pixels(tmp_path: Path) -> None:
    data, home = dataset(tmp_path), tmp_path / "kept"
    image, label = tmp_path / "i.npy", tmp_path / "l.npy"
    np.save(image, RNG.integers(0, 256, (24, 40, 3), np.uint8))
    np.save(label, np.full((24, 40), 7, np.uint8))
    piece = data.items[0]._replace(piece=Piece(str(image), str(label), (0, 12), (0, 40), (24, 40)))
    mixed = replace(data, items=[piece, data.items[1]])
    found = keep(mixed, str(home), RANKS)
    assert same(found, mixed) and len(files(home)) == 2
    assert found.notes[1] == f"of cut images 1 piece have their own raw pixels, and none in {home}"


def _start(folder: str, home: str, gate: Any) -> None:
    one = SegmentationDataset([Item(f"{folder}/{i}.png", f"{folder}/{i}_ids.png", str(i)) for i in range(12)], SPEC)
    gate.wait()
    assert same(keep(one, home, RANKS, workers=2), one)


def test_several_start_together(tmp_path: Path) -> None:
    """Each file is written by one of them, and all read the same."""
    dataset(tmp_path, 12)
    context = multiprocessing.get_context("fork")
    gate, home = context.Barrier(3), tmp_path / "kept"
    processes = [context.Process(target=_start, args=(str(tmp_path), str(home), gate)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(files(home)) == 24 and not [*home.glob("*.part")]


def test_ranks_of_a_machine_wait_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, home = dataset(tmp_path), tmp_path / "kept"
    monkeypatch.setattr(DistributedContext, "gather", lambda _, value: [value, ""])
    second = DistributedContext(1, 2, 1)
    assert all(item.kept is None for item in keep(data, str(home), second).items)  # it makes nothing
    keep(data, str(home), DistributedContext(0, 2, 0))
    assert all(item.kept is not None for item in keep(data, str(home), second).items)


def test_nothing_is_kept_of_a_folder_or_without_being_asked(
    make_cfg: Make, cityscapes_root: Path, tmp_path: Path
) -> None:
    data = dataset(tmp_path)
    assert keep(data, "", RANKS) is data
    pictures, home = tmp_path / "pictures", tmp_path / "kept"
    write_image(pictures / "a.png", RNG.integers(0, 256, (24, 40, 3), np.uint8))
    cfg = make_cfg("--set_cityscapes_root", cityscapes_root, "--cache_decoded", home).clone()
    cfg.defrost()
    cfg.EVAL.FOLDER = str(pictures)
    loader = datasets.build_val(cfg, RANKS, "folder")
    assert loader.dataset.items[0].kept is None and not home.exists()
    assert any("--cache_decoded" in note for note in loader.dataset.notes)
