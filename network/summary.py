"""Parameters, multiply-adds and memory of a network, part by part, without computing anything (meta device)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.hooks import RemovableHandle

from network.net import Net

BETWEEN = "between"  # what belongs to no part: images and maps resized, scales fused
IMAGES = 2  # of the training step that is looked at: ASPP cannot train with one


def summary(net: nn.Module, size: tuple[int, int]) -> str:
    """Table of the parts at an input of `size` (H, W): parameters in millions, multiply-adds in thousand millions, and
    the memory that a training step keeps for its backward pass, in MiB an image of float32.
    """
    macs, kept = multiply_adds(net, size), activations(net, size)
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in _parts(net).items()}
    lines = [
        f"{'part':<12}{'parameters, M':>16}{'multiply-adds, G':>20}{'kept, MiB an image':>22}   {size[0]}x{size[1]}"
    ]
    for name in (*parts, BETWEEN):
        lines.append(_line(name, parts.get(name, 0), macs[name], kept[name]))
    return "\n".join([*lines, _line("in all", sum(parts.values()), macs.total(), kept.total())])


def _line(name: str, parameters: int, macs: int, kept: int) -> str:
    return f"{name:<12}{parameters / 1e6:>16.3f}{macs / 1e9:>20.3f}{kept / IMAGES / 2**20:>22.1f}"


def multiply_adds(net: nn.Module, size: tuple[int, int]) -> Counter[str]:
    """Multiply-adds of one image in evaluation mode by part; convolutions and matrix products count, as usual."""
    counter = FlopCounterMode(display=False, depth=1)
    with in_mode(net, training=False), torch.no_grad(), counter:
        torch.func.functional_call(net, on_meta(net), (torch.empty(1, 3, *size, device="meta"),))
    flops = {name: sum(ops.values()) // 2 for name, ops in counter.get_flop_counts().items()}
    paths = {id(part): path for path, part in net.named_modules()}
    found: Counter[str] = Counter()
    for name, part in _parts(net).items():
        found[name] = flops.get(f"{type(net).__name__}.{paths[id(part)]}", 0)
    found[BETWEEN] = flops.get("Global", 0) - found.total()
    return found


def activations(net: nn.Module, size: tuple[int, int], images: int = IMAGES) -> Counter[str]:
    """Bytes that the forward pass of a training step keeps for the backward pass, by the part that keeps them.

    They are counted where autograd puts them aside; what several operations keep counts once, weights never. What is
    computed again in the backward pass (--grad_ckpt) is not kept.
    """
    state = on_meta(net)
    kept = _Kept(state.values())
    hooks = [hook for name, part in _parts(net).items() for hook in kept.watch(name, part)]
    try:
        saved = torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda x: x)
        with in_mode(net, training=True), torch.enable_grad(), saved:
            torch.func.functional_call(net, state, (torch.empty(images, 3, *size, device="meta"),))
    finally:
        for hook in hooks:
            hook.remove()
    return kept.bytes


class _Kept:
    """Bytes put aside by the part that was running, each storage once, those of `known` tensors never."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        self.bytes: Counter[str] = Counter()
        self.running = BETWEEN
        # The storages themselves are held, so that no later one gets the same address.
        self.seen = {x.untyped_storage()._cdata: x.untyped_storage() for x in known}

    def pack(self, x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage._cdata not in self.seen:
            self.seen[storage._cdata] = storage
            self.bytes[self.running] += storage.nbytes()
        return x

    def watch(self, name: str, part: nn.Module) -> list[RemovableHandle]:
        """Note when `part` begins and ends."""

        def note(running: str) -> Callable[..., None]:
            def hook(*_: object) -> None:
                self.running = running

            return hook

        return [part.register_forward_pre_hook(note(name)), part.register_forward_hook(note(BETWEEN))]


def _parts(net: nn.Module) -> dict[str, nn.Module]:
    return net.parts() if isinstance(net, Net) else dict(net.named_children())


def on_meta(net: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers without content, to be trained or not as they are in `net`."""
    state = {name: p.detach().to("meta").requires_grad_(p.requires_grad) for name, p in net.named_parameters()}
    return state | {name: x.to("meta") for name, x in net.named_buffers()}


@contextmanager
def in_mode(net: nn.Module, training: bool) -> Iterator[None]:
    """Training or evaluation mode inside."""
    before = net.training
    net.train(training)
    try:
        yield
    finally:
        net.train(before)
