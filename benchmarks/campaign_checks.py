"""Every path of the code that a GPU takes, against the same on the CPU: the campaign's first stage.

A row says how far the two are apart at the worst, what is allowed, and where the worst is. On `--device cpu` both are
the CPU, and the rows are right by themselves: that rehearses the stage.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import config
import network
from benchmarks import pairs
from benchmarks.pairs import Job
from evaluation.metrics import ConfusionMatrix
from inference import EvalRule, Predictor
from loss import LOSSES
from loss.table import make as make_loss
from network.families import Settings
from network.trunk.hrnet import Stage
from options import archs
from utils.distributed import DistributedContext
from utils.resize import resize

CLASSES = 19
CPU = torch.device("cpu")
NETWORKS = (
    *("deepv3.DeepV3R50", "mscale2.DeepV3R50", "attnscale.DeepV3R50BP", "basic.HRNet", "deeper.DeeperX71"),
    *("deepv3.DeepSRNX50V3PlusD_m1", "encoder_decoder", "mscale.DeepV3W38Fuse", "ocrnet.OCRNetASPP"),
    *("offset.DeepV3PlusR50", "offset.HRNet_OCR", "ocrnet.HRNet_Mscale"),
)
# Largest difference by the largest value. In float32 a network in training mode is no measure: batch norm of a few
# values makes 1e-7 into percents of the gradient, on the CPU as well, so that gradients are compared in float64.
ALLOWED = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}
Differences = Mapping[str, float]


def row(differences: Differences, allowed: float) -> dict[str, Any]:
    """The worst of {where: difference}; NaN is worse than any number."""
    where = max(differences, key=lambda name: (np.isnan(differences[name]), differences[name]))
    worst = differences[where]
    return {"worst": worst, "allowed": allowed, "right": bool(worst <= allowed), "where": where}


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference by the largest value."""
    found, wanted = found.detach().double().cpu(), wanted.detach().double().cpu()
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-12))


@contextmanager
def full_products() -> Iterator[None]:
    """Matrix products and convolutions of float32 in float32, not in TF32."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def narrow(name: str) -> network.Net:
    """A network of few weights, the same ones every time."""
    torch.manual_seed(0)
    arch = archs.find(name)
    scales = (0.5, 1.0, 2.0) if arch.scales in ("all", "pairs") else ()
    stages = tuple(Stage(1, (1,) * n) for n in (1, 2, 3, 4))
    return network.compose(arch, Settings(
        CLASSES, width=8, width_mult=1.0 if arch.trunk == "hrnet" else 0.125, stages=stages,
        second_branch=stages[3:], mid_channels=16, key_channels=8, head_channels=16, aspp_channels=16,
        ocr_dropout=0.0, scales=scales,
    ))  # fmt: skip


def picture(size: tuple[int, int] = (64, 96), images: int = 2) -> tuple[Tensor, Tensor]:
    """Normalized images (N, 3, H, W) and labels (N, H, W) of drawn scenes."""
    drawn = [pairs.scene(size, seed) for seed in range(images)]
    image = torch.from_numpy(np.stack([one[0] for one in drawn])).permute(0, 3, 1, 2).float() / 128 - 1
    return image, torch.from_numpy(np.stack([one[1] for one in drawn])).long()


def without_dropout(net: nn.Module) -> nn.Module:
    """Dropout draws other numbers on each device: it is switched off."""
    for module in net.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
    return net


def networks(device: torch.device, names: tuple[str, ...], dtype: torch.dtype) -> dict[str, Any]:
    """Outputs of evaluation mode, in half types by autocast; in float64 those of training mode, and all gradients."""
    image, found = picture()[0], dict[str, float]()
    trained = dtype == torch.float64
    for name in names:
        net = without_dropout(narrow(name)).train(trained).to(dtype if trained else torch.float32)
        given, other = image.to(next(net.parameters()).dtype), copy.deepcopy(net).to(device)
        with full_products(), torch.set_grad_enabled(trained):
            wanted = net(given)
            with torch.autocast(device.type, dtype, enabled=dtype in (torch.float16, torch.bfloat16)):
                outputs = other(given.to(device))
            found |= {f"{name}: {key}": apart(outputs[key], wanted[key]) for key in wanted}
            if trained:
                found[f"{name}: gradient"] = gradients_apart((other, outputs), (net, wanted))
    return row(found, ALLOWED[dtype])


def gradients_apart(*sides: tuple[nn.Module, Mapping[str, Tensor]]) -> float:
    """How far two networks' gradients of the sum of their outputs' mean squares are apart."""
    found = []
    for net, outputs in sides:
        torch.stack([x.square().mean() for x in outputs.values()]).sum().backward()
        found.append([p.grad for p in net.parameters() if p.grad is not None])
    return vectors_apart(*found)


def vectors_apart(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """How far two lists of tensors are apart, each taken as one vector, by the length of the second."""
    one, other = (torch.cat([x.detach().flatten().double().cpu() for x in side]) for side in (found, wanted))
    return float((one - other).norm() / other.norm())


def losses(device: torch.device) -> dict[str, Any]:
    """Value and gradient of every loss; half of the second image is ignored."""
    _, label = picture()
    label[1, :32] = 255
    cfg, found = config.load(["--arch", "ocrnet.HRNet", "--dataset", "cityscapes"]), dict[str, float]()
    channels = {"offset": 2, "confidence": 1}
    for name, loss in LOSSES.items():
        torch.manual_seed(0)
        maps = [torch.randn(2, channels.get(key, CLASSES), *label.shape[-2:]) for key in loss.outputs]
        maps = [x.sigmoid() if key in channels else x for key, x in zip(loss.outputs, maps, strict=True)]
        (value, grad), (wanted, expected) = (
            _value_and_gradient(make_loss(cfg, name, DistributedContext()), maps, label, place)
            for place in (device, CPU)
        )
        found |= {name: apart(value, wanted), f"{name}: gradient": apart(grad, expected)}
    return row(found, 1e-3)


def _value_and_gradient(
    loss: nn.Module, maps: list[Tensor], label: Tensor, device: torch.device
) -> tuple[Tensor, Tensor]:
    given = [x.detach().clone().to(device).requires_grad_() for x in maps]
    value = loss(*given, label.to(device).clone())
    value.backward()
    return value, torch.cat([x.grad.flatten() for x in given if x.grad is not None])


def steps(device: torch.device, cfg: Any, folder: Any) -> dict[str, Any]:
    """The losses of three steps of train.py in float32, each of which needs the one before."""
    with full_products():
        values = []
        for place in (device, CPU):
            job = Job(cfg, (64, 96), place, folder)
            torch.manual_seed(0)
            net = network.build(cfg)
            step = pairs.our_step(job, net.train(), *pairs.crops(job))
            values.append([step() for _ in range(3)])
    found = {f"step {k}": abs(a - b) / abs(b) for k, (a, b) in enumerate(zip(*values, strict=True))}
    return row(found, 1e-2)


def counts(device: torch.device) -> dict[str, Any]:
    """The confusion matrix, to the last pixel."""
    _, label = picture((128, 256))
    found, wanted = (
        ConfusionMatrix(CLASSES, device=place)
        .update(label[0].to(torch.uint8) % CLASSES, label[1].to(torch.uint8))
        .cpu()
        for place in (device, CPU)
    )
    return row({"counts": float((found - wanted).abs().max())}, 0.0)


RULES = {
    "whole": EvalRule(), "scales, mirrored": EvalRule(scales=(0.5, 1.0, 1.5), flip=True), "tiles": EvalRule(tile=64),
    "windows": EvalRule(window=48), "probabilities": EvalRule(average="probabilities", flip=True),
}  # fmt: skip


def predictions(device: torch.device, arch: str) -> dict[str, Any]:
    """The share of pixels of another class, by each way to evaluate, of an odd size."""
    image, _ = pairs.scene((97, 131))
    net, found = narrow(arch).eval(), dict[str, float]()
    other = copy.deepcopy(net).to(device)
    with full_products():
        for name, rule in RULES.items():
            there, here = (Predictor(one, rule)([image])[0].classes.cpu() for one in (other, net))
            found[name] = float((there != here).float().mean())
    return row(found, 1e-2)


def compiled(device: torch.device) -> dict[str, Any]:
    """A compiled network against itself as it is."""
    image = picture()[0].to(device)
    net = narrow("deepv3.DeepV3R50").eval().to(device)
    with full_products(), torch.no_grad():
        wanted = net(image)["pred"]
        note = network.compile_parts(net)
        found = apart(net(image)["pred"], wanted)
    return {**row({"pred": found}, ALLOWED[torch.float32]), "note": note}


def resizing(device: torch.device) -> dict[str, Any]:
    """Bilinear resizing up and down, corners aligned or not."""
    image, _ = picture((65, 97))
    found = {
        f"{size}, corners {aligned}": apart(resize(image.to(device), size, aligned), resize(image, size, aligned))
        for size in ((33, 49), (130, 194)) for aligned in (False, True)
    }  # fmt: skip
    return row(found, 1e-4)
