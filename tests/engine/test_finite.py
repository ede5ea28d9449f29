"""What is not finite is left out on the device, and no step but a logged one waits for it."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import forked
import pytest
import rank_waits
import torch
from runs import finish
from torch import Tensor, nn
from waits import Waits

import config
import datasets
import loss
import train
from engine.budget import Budget
from engine.ema import ModelEma
from engine.log import RunLog
from engine.meter import StepMeter
from engine.session import Run
from engine.state import BatchLoss, FiniteGuard, TrainState
from engine.stop import StopRequest
from engine.training import Trainer
from loss.criterion import Criterion, Term
from loss.cross_entropy import CrossEntropy
from utils import amp
from utils.distributed import DistributedContext
from utils.errors import UserError
from utils.normalization import Normalization

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "adamw": lambda p: torch.optim.AdamW(p, 0.1, fused=True),
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
    "fused sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, fused=True),
}


class Tiny(nn.Module):
    """A convolution and a batch norm, with an output for 3 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))

    def forward(self, image: Tensor, size: object = None) -> dict[str, Tensor]:
        return {"pred": self.part(image)}

    def start_epoch(self, epoch: int) -> None:
        pass


def batch(value: float = 0.0) -> Any:
    image = torch.rand(2, 3, 4, 4)
    image[0, 0, 0, 0] += value
    return {"image": image, "label": torch.zeros(2, 4, 4, dtype=torch.int64), "name": [f"at {value}"] * 2, "size": []}


@pytest.fixture
def run(tmp_path: Any) -> Run:
    words = ["--dataset", "toy", "--arch", "basic.HRNet", "--crop_size", "64", "--nan_patience", "3"]
    cfg = config.load([*words, "--log_every", "100"])
    ranks = DistributedContext()
    return Run(cfg, datasets.spec(cfg), ranks, RunLog(tmp_path, main=False), amp.build(False, "O1", ranks.device), "")


def scaled(run: Run) -> Run:
    """The same run with a scaler of gradients, as fp16 on a GPU has it."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2)
    return replace(run, precision=replace(run.precision, scaler=scaler))


class Batches:
    """A loader of so many batches."""

    left_out = None

    def __init__(self, *values: float) -> None:
        self.values = values

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        pass

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Any:
        return iter([batch(value) for value in self.values])


def trainer_of(run: Run, make: Callable[[Any], torch.optim.Optimizer], loader: Any = None) -> Trainer:
    torch.manual_seed(0)
    net: Any = Tiny()
    state = TrainState(net, make(net.parameters()), run.precision.scaler, ModelEma(net, 0.9))
    criterion = Criterion([Term("main", ("pred",), 1.0, CrossEntropy(3, weight=(1.0, 2.0, 3.0)))], 3)
    normalize = Normalization((0.5,) * 3, (0.2,) * 3, run.ranks.device)
    budget = Budget(state, run.ranks, epochs=9, batches=99, per_epoch=11)
    return Trainer(
        state, net, net, criterion, loss.schedule.rate_function(run.cfg), loader, normalize, FiniteGuard(net), budget
    )


def step(run: Run, trainer: Trainer, value: float) -> None:
    state, one = trainer.state, batch(value)
    state.iteration += 1
    trainer.open_step.add(run, partial(train.backward, run, trainer, 0), one, 1, last=True)
    train.optimizer_step(run, trainer, 0.1)
    state.settle()


def everything(state: TrainState) -> list[Tensor]:
    slots = [x for slots in state.optimizer.state.values() for x in slots.values()]
    assert state.ema is not None
    parts = [*state.net.state_dict().values(), *state.ema.net.state_dict().values(), state.ema.steps, state.step]
    return copy.deepcopy([*parts, *slots])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_step_that_is_not_finite_changes_nothing(run: Run, name: str, bad: float) -> None:
    """Neither weights, slots and running statistics nor the moving average and the counts of steps."""
    trainer = trainer_of(run, OPTIMIZERS[name])
    step(run, trainer, 0.0)
    before = everything(trainer.state)
    step(run, trainer, bad)
    assert all(torch.equal(x, y) for x, y in zip(before, everything(trainer.state), strict=True))
    step(run, trainer, 0.0)
    assert int(trainer.state.step) == 2 and not torch.equal(before[0], everything(trainer.state)[0])
    train.record_losses(run, trainer.state)
    assert trainer.state.loss_count == 2 and math.isfinite(trainer.state.loss_sum) and trainer.state.bad_steps == 0


def test_the_first_step_may_be_the_bad_one(run: Run) -> None:
    for make in OPTIMIZERS.values():
        trainer = trainer_of(run, make)
        step(run, trainer, math.nan)
        assert int(trainer.state.step) == 0 and not trainer.state.optimizer.state
        step(run, trainer, 0.0)
        assert all(x.isfinite().all() for x in everything(trainer.state))


@pytest.mark.parametrize("with_scaler", [False, True])
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "sgd"])
def test_the_host_asks_for_nothing_in_a_step(run: Run, name: str, with_scaler: bool) -> None:
    """After the first one, which makes the optimizer's slots and checks the labels; a read of losses asks once."""
    run = scaled(run) if with_scaler else run
    trainer = trainer_of(run, OPTIMIZERS[name])
    step(run, trainer, 0.0)
    with Waits() as waits:
        for value in (0.0, math.nan, 0.0):
            step(run, trainer, value)
        assert waits.seen == []
        assert float(trainer.state.unread[-1].value) and waits.seen == ["_local_scalar_dense"], "the counter counts"


def test_an_epoch_waits_as_often_however_long_it_is(run: Run) -> None:
    """The whole loop, with its meter and its log: at the last step, where a line is logged, and in no other one."""
    counts = []
    for values in ([0.0, 0.0], [0.0, math.nan, *[0.0] * 7]):
        trainer = trainer_of(run, OPTIMIZERS["fused sgd"], Batches(*values))
        meter, stop = StepMeter(2, lambda: 1.0, run.ranks.device), StopRequest()
        step(run, trainer, 0.0)
        trainer.state.iteration = 0
        with Waits() as waits:
            assert train.train_epoch(run, trainer, meter, stop)
        assert trainer.state.loss_count == 1 + len(values) - sum(map(math.isnan, values))
        counts.append(len(waits.seen))
    assert counts[0] == counts[1] <= 4


@pytest.fixture(scope="module")
def two_ranks(once: Callable[..., Path]) -> dict[str, Any]:
    """What the host of one of two ranks does in epochs of two lengths."""
    folder = once("waits", lambda folder: finish(*forked.ranks(rank_waits.main, [str(folder)])))
    return json.loads((folder / "waits.json").read_text())


def test_a_rank_of_two_waits_for_the_device_as_seldom(two_ranks: dict[str, Any]) -> None:
    """It reads nothing but where a line is logged, and meets the other host once a batch and once a step."""
    short, long = two_ranks["short"], two_ranks["long"]
    assert short["waits"] == long["waits"] and short["waits"].count("_local_scalar_dense") <= 4
    assert (short["meetings"].count(1), short["meetings"].count(2)) == (3, 1), "batches and their end; steps"
    assert (long["meetings"].count(1), long["meetings"].count(2)) == (9, 4)


def test_gradients_travel_while_others_are_computed(two_ranks: dict[str, Any]) -> None:
    """Those of the last layer set out before the batch norm's sum in the pass that closes a step, and in no other."""
    first, closing = " ".join(two_ranks["long"]["sent"]).split("pass")[1:]
    assert "bucket" not in first
    _, backward = closing.split("two.weight")
    assert backward.split().index("bucket") < backward.split().index("sum") < backward.split().index("one.weight")


def test_a_scale_learns_from_gradients_not_from_a_loss_that_is_none(run: Run) -> None:
    """It grows after two steps; a loss that is NaN neither lowers it nor counts, gradients that are infinite do."""
    run = scaled(run)
    trainer, scaler = trainer_of(run, OPTIMIZERS["adamw"]), run.precision.scaler
    scales = []
    for value in (0.0, math.nan, 0.0, math.nan):
        step(run, trainer, value)
        scales.append(scaler.get_scale() / 2**10)
    assert scales == [1, 1, 2, 2] and int(trainer.state.step) == 2
    before = everything(trainer.state)
    run = replace(run, precision=replace(run.precision, scaler=torch.amp.GradScaler("cpu", init_scale=3e38)))
    step(run, trainer, 1e3)  # its gradient overflows
    assert run.precision.scaler.get_scale() == pytest.approx(1.5e38) and int(trainer.state.step) == 2
    parts = zip(before, everything(trainer.state), strict=True)
    assert [i for i, (x, y) in enumerate(parts) if not torch.equal(x, y)] == [4, 5, 6], "running statistics alone moved"


def test_too_many_in_a_row_end_the_run_and_name_the_files(run: Run) -> None:
    trainer = trainer_of(run, OPTIMIZERS["adamw"])
    for value in (math.nan, math.nan, 0.0, math.nan, math.inf, math.nan):
        step(run, trainer, value)
    with pytest.raises(
        UserError, match="3 losses in a row were not finite, the last: loss nan in epoch 0, iteration 6: at"
    ):
        train.record_losses(run, trainer.state)


def test_batches_without_their_step_are_read_later_or_done_again(run: Run) -> None:
    state = trainer_of(run, OPTIMIZERS["adamw"]).state
    for iteration in (1, 2, 3):
        state.iteration = iteration
        state.unread.append(BatchLoss(iteration, torch.tensor(float(iteration)), []))
        if iteration == 2:
            state.settle()
    assert [value for _, value in state.read_losses()] == [1.0, 2.0] and len(state.unread) == 1
    state.back()
    assert (state.iteration, state.unread, state.read_losses()) == (2, [], [])


def hostile(trainer: Trainer, bad: float) -> None:
    """From now on the first weight's gradient has one number `bad`, though the loss is finite."""

    def spoiled(gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        gradient.view(-1)[0] = bad
        return gradient

    next(trainer.state.net.parameters()).register_hook(spoiled)


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_gradients_that_are_not_finite_are_named_and_end_the_run(
    run: Run, bad: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a bad loss: nothing would be trained any more, and nobody would know."""
    run = replace(run, log=RunLog(run.folder))
    trainer = trainer_of(run, OPTIMIZERS["adamw"])
    step(run, trainer, 0.0)
    hostile(trainer, bad)
    before = everything(trainer.state)
    for _ in range(2):
        step(run, trainer, 0.0)
    train.record_losses(run, trainer.state)
    said = capsys.readouterr().out
    assert "not finite in epoch 0, iteration 2: at 0.0, at 0.0; the step is left out" in said
    assert f"replay.py {run.folder} --step 3 says why" in said
    moved = [i for i, (x, y) in enumerate(zip(before, everything(trainer.state), strict=True)) if not torch.equal(x, y)]
    assert moved == [4, 5, 6], "running statistics alone"
    step(run, trainer, 0.0)
    with pytest.raises(UserError, match="3 steps in a row were left out, the last: gradients of the loss 1"):
        train.record_losses(run, trainer.state)


def test_a_step_counts_once_whichever_of_its_batches_is_bad(run: Run) -> None:
    """Three steps of two batches, the first of which is bad: none of them is taken."""
    trainer = trainer_of(run, OPTIMIZERS["adamw"])
    state = trainer.state
    for number, value in enumerate([math.nan, 0.0] * 3):
        state.iteration += 1
        last = number % 2 == 1
        trainer.open_step.add(run, partial(train.backward, run, trainer, 0), batch(value), 2, last)
        if last:
            train.optimizer_step(run, trainer, 0.1)
            state.settle()
    with pytest.raises(
        UserError, match="3 losses in a row were not finite, the last: loss nan in epoch 0, iteration 5"
    ):
        train.record_losses(run, state)
    assert int(state.step) == 0 and state.loss_count == 3


def test_a_scale_that_is_too_large_is_no_fault_and_falls_no_further_than_one(run: Run) -> None:
    run = scaled(run)
    trainer, scaler = trainer_of(run, OPTIMIZERS["adamw"]), run.precision.scaler
    hostile(trainer, math.inf)
    for _ in range(10):
        step(run, trainer, 0.0)
    train.record_losses(run, trainer.state)
    assert scaler.get_scale() == 1 and trainer.state.bad_steps == 0
    for _ in range(3):
        step(run, trainer, 0.0)
    with pytest.raises(UserError, match="3 steps in a row were left out"):
        train.record_losses(run, trainer.state)
    assert scaler.get_scale() == 1


def test_the_advice_for_half_precision_is_the_wider_one(run: Run) -> None:
    run = replace(run, precision=replace(run.precision, dtype=torch.float16))
    state = trainer_of(run, OPTIMIZERS["adamw"]).state
    state.iteration = 1
    state.unread = [BatchLoss(1, torch.tensor(math.inf), ["a"], torch.tensor(False))] * 3
    state.settle()
    with pytest.raises(UserError, match=r"a; --amp_opt_level O2 \(bfloat16\), lower --lr"):
        train.record_losses(run, state)


def test_weights_that_are_none_are_not_saved(run: Run) -> None:
    """A checkpoint of them would take the place of the last good one."""
    state = trainer_of(run, OPTIMIZERS["adamw"]).state
    assert state.pack(run.ranks, {})["step"] == 0
    next(state.net.parameters()).data[0, 0, 0, 0] = math.inf
    with pytest.raises(UserError, match="part.0.weight the first of 1: no checkpoint is written of them"):
        state.pack(run.ranks, {})


def test_running_statistics_do_not_stay_infinite(run: Run) -> None:
    """A variance that overflows comes with a loss that is finite: the layer gives zeros."""
    trainer = trainer_of(run, OPTIMIZERS["adamw"])
    step(run, trainer, 0.0)
    guard, norm = trainer.guard, trainer.state.net.get_submodule("part.1")
    before = norm.running_mean.clone()
    guard.keep()
    norm.running_var[1], norm.running_mean[1] = math.inf, 3.0
    guard.check(torch.tensor(1.0))
    assert norm.running_var.isfinite().all() and norm.running_mean[1] == 3 and before[1] != 3


def test_an_epoch_without_a_finite_loss_has_none(run: Run) -> None:
    state = trainer_of(run, OPTIMIZERS["adamw"]).state
    assert math.isnan(state.finish_epoch()) and (state.epoch, state.iteration) == (0, 0)
    state.loss_sum, state.loss_count = 3.0, 2
    assert state.finish_epoch() == 1.5
