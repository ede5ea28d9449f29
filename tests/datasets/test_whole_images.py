"""Batches of whole images: the published pipeline with its draws fed in, queues, canvases, who gets which."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.fill import image, labels
from shared import GOLDEN
from yacs.config import CfgNode

import datasets
import transforms
from datasets.base import Item
from datasets.batches import WorkerError
from datasets.samplers import IterationBasedSampler
from datasets.whole_images import OrientationSampler, PadTogether, grouped, portrait
from transforms.geometry import RandomFlip
from transforms.short_side import ShortSide, fitted
from utils.contracts import CropRequest, Sample
from utils.distributed import DistributedContext
from utils.errors import UserError

PUBLISHED = np.load(GOLDEN / "csail" / "data_pipeline.npz")
SIZES = json.loads(str(PUBLISHED["meta"]))["sizes_hw"]
SMALL = ["--imgSize", "48", "64", "80", "--imgMaxSize", "112", "--padding_constant", "8"]
SMALL += ["--segm_downsampling_rate", "8", "--crop_size", "896"]  # the default: no crops
SPEC = datasets.spec("ade20k")
Make = Callable[..., CfgNode]


def source(i: int) -> Sample:
    """Image and label number `i`, as the fixture's meta describes them."""
    height, width = SIZES[i]
    blocks = image(f"pix:csail{i}", (1, 3, -(-height // 4), -(-width // 4))).repeat(4, 2).repeat(4, 3)
    z = blocks[..., :height, :width] + 0.3 * image(f"pix2:csail{i}", (1, 3, height, width))
    pixels = np.clip(np.rint(128 + 50 * z), 0, 255).astype(np.uint8)[0].transpose(1, 2, 0)
    label = labels(f"pix:csail{i}", (1, height, width), 150, ignore=255)[0].astype(np.uint8)
    return Sample(np.ascontiguousarray(pixels), label, f"i{i}.png", (height, width))


def whole_images(make_cfg: Make, flip: bool) -> transforms.Pipeline:
    """The pipeline as built, with a flip that is decided."""
    steps = transforms.build_train(make_cfg("--dataset", "ade20k", *SMALL, "--color_aug", "0"), SPEC).steps
    return transforms.Pipeline(tuple(RandomFlip(float(flip)) if isinstance(s, RandomFlip) else s for s in steps))


def published_batch(make_cfg: Make, t: int, fill: int) -> dict:
    """Batch `t` from the published draws."""
    samples = []
    for name, flip in zip(PUBLISHED[f"train{t}_records"], PUBLISHED[f"train{t}_flip"], strict=True):
        sample = replace(source(int(name[1])), short=int(PUBLISHED[f"train{t}_short"]))
        samples.append(whole_images(make_cfg, bool(flip))(sample, random.Random(0)))
    batch = PadTogether(8, 8, fill)(samples)
    assert not isinstance(batch, WorkerError)
    return dict(batch)


@pytest.mark.parametrize("t", [0, 1, 2])
def test_the_published_batches(make_cfg: Make, t: int) -> None:
    batch = published_batch(make_cfg, t, fill=0)
    assert tuple(batch["image"].shape) == tuple(PUBLISHED[f"train{t}_img_shape"])
    np.testing.assert_allclose(batch["image"][..., ::3, ::3], PUBLISHED[f"train{t}_img"], rtol=0, atol=1e-6)
    expected = torch.from_numpy(PUBLISHED[f"train{t}_seg"]).long()
    expected[expected < 0] = 255
    assert torch.equal(batch["label"], expected)
    ours = published_batch(make_cfg, t, fill=255)["label"]
    differs = ours != expected
    assert bool((ours[differs] == 255).all() and (expected[differs] == 0).all())
    assert bool(differs.any()) == (t != 2)  # both images of the last batch fill their canvas


def test_the_published_queues() -> None:
    order = list(range(6))
    np.random.RandomState(0).shuffle(order)
    found = list(grouped(order, [height > width for height, width in SIZES], 2))
    assert found == [[int(name[1]) for name in PUBLISHED[f"train{t}_records"]] for t in range(3)]


@pytest.mark.parametrize(
    ("size", "short", "expected"), [((100, 200), 50, (50, 100)), ((100, 300), 50, (40, 120)), ((7, 500), 50, (1, 120))]
)
def test_the_long_side_is_bounded(size: tuple[int, int], short: int, expected: tuple[int, int]) -> None:
    assert fitted(size, short, 120) == expected


def test_an_epoch_uses_each_image_once_and_processes_share_it() -> None:
    standing = [i % 3 == 0 for i in range(40)]  # 14 upright, 26 others
    parts = [OrientationSampler(standing, (300, 375, 450), 4, rank, 2, seed=5) for rank in range(2)]
    for epoch in (0, 1):
        for part in parts:
            part.set_epoch(epoch)
        shared = [list(part) for part in parts]
        assert [len(batches) for batches in shared] == [4, 4] == [len(part) for part in parts]
        for batch in (batch for batches in shared for batch in batches):
            assert len({standing[draw.index] for draw in batch}) == 1 and len({draw.short for draw in batch}) == 1
        used = Counter(draw.index for batches in shared for batch in batches for draw in batch)
        assert len(used) == 32 and set(used.values()) == {1}
        whole = list(parts[0].batches())
        assert [whole[0], whole[1]] == [shared[0][0], shared[1][0]]
    assert len({draw.short for batches in shared for batch in batches for draw in batch}) == 3
    parts[0].set_epoch(0)
    first = list(parts[0])
    parts[0].set_epoch(0, start=3)
    assert list(parts[0]) == first[3:] and first != list(shared[0])


def test_rounds_go_on_from_one_pass_to_the_next() -> None:
    """--epoch_iters is such a round; a run may enter it in the middle."""
    rounds = IterationBasedSampler(OrientationSampler([False] * 10, (8,), 4), steps=5, max_iters=10)
    batches = list(rounds)
    assert len(batches) == 5 and len({draw.index for batch in batches[:2] for draw in batch}) == 8
    rounds.set_epoch(0, start=3)
    assert list(rounds) == batches[3:]


def test_too_few_images_for_a_batch() -> None:
    with pytest.raises(UserError, match="1 portrait and 3 other training images .* 2 images .* 2 processes"):
        OrientationSampler([True, False, False, False], (300,), 2, world=2)


def test_a_canvas_holds_samples_of_several_sizes() -> None:
    def sample(height: int, width: int, value: int) -> Sample:
        picture = np.full((height, width, 3), value, np.float32)
        return Sample(picture, np.full((-(-height // 4), -(-width // 4)), value, np.uint8), str(value), (height, width))

    batch = PadTogether(8, 4, 255)([sample(10, 20, 1), sample(17, 9, 2)])
    assert not isinstance(batch, WorkerError)
    assert batch["image"].shape == (2, 3, 24, 24) and batch["label"].shape == (2, 6, 6)
    assert bool((batch["image"][0, :, :10, :20] == 1).all()) and float(batch["image"][0].sum()) == 3 * 10 * 20
    assert bool((batch["label"][1, :5, :3] == 2).all()) and int((batch["label"][1] == 255).sum()) == 36 - 15
    assert batch["size"] == [(10, 20), (17, 9)]
    broken = PadTogether(8, 4, 255)([sample(10, 20, 1), WorkerError("no")])
    assert broken == WorkerError("no")


def test_orientation_by_list_or_file(tmp_path: Path, write_file: Callable[[Path, np.ndarray], None]) -> None:
    write_file(tmp_path / "tall.jpg", np.zeros((30, 20, 3), np.uint8))
    file = Item(str(tmp_path / "tall.jpg"), None, "tall")
    assert portrait([file, Item("none.jpg", None, "listed", size=(3, 3)), file._replace(size=(2, 9))]) == [
        True,
        False,
        False,
    ]
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"cannot read the size of .*text\.jpg"):
        portrait([Item(str(tmp_path / "text.jpg"), None, "text")])


def test_options_of_crops_are_refused(make_cfg: Make) -> None:
    cases = {
        ("--crop_size", "64"): "--crop_size is of training on crops, without --imgSize",
        ("--class_uniform_pct", "0.3"): "--class_uniform_pct is of training on crops",
        ("--padding_constant", "12", "--segm_downsampling_rate", "8"): "--padding_constant 12 has to be a multiple",
    }
    for words, message in cases.items():
        with pytest.raises(UserError, match=message):
            make_cfg("--imgSize", "300", *words)
    with pytest.raises(UserError, match="--imgSize must be above 0, not 0"):
        make_cfg("--imgSize", "0")
    for sizes in ("300.5", "nan", "300,,375"):
        with pytest.raises(UserError, match="--imgSize takes whole numbers"):
            make_cfg("--imgSize", sizes)
    with pytest.raises(UserError, match="wall_padding is of --imgSize"):
        make_cfg("--published", "wall_padding")


def test_the_loader_of_a_config(tmp_path: Path, make_cfg: Make, write_file: Callable[[Path, np.ndarray], None]) -> None:
    """Colors are changed before the image is normalized; the sizes that lists tell are checked on reading."""
    for i in range(len(SIZES)):
        tree, whole = tmp_path / "ADEChallengeData2016", source(i)
        write_file(tree / f"images/training/{i}.png", whole.image)
        assert whole.label is not None
        write_file(tree / f"annotations/training/{i}.png", np.where(whole.label == 255, 0, whole.label + 1))
    words = ["--dataset", "ade20k", "--data_root", tmp_path, "--do_eval", "false", "--bs_trn", "2", *SMALL]
    assert isinstance(transforms.build_train(make_cfg(*words), SPEC).steps[1], ShortSide)
    loader = datasets.build_train(make_cfg(*words), DistributedContext())
    seen = list(loader)
    assert len(seen) == 3 and sorted(name for batch in seen for name in batch["name"]) == [str(i) for i in range(6)]
    for batch in seen:
        height, width = batch["image"].shape[-2:]
        assert batch["image"].dtype == torch.float32 and height % 8 == width % 8 == 0
        assert batch["label"].shape == (2, height // 8, width // 8)
        assert len({h > w for h, w in batch["size"]}) == 1
    assert loader.dataset[CropRequest(0, None, 1, 48)].image.shape[:2] == (48, 72)
