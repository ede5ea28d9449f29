"""How a time is written; what contradicts itself among the options of a training's end and of trackers."""

from __future__ import annotations

import pytest

import config
from options import kinds
from utils.errors import UserError

BASE = ["--arch", "basic.HRNet", "--dataset", "cityscapes"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1800), ("1h30m", 5400), ("8h", 28800), ("2d", 172800), ("1.5h", 5400), ("90s", 90), ("90", 90),
        ("2D 12H", 216000), ("45:00", 2700), ("8:00:00", 28800), ("1-12", 129600), ("1-12:30", 131400),
        ("1-00:00:05", 86405), (28800, 28800), (0.5, 0.5), ("0.0", 0), ("1/2", 0.5),
    ],
)  # fmt: skip
def test_times(text: object, seconds: float) -> None:
    assert kinds.seconds.read(text) == seconds
    assert kinds.seconds.read(str(kinds.seconds.write(float(seconds)))) == seconds  # a record of it


@pytest.mark.parametrize("text", ["", "h", "8x", "1h2", "1:2:3:4", "1-", "1-2-3", "soon", "1..5h", "8:"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UserError, match="--time_limit takes a time like 30m, 1h30m, 8h, 2d, 1-12:00:00, or seconds"):
        config.load([*BASE, "--time_limit", text])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("--time_limit -5", "--time_limit must not be negative"),
        ("--patience 3 --do_eval false", "--patience counts validations, of which --do_eval false leaves none"),
        ("--time_limit 8h --lr_schedule scl-poly --jointwtborder --rlx_off_epoch 5", "--lr_schedule scl-poly starts"),
        ("--track wandbb", "--track 'wandbb' is unknown; did you mean 'wandb'"),
        ("--track=", "--track is empty"),
        ("--track none,mlflow", "--track none leaves no room for others"),
    ],
)
def test_what_contradicts_itself(given: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        config.load([*BASE, *given.split()])


def test_trackers_are_a_list() -> None:
    assert config.load([*BASE]).TRAIN.TRACK == ("tensorboard",)
    assert config.load([*BASE, "--track", "wandb, mlflow"]).TRAIN.TRACK == ("wandb", "mlflow")
