"""A training step and a validation on tensors without content: what they hold at their peak, and what they compute.

Nothing is allocated and no device is needed. The tensors are torch's fake ones, on the host for any device: a backward
pass elsewhere would ask for one. What kernels take beside their tensors is not seen.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.optim import Optimizer
from torch.utils.flop_counter import flop_registry

import inference
import loss
import network
from engine.session import channels_last
from engine.state import FiniteGuard
from inference.memory import PeakTracker
from utils import amp
from utils.collectives import BUCKET
from utils.distributed import DistributedContext
from utils.errors import UserError, in_short
from utils.normalization import Normalization

_HOST = torch.device("cpu")


class Peak(NamedTuple):
    """Bytes that a process holds at most, of them in `weights`, `gradients`, `slots` of the optimizer, `average`, and
    what a forward pass `kept`; `during` which part of the work it was; floating-point operations of a batch, or image.
    """

    bytes: int
    during: str
    weights: int = 0
    gradients: int = 0
    slots: int = 0
    average: int = 0
    kept: int = 0
    flops: int = 0


class Ledger(PeakTracker):
    """Counts the bytes that are held inside the block, operations, and `during` which `phase` the most were held."""

    def __init__(self) -> None:
        super().__init__()
        self.phase, self.during, self.flops = "", "", 0

    def hold(self, tensors: Iterable[Tensor]) -> int:
        """Count tensors from before the block; gives their bytes."""
        before = self.now
        for tensor in tensors:
            self._see(tensor.untyped_storage())
        return self.now - before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator; take note of its storages and operations."""
        before = self.peak
        out = super().__torch_dispatch__(func, types, args, kwargs)
        if count := flop_registry.get(func._overloadpacket):
            self.flops += count(*args, **(kwargs or {}), out_val=out)
        if self.peak > before:
            self.during = self.phase
        return out


def training(cfg: Any, device: torch.device, world: int = 1) -> Peak:
    """Trace a step of `cfg` on each of `world` processes: its peak, and the operations of a batch.

    The step is one in the middle of a run: with the optimizer's slots. UserError for what cannot be built.
    """
    precision = _precision(cfg, device)
    with _traceable(cfg), FakeTensorMode(), torch.random.fork_rng([]):
        net = _built(cfg, precision)
        step = _Step(cfg, net, precision, world)
        with step.ledger:
            weights = step.ledger.hold([*net.parameters(), *net.buffers()])
            average = step.follow() if cfg.TRAIN.EMA else 0
            gradients, slots = step.first()
            for number in range(min(2, cfg.TRAIN.ACCUM)):  # the second holds the gradients of the first
                step.batch(number)
            step.close()
    ledger = step.ledger
    return Peak(ledger.peak, ledger.during, weights, gradients, slots, average, step.kept, ledger.flops // (number + 1))


@contextmanager
def _traceable(cfg: Any) -> Iterator[None]:
    """Say in one line that something asks for values, which a trace does not have."""
    try:
        yield
    except (RuntimeError, NotImplementedError, TypeError) as error:
        raise UserError(f"{cfg.MODEL.ARCH} cannot be traced, so that nothing is planned: {in_short(error)}") from error


def _precision(cfg: Any, device: torch.device) -> amp.Precision:
    with warnings.catch_warnings():  # a loss scaler without its device
        warnings.simplefilter("ignore")
        return amp.build(cfg.TRAIN.FP16, cfg.TRAIN.AMP_OPT_LEVEL, device)


def _built(cfg: Any, precision: amp.Precision) -> network.Net:
    """Build a network without content, in its memory layout."""
    net = network.build(cfg)
    last, _ = channels_last(cfg, net, precision)
    if last:
        for module in net.modules():
            for name, p in module._parameters.items():
                if p is not None and p.dim() == 4:
                    moved = p.detach().contiguous(memory_format=torch.channels_last)
                    module._parameters[name] = nn.Parameter(moved, p.requires_grad)
    return net


class _Step:
    """The work of train.py's step, as the ledger sees it."""

    def __init__(self, cfg: Any, net: network.Net, precision: amp.Precision, world: int) -> None:
        self.cfg, self.net, self.precision, self.world, self.ledger = cfg, net, precision, world, Ledger()
        ranks = DistributedContext(device=_HOST)
        self.optimizer = loss.optimizer.build(cfg, net, net.trunk_layers(cfg.OPTIM.LAYER == "stage"))
        if precision.device.type == "cuda":
            several_at_once(self.optimizer)
        self.criterion = loss.build(cfg, ranks)
        self.criterion.checked = True
        self.guard, self.epoch, self.kept = FiniteGuard(net), cfg.TRAIN.MAX_EPOCH - 1, 0
        self.normalize = Normalization(cfg.DATASET.MEAN, cfg.DATASET.STD, _HOST)
        net.train()
        net.start_epoch(self.epoch)

    def follow(self) -> int:
        """Make the moving average; gives its bytes."""
        before = self.ledger.now
        self._average = [x.detach().clone() for x in (*self.net.parameters(), *self.net.buffers())]
        return self.ledger.now - before

    def first(self) -> tuple[int, int]:
        """Take the first step, which makes the optimizer's slots beside a copy of the weights; gives the bytes of
        gradients and slots."""
        self.ledger.phase = "the first step of the optimizer"
        before = self.ledger.now
        for p in self.trained():
            p.grad = torch.empty_like(p)
        gradients = self.ledger.now - before
        copies = [p.detach().clone() for p in self.trained()]
        self._take_step()
        del copies
        slots = self.ledger.now - before - gradients
        self.optimizer.zero_grad(set_to_none=True)
        return gradients, slots

    def trained(self) -> list[nn.Parameter]:
        """List the parameters that have gradients."""
        return [p for p in self.net.parameters() if p.requires_grad]

    def batch(self, number: int) -> None:
        """Do the forward and backward pass of a batch, as `train.backward`."""
        cfg, ledger = self.cfg, self.ledger
        height, width = image_size(cfg)
        stride = cfg.DATASET.LABEL_STRIDE
        ledger.phase = "the forward pass"
        pixels = torch.empty(cfg.TRAIN.BATCH_SIZE, 3, height, width, dtype=torch.uint8)
        label = torch.zeros(cfg.TRAIN.BATCH_SIZE, height // stride, width // stride, dtype=torch.int64)
        image = self.normalize(pixels)
        self.guard.keep()
        before = ledger.now
        with autocast(self.precision.dtype):
            outputs = self.net(image, label.shape[-2:])
        ledger.phase = "the loss"
        total, _ = self.criterion(outputs, label, self.epoch)
        self.kept = ledger.now - before
        ledger.phase = "the backward pass"
        total.backward()
        self.guard.check(total.detach().double())

    def close(self) -> None:
        """Take the step with the gradients of all batches."""
        self.ledger.phase = "the step of the optimizer"
        if self.world > 1:
            size = min(2 * BUCKET, sum(p.nbytes for p in self.trained()))
            self.ledger.peak = max(self.ledger.peak, self.ledger.now + size)
        self._take_step()

    def _take_step(self) -> None:
        # Optimizers that count their steps on the host ask for the number, behind having made their slots.
        with suppress(DataDependentOutputException):
            self.optimizer.step()


def image_size(cfg: Any) -> tuple[int, int]:
    """Give (H, W) of the largest image that a step sees: the crop, or of whole images the longest sides."""
    sizes = cfg.DATASET.IMG_SIZES
    if not sizes:
        return cfg.DATASET.CROP_SIZE
    side = -(-max(sizes) // cfg.DATASET.PADDING) * cfg.DATASET.PADDING
    return side, min(cfg.DATASET.IMG_MAX_SIZE, 2 * side)


def several_at_once(optimizer: Optimizer) -> None:
    """Let an optimizer work on all weights at once, as it does by itself on a GPU, whose memory it takes for that."""
    for group in optimizer.param_groups:
        if "foreach" in group and not group.get("fused"):
            group["foreach"] = True


def autocast(dtype: torch.dtype | None) -> Any:
    """Make the context of the forward pass."""
    return nullcontext() if dtype is None else torch.autocast("cpu", dtype)


def validation(cfg: Any, device: torch.device, size: tuple[int, int], limit: int = 0) -> tuple[Peak, str]:
    """Trace the prediction of an image of `size` (H, W): its peak, and in which tiles it is done, or "" for none.

    `limit`: bytes that a prediction may take; 0: any. Where the rule makes inputs on the host, which no trace sees,
    the peak is what predictions themselves go by, an upper bound.
    """
    precision = _precision(cfg, device)
    with _traceable(cfg), FakeTensorMode(), Ledger() as ledger:
        net = _built(cfg, precision).eval()
        weights = ledger.hold([*net.parameters(), *net.buffers()])
        predictor = inference.build_predictor(cfg, net, amp.Precision(_HOST, precision.dtype, precision.scaler))
        predictor.memory_bytes = limit or predictor.memory_bytes or 1 << 60
        predictor.scores_checked = True
        ledger.phase = "a pass"
        (found,) = predictor([torch.empty(*size, 3, dtype=torch.uint8)])
    return Peak(ledger.peak, ledger.during, weights, flops=ledger.flops), found.note
