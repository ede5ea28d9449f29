"""What is planned follows from the facts, and nothing that somebody chose is planned."""

from __future__ import annotations

from typing import Any

import pytest

import config
from engine.plan import rules
from engine.plan.facts import DataFacts, MachineFacts
from options.table import OPTIONS, get

DATA = DataFacts(367, (360, 480), ("road", "pole"), (0.99, 0.01), 0.4, 200)
LAPTOP = MachineFacts("cpu", "2 CPU cores", 2, 8 << 30)
GPU = MachineFacts("cuda", "some GPU", 16, 40 << 30, half="O2")


def planned(data: DataFacts = DATA, machine: MachineFacts = LAPTOP, given: tuple[str, ...] = ()) -> dict[str, Any]:
    return {choice.key: choice.value for choice in rules.choices(data, machine, given)}


def test_a_laptop_gets_the_pretrained_trunk_and_crops_of_its_size() -> None:
    found = planned()
    assert found["MODEL.ARCH"] == "timm:tf_efficientnet_lite0+ocr+hierarchical"
    assert found["DATASET.CROP_SIZE"] == (256, 256) and found["DATASET.NUM_WORKERS"] == 0
    assert found["MODEL.N_SCALES"] == (0.5, 1.0, 2.0) and found["DATASET.CLASS_UNIFORM_PCT"] == 0.5
    assert "TRAIN.FP16" not in found


def test_a_missing_package_is_named_where_random_weights_are_taken() -> None:
    machine = LAPTOP._replace(missing=("timm",))
    first = rules.choices(DATA, machine, ())[0]
    assert first.value == "ocrnet.HRNet_Mscale" and "pip install timm" in first.reason


def test_a_gpu_gets_large_crops_half_precision_and_hrnet_where_its_weights_are() -> None:
    found = planned(DATA._replace(size=(1024, 2048)), GPU._replace(hrnet="/w/hrnet.pth"))
    assert found["MODEL.ARCH"] == "ocrnet.HRNet_Mscale" and "MODEL.TRUNK_WEIGHTS" not in found
    assert found["DATASET.CROP_SIZE"] == (768, 768) and found["DATASET.NUM_WORKERS"] == 8
    assert found["TRAIN.FP16"] and found["TRAIN.AMP_OPT_LEVEL"] == "O2"


@pytest.mark.parametrize(("side", "crop"), [(50, 64), (97, 128), (256, 256), (3000, 256)])
def test_crops_are_as_large_as_images_in_steps_of_32(side: int, crop: int) -> None:
    assert planned(DATA._replace(size=(side, 4000)))["DATASET.CROP_SIZE"] == (crop, crop)


def test_large_images_without_small_objects_are_not_seen_at_twice_their_size() -> None:
    large = DATA._replace(size=(2000, 3000))
    assert planned(large._replace(small=0.01))["MODEL.N_SCALES"] == (0.5, 1.0)
    assert planned(large)["MODEL.N_SCALES"] == (0.5, 1.0, 2.0)


def test_crops_are_class_uniform_where_a_class_is_rare() -> None:
    assert planned(DATA._replace(shares=(0.5, 0.5)))["DATASET.CLASS_UNIFORM_PCT"] == 0
    reason = next(c.reason for c in rules.choices(DATA, LAPTOP, ()) if c.key == "DATASET.CLASS_UNIFORM_PCT")
    assert "pole has 1.00 %" in reason


def test_what_is_given_is_not_planned() -> None:
    everything = planned()
    for key in everything:
        assert key not in planned(given=(key,))
    own = planned(given=("MODEL.ARCH",))
    assert not any(key.startswith("MODEL.") for key in own) and own["OPTIM.LR"] < everything["OPTIM.LR"]
    assert "OPTIM.LR" not in planned(given=("OPTIM.NAME",))
    assert "DATASET.CROP_SIZE" not in planned(given=("DATASET.IMG_SIZES",))


def test_every_choice_is_an_option_in_its_bounds_that_the_planned_network_reads() -> None:
    for machine in (LAPTOP, LAPTOP._replace(missing=("timm",)), GPU, GPU._replace(hrnet="/w.pth")):
        found = rules.choices(DATA, machine, ())
        words = [word for c in found for word in (c.key, _text(OPTIONS[c.key].written(c.value)))]
        cfg = config.load(["--dataset", "camvid", *words], dry=True)
        assert all(get(cfg, choice.key) == choice.value for choice in found)
        assert not cfg.WITHOUT_EFFECT


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@pytest.mark.parametrize(("images", "count"), [(367, 33), (10, 200), (100_000, 4)])
def test_epochs_follow_from_the_crops_that_a_training_sees(images: int, count: int) -> None:
    assert rules.epochs(DATA._replace(images=images), LAPTOP, 0.2, 0).value == count


def test_a_time_limit_may_allow_more_and_ends_the_others() -> None:
    assert rules.epochs(DATA._replace(images=1000), LAPTOP, 0.5, 3600 * 4).value == 29  # 4 h / 500 s
    shorter = rules.epochs(DATA, LAPTOP, 0.5, 720)
    assert shorter.value == 33 and "ends it after about 3" in shorter.reason
    assert "ends it after about 1" in rules.epochs(DATA, LAPTOP, 0.5, 10).reason


@pytest.mark.parametrize(
    ("images", "limit", "count", "reason"),
    [
        (367, 0, 33, "about 12000 crops of 367 images"),
        (12, 0, 200, "the most that are planned; about 12000 crops of 12 images would be 1000"),
        (12, 8 * 3600, 200, "the most that are planned; what the time limit may allow would be 48000"),
        (30, 8 * 3600, 200, "the most that are planned; what the time limit may allow would be 19200"),
        (12, 59.7, 200, "would be 1000; the time limit ends it after about 99"),
        (367, 8 * 3600, 200, "the most that are planned; what the time limit may allow would be 1570"),
        (1000, 5000, 100, "what the time limit may allow"),
        (100_000, 0, 4, "the fewest that are planned; about 12000 crops of 100000 images would be 1"),
        (100_000, 8 * 3600, 6, "what the time limit may allow"),
    ],
)
def test_the_reason_of_the_epochs_is_what_decides(images: int, limit: float, count: int, reason: str) -> None:
    found = rules.epochs(DATA._replace(images=images), LAPTOP, 0.05, limit)
    assert found.value == count and found.reason.endswith(reason) and ("limit" in found.reason) == bool(limit)


def test_a_bound_that_decides_is_told() -> None:
    small = {c.key: c.reason for c in rules.choices(DATA._replace(size=(20, 40)), LAPTOP, ())}["DATASET.CROP_SIZE"]
    assert small == "the smallest that is planned; images are 40x20"
    assert [rules.ending(count)[0].reason for count in (2, 8)] == ["after each of so few epochs", "about 4 validations"]


def test_a_batch_is_a_process_s_part_of_a_step() -> None:
    assert rules.batch(LAPTOP, 367) == (8, 1)
    assert rules.batch(LAPTOP._replace(world=2), 367) == (4, 1)
    assert rules.batch(LAPTOP, 3) == (3, 1)
    assert rules.batch(LAPTOP._replace(world=16), 367) == (1, 1)


def test_validations_are_about_four_and_a_short_training_warms_up_shortly() -> None:
    found = [{choice.key: choice.value for choice in rules.ending(count)} for count in (0.5, 4, 33, 200)]
    assert [one["TRAIN.VAL_FREQ"] for one in found] == [1, 1, 9, 50]
    assert [one["OPTIM.WARMUP"] for one in found] == [0.1, 0.4, 1, 1]
    assert rules.ending(80, patience=5)[0].value == 4


def test_few_images_are_not_drawn_class_by_class() -> None:
    found = {c.key: c for c in rules.choices(DATA._replace(images=3), LAPTOP, ())}["DATASET.CLASS_UNIFORM_PCT"]
    assert found.value == 0 and found.reason == "3 images are too few to draw crops class by class"
