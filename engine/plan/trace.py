"""A training step and a validation on tensors without content: what they hold at their peak, and what they compute.

Nothing is allocated and no device is needed. The tensors are torch's fake ones, on the host for any device: a backward
pass elsewhere would ask for one. What kernels take beside their tensors no trace sees: `host_workspace` has it for
the convolutions of a CPU, for a GPU nothing does.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
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
from inference.rule import normalize
from utils import amp
from utils.distributed import DistributedContext
from utils.errors import UserError, in_short
from utils.normalization import Normalization

_HOST = torch.device("cpu")


class Peak(NamedTuple):
    """Bytes that a process holds at most, of them in `weights`, `gradients`, `slots` of the optimizer, `average`, and
    what a forward pass `kept`; `during` which part of the work it was; operations of a batch, or image; what `stays`
    of a training beside its weights while it validates.
    """

    bytes: int
    during: str
    weights: int = 0
    gradients: int = 0
    slots: int = 0
    average: int = 0
    kept: int = 0
    flops: int = 0
    stays: int = 0


class Ledger(PeakTracker):
    """Counts the bytes that are held inside the block, operations, and `during` which `phase` the most were held."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.phase, self.during, self.flops, self.on_host = "", "", 0, device.type == "cpu"

    def hold(self, tensors: Iterable[Tensor]) -> int:
        """Count tensors from before the block; gives their bytes."""
        before = self.now
        for tensor in tensors:
            self._see(tensor.untyped_storage())
        return self.now - before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator; take note of its storages and operations."""
        before, fused = self.peak, func.namespace == "mkldnn"
        if fused:  # has no form without content
            func, args, kwargs = torch.ops.aten.convolution.default, _unfused(func, args), {}
        out = super().__torch_dispatch__(func, types, args, kwargs)
        if fused and not self.on_host:  # where a batch norm gives a map of its own
            self.peak = max(self.peak, self.now + out.nbytes)
        if count := flop_registry.get(func._overloadpacket):
            self.flops += count(*args, **(kwargs or {}), out_val=out)
        if self.on_host and func._opname in ("convolution", "convolution_backward"):
            self.peak = max(self.peak, self.now + host_workspace(func._opname, args))
        if self.peak > before:
            self.during = self.phase
        return out


def _unfused(func: Any, args: Any) -> tuple[Any, ...]:
    """Give the arguments of the convolution in a kernel of `network.fused`."""
    image, *rest = args
    weight, bias, padding, stride, dilation, groups = rest[1:7] if func._overloadname == "binary" else rest[:6]
    return image, weight, bias, stride, padding, dilation, False, [0] * len(padding), groups


def host_workspace(name: str, args: Any) -> int:
    """Give the bytes that oneDNN takes for a convolution beside its tensors, as the allocator's events show them.

    Weights in another order, forwards once and backwards twice; in half precision and blocks of 32 channels, of one
    image, forwards about twice the padded input, backwards input and output.
    """
    forwards = name == "convolution"
    image, weight, padding = (args[0], args[1], args[4]) if forwards else (args[1], args[2], args[5])
    taken = (1 if forwards else 2) * weight.nbytes * (max(weight.shape[2:]) > 1)
    if image.element_size() < 4:
        edges = [2 * pad if forwards else 0 for pad in padding]
        taken += (2 if forwards else 1) * _in_blocks(image, edges)
        taken += 0 if forwards else _in_blocks(args[0], (0, 0))
    return taken


def _in_blocks(image: Tensor, edges: Sequence[int]) -> int:
    """Give the bytes of one image of (N, C, H, W) with edges around it and C as a multiple of 32."""
    high, wide = (side + edge for side, edge in zip(image.shape[2:], edges, strict=True))
    return math.ceil(image.shape[1] / 32) * 32 * high * wide * image.element_size()


def training(cfg: Any, device: torch.device, world: int = 1) -> Peak:
    """Trace a step of `cfg` on each of `world` processes: its peak, and the operations of a batch.

    The step is one in the middle of a run: with the optimizer's slots. UserError for what cannot be built.
    """
    precision = _precision(cfg, device)
    with _traceable(cfg), FakeTensorMode(), torch.random.fork_rng([]):
        net = _built(cfg, precision)
        step = _step(cfg, net, precision)
        with step.ledger:
            weights = step.ledger.hold([*net.parameters(), *net.buffers()])
            average = step.follow() if cfg.TRAIN.EMA else 0
            gradients, slots = step.first()
            stays = slots + average + (step.room() if world > 1 else 0)
            batches = min(2, cfg.TRAIN.ACCUM)  # the second holds the gradients of the first
            for _ in range(batches):
                step.batch()
            step.close()
    peak, during, flops = step.ledger.peak, step.ledger.during, step.ledger.flops // batches
    return Peak(peak, during, weights, gradients, slots, average, step.kept, flops, stays)


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


def _step(cfg: Any, net: network.Net, precision: amp.Precision) -> _Step:
    optimizer = loss.optimizer.build(cfg, net, net.trunk_layers(cfg.OPTIM.LAYER == "stage"))
    if precision.device.type == "cuda":
        several_at_once(optimizer)
    return _Step(
        net,
        optimizer,
        loss.build(cfg, DistributedContext(device=_HOST)),
        Normalization(cfg.DATASET.MEAN, cfg.DATASET.STD, _HOST),
        precision,
        cfg.TRAIN.MAX_EPOCH - 1,
        (cfg.TRAIN.BATCH_SIZE, *image_size(cfg)),
        cfg.DATASET.LABEL_STRIDE,
    )


@dataclass
class _Step:
    """The work of train.py's step, as the ledger sees it. `shape`: (N, H, W) of a batch, `stride` of its labels."""

    net: network.Net
    optimizer: Optimizer
    criterion: loss.Criterion
    normalize: Normalization
    precision: amp.Precision
    epoch: int
    shape: tuple[int, int, int]
    stride: int
    ledger: Ledger = field(init=False)
    guard: FiniteGuard = field(init=False)
    kept: int = 0

    def __post_init__(self) -> None:
        self.ledger, self.guard = Ledger(self.precision.device), FiniteGuard(self.net)
        self.criterion.checked = True
        self.net.train()
        self.net.start_epoch(self.epoch)

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
        gradients = self.room()
        copies = [p.detach().clone() for p in self.trained()]
        self._take_step()
        del copies
        slots = self.ledger.now - before - gradients
        self.optimizer.zero_grad(set_to_none=True)
        return gradients, slots

    def room(self) -> int:
        """Make the room for gradients, which several processes keep between steps; gives its bytes."""
        before = self.ledger.now
        for p in self.trained():
            p.grad = torch.zeros_like(p)
        return self.ledger.now - before

    def trained(self) -> list[nn.Parameter]:
        """List the parameters that have gradients."""
        return [p for p in self.net.parameters() if p.requires_grad]

    def batch(self) -> None:
        """Do the forward and backward pass of a batch, as `train.backward`."""
        ledger, (images, height, width) = self.ledger, self.shape
        ledger.phase = "the forward pass"
        pixels = torch.empty(images, 3, height, width, dtype=torch.uint8)
        label = torch.zeros(images, height // self.stride, width // self.stride, dtype=torch.int64)
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
    # Real ones, which are kept for the predictions to come.
    normalize(torch.zeros(1, 3, 1, 1, dtype=torch.uint8), inference.eval_rule(cfg))
    with _traceable(cfg), FakeTensorMode(allow_non_fake_inputs=True), Ledger(device) as ledger:
        net = _built(cfg, precision).eval()
        weights = ledger.hold([*net.parameters(), *net.buffers()])
        predictor = inference.build_predictor(cfg, net, amp.Precision(_HOST, precision.dtype, precision.scaler))
        predictor.memory_bytes = limit or predictor.memory_bytes or 1 << 60
        predictor.scores_checked = True
        ledger.phase = "a pass"
        (found,) = predictor([torch.empty(*size, 3, dtype=torch.uint8)])
    return Peak(ledger.peak, ledger.during, weights, flops=ledger.flops), found.note
