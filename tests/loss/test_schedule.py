"""Schedules against published tables and by hand."""

import json
from pathlib import Path

import pytest

import config
from loss import schedule
from utils.errors import UserError

TABLES = json.loads((Path(__file__).parents[1] / "golden/nvidia/lr_schedules.json").read_text())

SCL_POLY = ["--lr_schedule", "scl-poly", "--rlx_off_epoch", "6", "--rescale", "0.5", "--repoly", "2"]


def factor(*args):
    return schedule.build(config.load(["--arch", "basic.HRNet", "--dataset", "cityscapes", *args]))


@pytest.mark.parametrize("name", [name for name, case in TABLES.items() if "lr" in case])
def test_published(name):
    case = TABLES[name]
    options = config.load(["--arch", "basic.HRNet", "--dataset", "cityscapes", *case["flags"]])
    made = schedule.build(options)
    assert options.TRAIN.MAX_EPOCH == len(case["lr"])
    assert [options.OPTIM.LR * made(epoch) for epoch in range(len(case["lr"]))] == pytest.approx(case["lr"], rel=1e-9)
    assert options.OPTIM.NAME == case["optimizer"]
    assert (options.OPTIM.MOMENTUM, options.OPTIM.WEIGHT_DECAY) == (case["momentum"], case["weight_decay"])


@pytest.mark.parametrize("name", [name for name, case in TABLES.items() if "raises" in case])
def test_published_error(name):
    with pytest.raises(UserError, match="--rlx_off_epoch"):
        factor(*TABLES[name]["flags"])


def test_every_published_table_is_checked():
    assert len(TABLES) == 9


@pytest.mark.parametrize(
    ("args", "epochs", "expected"),
    [
        (["--lr_schedule", "cosine"], [0, 2.5, 5, 7.5, 10], [1, 0.8535533906, 0.5, 0.1464466094, 0]),
        (["--poly_exp", "2"], [0, 2.5, 5, 10], [1, 0.5625, 0.25, 0]),
        # Past the end, as the last step of a fractional epoch may round to: 0, never negative, never complex.
        (["--poly_exp", "0.9"], [10.01, 12], [0, 0]),
        (["--lr_schedule", "cosine"], [10.01, 20], [0, 0]),
        (["--lr_schedule", "poly2", "--poly_step", "5"], [4, 5, 6], [0.6, 0.25, 0.16]),
        (SCL_POLY, [5, 6, 8], [0.5, 0.5, 0.125]),
        (["--warmup", "4", "--poly_exp", "0"], [0, 1, 2, 4, 9], [0.01, 0.2575, 0.505, 1, 1]),
        (["--warmup", "0.5"], [0, 0.25, 0.5, 5], [0.01, 0.505 * 0.975, 0.95, 0.5]),
    ],
)
def test_by_hand(args, epochs, expected):
    made = factor("--max_epoch", "10", *args)
    assert [made(epoch) for epoch in epochs] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["poly", "poly2", "cosine"])
def test_remembers_nothing(name):
    first, second = factor("--lr_schedule", name), factor("--lr_schedule", name)
    late = first(100)
    first(3)
    assert first(100) == late == second(100)


def test_switch_past_the_end():
    with pytest.raises(UserError, match="below --max_epoch 10"):
        factor("--lr_schedule", "scl-poly", "--rlx_off_epoch", "10", "--max_epoch", "10")


SDCNET = json.loads((Path(__file__).parents[1] / "golden/sdcnet/lr_schedule.json").read_text())


@pytest.mark.parametrize("name", ["poly", "scl-poly"])
@pytest.mark.parametrize("given", [True, False])
def test_earlier_published(name, given):
    """With the flags of the training scripts, and with those alone that are no defaults."""
    case = SDCNET[name]
    words = ["--lr_schedule", name, "--max_epoch", str(case["max_epoch"]), "--lr", "0.001"]
    for key in ("poly_exp", "repoly", "rescale") if given else ():
        words += [f"--{key}", str(case[key])] if key in case else []
    if name == "scl-poly":
        words += ["--jointwtborder", "--rlx_off_epoch", str(case["rlx_off_epoch"])]
    lr = schedule.rate_function(
        config.load(["--arch", "network.deepv3.DeepWV3Plus", "--dataset", "cityscapes", *words])
    )
    for epoch, expected in case["table"]:
        assert lr(epoch, 0, 10) == lr(epoch, 9, 10) == pytest.approx(0.001 * expected, rel=1e-12, abs=0)


def test_every_earlier_table_is_checked():
    assert {name for name, case in SDCNET.items() if "table" in case} == {"poly", "scl-poly"}


PADDLE = json.loads((Path(__file__).parents[1] / "golden/paddle/lr_schedule.json").read_text())


@pytest.mark.parametrize("name", ["cityscapes_sota", "other"])
@pytest.mark.parametrize("interval", [7, 2000])
def test_published_iterations(name, interval):
    """Every iteration has its rate, however the run is cut into rounds."""
    case = PADDLE[name]
    words = ["--max_iters", str(case["decay_steps"]), "--save_interval", str(interval)]
    words += ["--lr", str(case["learning_rate"]), "--poly_exp", str(case["power"]), "--end_lr", str(case["end_lr"])]
    lr = schedule.rate_function(config.load(["--arch", "basic.HRNet", "--dataset", "cityscapes", *words]))
    found = {number: lr(*divmod(int(number) - 1, interval), interval) for number in case["lr"]}
    assert found == pytest.approx(case["lr"], rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("words", "moments", "expected"),
    [
        (["--max_epoch", "4"], [(0, 3, 4), (1, 0, 4)], [1, 0.75]),
        (["--max_epoch", "4", "--lr_per_iter"], [(0, 2, 4), (1, 0, 4)], [0.875, 0.75]),
        (["--max_epoch", "4", "--warmup", "1", "--poly_exp", "0"], [(0, 2, 4), (1, 2, 4)], [0.505, 1]),
        # Rounds of 10: warm-up over 10 iterations, 25 in all.
        (["--max_iters", "25", "--save_interval", "10", "--warmup", "1", "--poly_exp", "0"], [(0, 5, 10)], [0.505]),
        (["--max_iters", "25", "--save_interval", "10"], [(1, 0, 10), (2, 4, 5)], [0.6, 0.04]),
        (["--max_iters", "25", "--save_interval", "10", "--lr_schedule", "poly2", "--poly_step", "1"],
         [(0, 5, 10), (1, 5, 10)], [0.8, 0.16]),
        (["--max_epoch", "4", "--end_lr", "0.25"], [(0, 0, 4), (2, 0, 4), (4, 0, 4)], [1, 0.625, 0.25]),
    ],
)  # fmt: skip
def test_rate(words, moments, expected):
    lr = schedule.rate_function(config.load(["--arch", "basic.HRNet", "--dataset", "cityscapes", "--lr", "1", *words]))
    assert [lr(*moment) for moment in moments] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("words", "moments", "expected"),
    [
        (["--max_epoch", "4"], [(0, 0, 4, 0.0), (0, 1, 4, 0.25), (1, 0, 4, 0.999)], [1, 0.75, 0.001]),
        (["--max_epoch", "100", "--warmup", "1", "--poly_exp", "0"], [(0, 2, 4, 0.9), (1, 2, 4, 0.9)], [0.505, 1]),
        (["--max_iters", "25", "--save_interval", "10", "--end_lr", "0.5"],
         [(2, 4, 5, 1.0), (0, 0, 10, 0.5)], [0.5, 0.75]),
        (["--max_epoch", "8", "--lr_schedule", "poly2", "--poly_step", "4"],
         [(0, 0, 4, 0.25), (0, 0, 4, 0.5)], [0.75, 0.25]),
    ],
)  # fmt: skip
def test_a_schedule_that_goes_by_what_is_done(words, moments, expected):
    """Epochs say nothing but for the warm-up."""
    cfg = config.load(["--arch", "basic.HRNet", "--dataset", "cityscapes", "--lr", "1", *words])
    done = iter([moment[3] for moment in moments])
    lr = schedule.rate_function(cfg, lambda: next(done))
    assert [lr(*moment[:3]) for moment in moments] == pytest.approx(expected)
