"""Batches: contents, independence of workers and processes, and how mistakes come out of worker processes."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from rank_threads import in_threads
from yacs.config import CfgNode

import datasets
import toyworld
from utils.contracts import Batch
from utils.distributed import DistributedContext
from utils.errors import UserError

Make = Callable[..., CfgNode]


def epoch(cfg: CfgNode, number: int = 0, ranks: DistributedContext | None = None, start: int = 0) -> list[Batch]:
    loader = datasets.build_train(cfg, ranks or DistributedContext())
    loader.set_epoch(number, start)
    return list(loader)


def same(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(
        x["name"] == y["name"] and torch.equal(x["image"], y["image"]) and torch.equal(x["label"], y["label"])
        for x, y in zip(a, b, strict=True)
    )


def test_batch_keeps_the_contract(make_cfg: Make, cityscapes_root: Path) -> None:
    cfg = make_cfg("--set_cityscapes_root", cityscapes_root, "--bs_trn", 2, "--crop_size", "16,24", "--label_stride", 2)
    batches = epoch(cfg)
    assert len(batches) == 3
    for batch in batches:
        assert batch["image"].shape == (2, 3, 16, 24) and batch["image"].dtype == torch.uint8
        assert batch["label"].shape == (2, 8, 12) and batch["label"].dtype == torch.int64
        assert len(batch["name"]) == 2 and batch["size"] == [(32, 64)] * 2
        assert set(batch["label"].unique().tolist()) <= {*range(19), 255}


def test_workers_do_not_change_the_batches(make_cfg: Make, cityscapes_root: Path) -> None:
    flags = ("--set_cityscapes_root", cityscapes_root, "--gblur", "--rand_augment", "2,9")
    alone = epoch(make_cfg(*flags))
    assert same(epoch(make_cfg(*flags, "--num_workers", 2)), alone)
    assert not same(epoch(make_cfg(*flags), number=1), alone)


def test_epochs_repeat_on_one_loader_with_workers(make_cfg: Make, cityscapes_root: Path) -> None:
    loader = datasets.build_train(
        make_cfg("--set_cityscapes_root", cityscapes_root, "--num_workers", 1), DistributedContext()
    )
    epochs = []
    for number, start in ((0, 0), (1, 0), (0, 0), (1, 1)):
        loader.set_epoch(number, start)
        epochs.append(list(loader))
    assert same(epochs[0], epochs[2]) and same(epochs[1][1:], epochs[3]) and not same(epochs[0], epochs[1])
    assert len(loader) == len(epochs[0]) == 3


def test_two_processes_read_the_batches_of_one(make_cfg: Make, cityscapes_root: Path) -> None:
    whole = epoch(make_cfg("--set_cityscapes_root", cityscapes_root, "--bs_trn", 4))
    halves = make_cfg("--set_cityscapes_root", cityscapes_root, "--bs_trn", 2)
    parts = in_threads(2, lambda ranks: epoch(halves, ranks=ranks))
    for step, batch in enumerate(whole):
        crops = {image.numpy().tobytes() for image in batch["image"]}
        assert {image.numpy().tobytes() for part in parts for image in part[step]["image"]} == crops


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("damage", ["truncated", "value", "size"])
def test_mistakes_come_out_in_one_line(make_cfg: Make, cityscapes_root: Path, workers: int, damage: str) -> None:
    cfg = make_cfg(
        "--set_cityscapes_root", cityscapes_root, "--num_workers", workers, "--class_uniform_pct", 0, "--bs_trn", 6
    )
    stem = "ulm_000000_000001"
    if damage == "truncated":
        path = cityscapes_root / f"leftImg8bit_trainvaltest/leftImg8bit/train/ulm/{stem}_leftImg8bit.png"
        path.write_bytes(path.read_bytes()[:1000])
    else:
        path = cityscapes_root / f"gtFine_trainvaltest/gtFine/train/ulm/{stem}_gtFine_labelIds.png"
        shape = (32, 64) if damage == "value" else (30, 64)
        cv2.imwrite(str(path), np.full(shape, 77 if damage == "value" else 7, np.uint8))
    with pytest.raises(UserError) as caught:
        epoch(cfg)
    message = str(caught.value)
    assert "\n" not in message and path.name in message
    expected = {"truncated": "truncated", "value": "label value 77 (2048 pixels)", "size": "64x30 pixels, its image"}
    assert expected[damage] in message
    assert not multiprocessing.active_children()  # not even while the error is held


def test_bad_label_is_found_while_centroids_are_built(make_cfg: Make, cityscapes_root: Path) -> None:
    path = cityscapes_root / "gtFine_trainvaltest/gtFine/train/ulm/ulm_000000_000001_gtFine_labelIds.png"
    cv2.imwrite(str(path), np.full((32, 64), 99, np.uint8))
    with pytest.raises(UserError, match=path.name):
        epoch(make_cfg("--set_cityscapes_root", cityscapes_root))


def test_validation_reads_every_image_once(make_cfg: Make, cityscapes_root: Path) -> None:
    cfg = make_cfg("--set_cityscapes_root", cityscapes_root, "--bs_val", 2, "--num_workers", 2)
    names = []
    for rank in range(2):
        for batch in datasets.build_val(cfg, DistributedContext(rank, 2, rank)):
            names += batch["name"]
            assert batch["image"][0].shape == (32, 64, 3) and batch["image"][0].dtype == np.uint8
            assert batch["label"][0] is not None and batch["label"][0].shape == (32, 64)
    assert sorted(names) == [f"lindau_000000_00000{i}_leftImg8bit" for i in range(3)]


def test_evaluation_modes(make_cfg: Make, cityscapes_root: Path) -> None:
    cfg = make_cfg("--set_cityscapes_root", cityscapes_root)
    assert len(datasets.build_val(cfg, DistributedContext(), "trn")) == 6
    test = list(datasets.build_val(cfg, DistributedContext(), "test"))
    assert len(test) == 3 and test[0]["label"] == [None]
    images = cityscapes_root / "leftImg8bit_trainvaltest/leftImg8bit/val"
    labels = cityscapes_root / "gtFine_trainvaltest/gtFine/val"
    scored = cfg.clone()
    scored.defrost()
    scored.EVAL.FOLDER, scored.EVAL.LABELS = str(images), str(labels)
    for ours, theirs in zip(
        datasets.build_val(scored, DistributedContext(), "folder"),
        datasets.build_val(cfg, DistributedContext()),
        strict=True,
    ):
        np.testing.assert_array_equal(ours["label"][0], theirs["label"][0])
    with pytest.raises(UserError, match="val, trn, test or folder, not 'all'"):
        datasets.build_val(cfg, DistributedContext(), "all")


def test_train_fraction_is_fixed(make_cfg: Make, tmp_path: Path, make_tree: Callable[..., Path]) -> None:
    root = make_tree(tmp_path / "more", frames=10)

    def names(fraction: float, number: int, share: float) -> set[str]:
        cfg = make_cfg(
            "--set_cityscapes_root", root, "--bs_trn", 1, "--train_fraction", fraction, "--class_uniform_pct", share
        )
        return {name for batch in epoch(cfg, number) for name in batch["name"]}

    assert len(names(1.0, 0, 0.0)) == 20
    kept = names(0.3, 0, 0.0)
    assert len(kept) == 6 and names(0.3, 1, 0.0) == kept
    assert names(0.3, 0, 0.9) <= kept


def test_full_crop_of_odd_sizes(make_cfg: Make, tmp_path: Path, write_file: Callable[[Path, np.ndarray], None]) -> None:
    for i, width in enumerate((20, 24)):
        write_file(tmp_path / f"own/images/{i}.png", np.zeros((16, width, 3), np.uint8))
        write_file(tmp_path / f"own/labels/{i}.png", np.full((16, width), 23, np.uint8))
    flags = ("--dataset", "folder", "--data_root", tmp_path / "own", "--full_crop_training", "--class_uniform_pct", 0)
    assert {tuple(batch["image"].shape) for batch in epoch(make_cfg(*flags, "--bs_trn", 1))} == {
        (1, 3, 16, 20),
        (1, 3, 16, 24),
    }
    with pytest.raises(UserError, match="images of one batch differ in size"):
        epoch(make_cfg(*flags))


def test_training_without_labels_is_refused(make_cfg: Make, tmp_path: Path, write_file: Any) -> None:
    for i in range(2):
        write_file(tmp_path / f"own/{i}.png", np.zeros((16, 16, 3), np.uint8))
    with pytest.raises(UserError, match="has no label; training needs one"):
        epoch(make_cfg("--dataset", "folder", "--data_root", tmp_path / "own"))


def test_augmented_images_are_written(make_cfg: Make, cityscapes_root: Path, tmp_path: Path) -> None:
    cfg = make_cfg("--set_cityscapes_root", cityscapes_root, "--dump_augmentation_images")
    loader = datasets.build_train(cfg, DistributedContext(), tmp_path / "run")
    assert loader.dump is not None
    loader.dump.limit = 3
    first = next(iter(loader))
    list(loader)
    files = sorted((tmp_path / "run/augmented").iterdir())
    assert len(files) == 6
    image = cv2.imread(str(files[0].with_name(f"000_{first['name'][0]}_image.png")))[..., ::-1]
    np.testing.assert_array_equal(image, first["image"][0].permute(1, 2, 0).numpy())
    colors = cv2.imread(str(files[0].with_name(f"000_{first['name'][0]}_label.png")))[..., ::-1]
    road = (first["label"][0] == 0).numpy()
    assert (colors[road] == (128, 64, 128)).all()


@pytest.mark.parametrize("count", [11, 20])
@pytest.mark.parametrize("build", [datasets.build_train, datasets.build_val])
def test_another_number_of_classes(make_cfg: Make, cityscapes_root: Path, count: int, build: Any) -> None:
    cfg = make_cfg("--set_cityscapes_root", cityscapes_root, "DATASET.NUM_CLASSES", count)
    with pytest.raises(UserError, match=f"NUM_CLASSES is {count}, but labels of cityscapes have 19"):
        build(cfg, DistributedContext())


def test_images_without_labels_go_with_any_number_of_classes(make_cfg: Make, cityscapes_root: Path) -> None:
    cfg = make_cfg("--set_cityscapes_root", cityscapes_root, "DATASET.NUM_CLASSES", "65")
    assert len(datasets.build_val(cfg, DistributedContext(), "test")) == 3


def test_loader_processes_are_deaf_to_signals(make_cfg: Make, cityscapes_root: Path) -> None:
    """What that means for a program in whose group they are: test_signals_to_the_group_leave_loaders_at_work."""
    status = [Path(f"/proc/{process.pid}/status") for process in multiprocessing.active_children()]
    batches = iter(
        datasets.build_val(make_cfg("--set_cityscapes_root", cityscapes_root, "--num_workers", 2), DistributedContext())
    )
    next(batches)
    started = [Path(f"/proc/{process.pid}/status") for process in multiprocessing.active_children()]
    masks = [line for path in started if path not in status for line in path.read_text().splitlines()]
    ignored = [int(line.split()[1], 16) for line in masks if line.startswith("SigIgn")]
    loaders_signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    deaf = sum(1 << (number - 1) for number in loaders_signals)
    assert ignored and all(mask & deaf == deaf for mask in ignored)


READER = """
import multiprocessing, signal, sys
import config, datasets
from utils.distributed import DistributedContext

signal.signal(signal.SIGTERM, lambda *_: None)
loader = datasets.build_val(config.load(sys.argv[1:]), DistributedContext())
batches = iter(loader)
next(batches)
print(len(multiprocessing.active_children()), flush=True)
sys.stdin.readline()
print(sum(1 for _ in batches), flush=True)
again = iter(loader)  # still open when the interpreter ends
next(again)
"""


@pytest.fixture
def reader(tmp_path: Path, write_file: Any) -> Iterator[subprocess.Popen[str]]:
    """A program with two loader processes whose queues hold more than a pipe does, in a process group of its own."""
    for i in range(8):
        write_file(tmp_path / f"own/images/{i}.png", np.zeros((200, 300, 3), np.uint8))
        write_file(tmp_path / f"own/labels/{i}.png", np.full((200, 300), 23, np.uint8))
    words = ["--dataset", "folder", "--data_root", str(tmp_path / "own"), "--num_workers", "4"]
    root = Path(datasets.__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", READER, *words],
        cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "2\n"
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.run
def test_signals_to_the_group_leave_loaders_at_work(reader: subprocess.Popen[str]) -> None:
    """And the program ends without waiting for them, even in the middle of a pass."""
    os.killpg(reader.pid, signal.SIGTERM)
    output, _ = reader.communicate("\n", timeout=60)
    assert (reader.returncode, output) == (0, "7\n")


@pytest.mark.slow
@pytest.mark.run
def test_loaders_end_when_the_program_is_killed(reader: subprocess.Popen[str]) -> None:
    reader.kill()
    output, _ = reader.communicate(timeout=60)  # waits until nobody holds the other end any more
    assert output == ""


@pytest.mark.slow
def test_embedded_scenes_are_drawn_once(make_cfg: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"train": 2, "val": 1, "test": 1, "train_extra": 1}
    draw, drawn = toyworld.write, []

    def few(root: Path, parts: tuple[str, ...], **_: Any) -> None:
        drawn.append(parts)
        draw(root, parts, counts=counts, size=(64, 128), workers=1)

    monkeypatch.setattr(toyworld, "write", few)
    cfg = make_cfg("--dataset", "toy", "DATASET.TOY_DIR", str(tmp_path / "toy"))
    assert len(datasets.build_train(cfg, DistributedContext())) == 1
    (batch,) = list(datasets.build_val(cfg, DistributedContext()))
    assert batch["image"][0].shape == (64, 128, 3) and batch["label"][0] is not None
    assert drawn == [("fine",)]
    assert len(datasets.build_val(cfg, DistributedContext(), "test")) == 1 and drawn == [("fine",), ("test",)]
    boosted = make_cfg("--dataset", "toy", "--coarse_boost_classes", "0", "DATASET.TOY_DIR", str(tmp_path / "toy"))
    assert len(datasets.build_train(boosted, DistributedContext()).dataset) == 3 and drawn[2:] == [("coarse",)]


@pytest.mark.slow
def test_coarse_scenes_leave_somebody_s_own_fine_ones(
    make_cfg: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are drawn in the same size, of the same number of fine ones."""
    monkeypatch.setitem(toyworld.COUNTS, "train_extra", 3)
    root = tmp_path / "toy"
    toyworld.write(root, seed=3, counts={"train": 2, "val": 1}, size=(32, 64), workers=1)
    fine = {path: path.read_bytes() for path in (root / "leftImg8bit").rglob("*.png")}
    cfg = make_cfg("--dataset", "toy", "--coarse_boost_classes", "0", "--data_root", str(root))
    dataset = datasets.build_train(cfg, DistributedContext()).dataset
    assert {path: path.read_bytes() for path in fine} == fine and len(fine) == 3
    assert len(dataset.items) == 2 + 3
    coarse = cv2.imread(str(next((root / "leftImg8bit" / "train_extra").rglob("*.png"))))
    assert coarse is not None and coarse.shape == (32, 64, 3)


def test_cityscapes_folder_serves_as_toy(make_cfg: Make, tmp_path: Path, make_tree: Callable[..., Path]) -> None:
    root = make_tree(tmp_path / "tree", zips=False)
    assert len(datasets.build_train(make_cfg("--dataset", "toy", "--data_root", root), DistributedContext())) == 3
