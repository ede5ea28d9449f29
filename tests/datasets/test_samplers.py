"""What an epoch is made of, and that it does not depend on the number of processes."""

import json
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from shared import GOLDEN

from datasets.samplers import (
    ClassUniformSampler,
    ExactSampler,
    IterationBasedSampler,
    balanced_share,
    draw_epoch,
    keep_items,
    merge,
)
from utils.contracts import CropRequest
from utils.errors import UserError

CASES = json.loads((GOLDEN / "nvidia/epoch_composition.json").read_text())


def centroids_of(classes: int, without: list[int] | None = None) -> dict[int, np.ndarray]:
    """5 + class id centroids a class, as recorded; (x, y) = (class, number) so that they can be told apart."""
    return {c: np.array([[1000 + n, c, n] for n in range(5 + c)]) for c in range(classes) if c not in (without or [])}


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['images']}-{c['class_uniform_pct']}")
def test_golden_composition(case: dict[str, Any]) -> None:
    share, classes = case["class_uniform_pct"], case.get("num_classes", 19)
    centroids = centroids_of(classes, case.get("classes_without_centroids"))
    epoch = [crop[:2] for crop in draw_epoch(range(case["images"]), centroids, classes, share, random.Random(0))]
    assert len(epoch) == case["epoch_length"]
    if share == 0:
        assert epoch == [(i, None) for i in range(case["images"])]
        return
    plain = [index for index, center in epoch if center is None]
    uniform = [center[0] for _, center in epoch if center is not None]
    assert len(plain) == case["random_items"] and len(set(plain)) == case["random_items_distinct"]
    assert len(uniform) == case["class_uniform_items"]
    assert all(center is None for _, center in epoch[: len(plain)]) and uniform == sorted(uniform)
    assert sorted(set(Counter(uniform).values())) == case["per_class"]
    for c, bounds in case["use_count_min_max_of_first_two_classes"].items():
        uses = Counter(center for _, center in epoch if center is not None and center[0] == int(c))
        assert [min(uses.values()), max(uses.values())] == bounds


def sampler(batch: int, rank: int = 0, world: int = 1, **kwargs: Any) -> ClassUniformSampler:
    options: dict[str, Any] = {"share": 0.5, "seed": 3, **kwargs}
    return ClassUniformSampler(range(60), centroids_of(5), 5, batch_size=batch, rank=rank, world=world, **options)


@pytest.mark.parametrize("share", [0.5, 0.0])
def test_epoch_is_the_same_on_1_2_and_8_processes(share: float) -> None:
    def steps(world: int) -> list[set[CropRequest]]:
        ranks = [sampler(8 // world, rank, world, share=share) for rank in range(world)]
        for one in ranks:
            one.set_epoch(4)
        return [{d for batch in step for d in batch} for step in zip(*ranks, strict=True)]

    alone = steps(1)
    assert len(alone) == 7 and all(len(step) == 8 for step in alone)
    assert steps(2) == alone and steps(8) == alone


def test_epochs_and_seeds_differ_but_repeat() -> None:
    def draws(epoch: int, seed: int = 3) -> list[list[CropRequest]]:
        one = sampler(4, seed=seed)
        one.set_epoch(epoch)
        return list(one)

    assert draws(1) == draws(1)
    assert draws(1) != draws(2) and draws(1) != draws(1, seed=4)
    seeds = [d.seed for batch in draws(1) for d in batch]
    assert len(set(seeds)) == len(seeds)


def test_start_leaves_out_the_first_batches() -> None:
    whole = sampler(4, 1, 2)
    late = sampler(4, 1, 2)
    whole.set_epoch(2)
    late.set_epoch(2, start=3)
    assert list(late) == list(whole)[3:] and len(late) == len(whole)


def test_share_0_is_every_image_once_in_random_order() -> None:
    indices = [d.index for batch in sampler(4, share=0.0) for d in batch]
    assert sorted(indices) == list(range(60)) != indices


def test_late_centroids_replace_the_first() -> None:
    one = sampler(4, late_centroids={c: rows + [0, 100, 0] for c, rows in centroids_of(5).items()}, late_from=2)
    for epoch, moved in ((0, False), (1, False), (2, True), (5, True)):
        one.set_epoch(epoch)
        centers = [d.crop_center for d in one.draws() if d.crop_center]
        assert centers and all((x >= 100) == moved for x, _ in centers)


def test_rounds_are_the_epochs_in_a_row() -> None:
    """Epochs of 10 batches in rounds of 4, cut at 27; a round can be entered in the middle, on any process."""
    rows = [list(batch) for epoch in range(3) for batch in at(sampler(6), epoch)]
    assert len(rows) == 30
    rounds = IterationBasedSampler(sampler(6), 4, 27)
    found = [batch for number in range(7) for batch in at(rounds, number)]
    assert found == rows[:27] and [len(at(rounds, number)) for number in (0, 6, 7)] == [4, 3, 0]
    rounds.set_epoch(2, start=3)
    assert list(rounds) == rows[11:12]
    rounds.set_epoch(6, start=3)
    assert list(rounds) == [] and len(rounds) == 3


def test_rounds_where_an_epoch_becomes_shorter() -> None:
    late = {c: rows for c, rows in centroids_of(5).items() if c < 2}
    made = sampler(6, late_centroids=late, late_from=1)
    rows = [batch for epoch in range(3) for batch in at(made, epoch)]
    assert len(rows) < 3 * len(at(made, 0))
    rounds = IterationBasedSampler(made, 7, len(rows))
    assert [batch for number in range(-(-len(rows) // 7)) for batch in at(rounds, number)] == rows


def at(made: ClassUniformSampler | IterationBasedSampler, epoch: int) -> list[list[CropRequest]]:
    """Batches of an epoch."""
    made.set_epoch(epoch)
    return list(made)


PADDLE = json.loads((GOLDEN / "paddle/sampling.json").read_text())


@pytest.mark.parametrize("multiple", ["1", "2", "0.5"])
def test_golden_mixture(multiple: str) -> None:
    """Every fine image once, and as many coarse ones as recorded, none twice, other ones each epoch."""
    case = PADDLE["dataset"][f"coarse_multiple_{multiple}"]
    fine, coarse = range(PADDLE["fine_files"]), range(100, 100 + PADDLE["coarse_files"])
    made = ClassUniformSampler(fine, {}, 19, 0.0, 1, coarse=coarse, multiple=float(multiple))
    mixtures = []
    for epoch, used in enumerate(case["coarse_used_per_epoch"]):
        drawn = [draw.index for (draw,) in at(made, epoch)]
        mixtures.append(sorted(set(drawn) - set(fine)))
        assert len(drawn) == len(set(drawn)) == len(made) == case["len"]
        assert set(fine) < set(drawn) and len(mixtures[-1]) == len(used)
        assert drawn != sorted(drawn)
    assert len({tuple(mixture) for mixture in mixtures}) == 3


def test_mixture_takes_all_coarse_images_before_one_again() -> None:
    made = ClassUniformSampler(range(5), {}, 19, 0.0, 1, coarse=range(100, 103), multiple=1.0)
    counts = Counter(draw.index for (draw,) in at(made, 0))
    assert sorted(counts[index] for index in range(100, 103)) == [1, 2, 2]


def test_mixture_is_the_same_on_two_processes() -> None:
    parts = [
        ClassUniformSampler(range(8), {}, 19, 0.0, 1, rank, 2, coarse=range(100, 120), multiple=1.0) for rank in (0, 1)
    ]
    whole = ClassUniformSampler(range(8), {}, 19, 0.0, 2, coarse=range(100, 120), multiple=1.0)
    assert [a + b for a, b in zip(at(parts[0], 3), at(parts[1], 3), strict=True)] == at(whole, 3)


def test_too_few_images_for_a_batch() -> None:
    with pytest.raises(UserError, match="60 training images do not fill one batch of 100"):
        sampler(50, world=2)


def test_crops_that_absent_classes_lack_are_said() -> None:
    rows = {0: np.array([[0, 5, 5]])}
    with pytest.raises(UserError, match=r"4 training images, of which --class_uniform_pct 0.5 leaves 3 \(no pixel of"):
        ClassUniformSampler(range(4), rows, 2, 0.5, 4)


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_exact_sampler_reads_everything_once(world: int) -> None:
    parts = [list(ExactSampler(10, rank, world)) for rank in range(world)]
    assert sorted(sum(parts, [])) == list(range(10))
    assert sum(len(ExactSampler(10, rank, world)) for rank in range(world)) == 10


def test_balanced_share_keeps_rare_classes() -> None:
    rng = np.random.default_rng(0)
    presence = rng.random((400, 6)) < np.array([1.0, 0.8, 0.5, 0.2, 0.05, 0.02])
    kept = balanced_share(presence, 0.3, seed=0)
    assert len(kept) == 120 and kept == sorted(set(kept))
    wanted, got = 0.3 * presence.sum(0), presence[kept].sum(0)
    assert np.all(np.abs(got - wanted) <= np.maximum(1, 0.02 * wanted)), (wanted, got)
    assert kept == balanced_share(presence, 0.3, seed=0) != balanced_share(presence, 0.3, seed=1)


def test_merge_and_keep() -> None:
    a, b = {0: np.array([[0, 1, 1]]), 1: np.array([[1, 2, 2]])}, {1: np.array([[7, 3, 3]]), 2: np.array([[8, 4, 4]])}
    merged = merge(a, b, (1, 2, 5))
    assert {c: rows.tolist() for c, rows in merged.items()} == {
        0: [[0, 1, 1]],
        1: [[1, 2, 2], [7, 3, 3]],
        2: [[8, 4, 4]],
    }
    assert merge(a, b, (0,))[1].tolist() == [[1, 2, 2]]
    assert {c: len(rows) for c, rows in keep_items(merged, [7]).items()} == {0: 0, 1: 1, 2: 0}
