"""What people would use instead, as its documentation shows it: segmentation_models_pytorch, torchvision's loop.

Each has DeepLabV3 on ResNet-50 at stride 8 and random weights, as `--arch deepv3.DeepV3R50` has, so that the encoder is
the same; the images, the batch, the optimizer and the precision are those of the job. The heads differ: each is its
package's own, and the operations that benchmarks/run.py counts say by how much.
Needs: pip install -r requirements-peers.txt.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import inference
import network
from benchmarks.measure import Pair
from benchmarks.pairs import Job, crops, our_prediction, our_run, our_step, scene, sgd
from inference.rule import normalize
from utils.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
ARCH = "deepv3.DeepV3R50"  # ours of that kind
Loss = Callable[[Any, Tensor, int], Tensor]  # what the network gives, label (N, H, W), ignored label -> scalar


class Other(NamedTuple):
    """A package, its network of K classes, the loss of its loop, and a program that makes that network."""

    package: str
    network: Callable[[int], nn.Module]
    loss: Loss
    start: str


def _smp(classes: int) -> nn.Module:
    import segmentation_models_pytorch as smp  # pyright: ignore[reportMissingImports]

    return smp.DeepLabV3("resnet50", encoder_weights=None, encoder_output_stride=8, classes=classes)


def _torchvision(classes: int) -> nn.Module:
    from torchvision.models.segmentation import deeplabv3_resnet50

    return deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=classes, aux_loss=True)


def _main_loss(outputs: Tensor, label: Tensor, ignore: int) -> Tensor:
    return F.cross_entropy(outputs, label, ignore_index=ignore)


def _with_auxiliary(outputs: dict[str, Tensor], label: Tensor, ignore: int) -> Tensor:
    """The auxiliary head's loss counts half, as in torchvision's references."""
    return _main_loss(outputs["out"], label, ignore) + 0.5 * _main_loss(outputs["aux"], label, ignore)


_SMP_START = "import segmentation_models_pytorch as smp; smp.DeepLabV3('resnet50', encoder_weights=None, classes=19)"
_TORCHVISION_START = (
    "from torchvision.models.segmentation import deeplabv3_resnet50 as net; net(weights=None, weights_backbone=None)"
)
_OUR_START = (
    f"import train, config, network; network.build(config.load(['--arch', '{ARCH}', '--dataset', 'cityscapes']))"
)
_BARE_START = "import torch, torchvision"  # what a code in plain PyTorch imports at the least
OTHERS = {
    "smp": Other("segmentation_models_pytorch", _smp, _main_loss, _SMP_START),
    "torchvision": Other("torchvision", _torchvision, _with_auxiliary, _TORCHVISION_START),
}


def missing(name: str) -> str:
    """Say what has to be installed for a baseline; empty where it is there."""
    package = OTHERS[name].package if name in OTHERS else ""
    if not package or find_spec(package):
        return ""
    return f"{package} is not installed: pip install -r requirements-peers.txt"


def pair(what: str, name: str, job: Job) -> Pair:
    """Make the pair of ours and one of OTHERS, or for `start` of plain PyTorch; UserError where it is not installed."""
    if reason := missing(name):
        raise UserError(f"--baseline {name}: {reason}")
    return {"eval": evaluation, "train": training, "start": starting}[what](name, job)


def training(name: str, job: Job) -> Pair:
    """Make one step on a batch of crops in host memory."""
    image, label = crops(job)
    torch.manual_seed(job.cfg.SEED)
    ours = our_step(job, network.build(job.cfg).to(job.device).train(), image, label)
    return Pair(step(name, job, image, label), ours, "image", len(image))


def step(name: str, job: Job, image: Tensor, label: Tensor) -> Callable[[], float]:
    """Make the plain loop's step: a normalized batch of a loader, forward, loss, backward, its value for the log."""
    cfg, other, precision = job.cfg, OTHERS[name], our_run(job).precision
    net = other.network(cfg.DATASET.NUM_CLASSES).to(job.device).train()
    optimizer, scaler = sgd(job, net), precision.scaler
    floats = normalize(image, inference.eval_rule(cfg))  # a loader worker did this

    def one() -> float:
        x, y = floats.to(job.device), label.to(job.device)
        with precision.autocast():
            total = other.loss(net(x), y, cfg.DATASET.IGNORE_LABEL)
        optimizer.zero_grad()
        scaler.scale(total).backward()
        scaler.step(optimizer)
        scaler.update()
        return total.item()

    return one


def evaluation(name: str, job: Job) -> Pair:
    """Turn an image in host memory into a class map in host memory."""
    image, _ = scene(job.size)
    torch.manual_seed(job.cfg.SEED)
    ours = our_prediction(job, network.build(job.cfg).to(job.device).eval(), image)
    return Pair(prediction(name, job, image), ours, "image")


def prediction(name: str, job: Job, image: np.ndarray) -> Callable[[], np.ndarray]:
    """Make the plain loop's prediction: image (H, W, 3) uint8 -> classes (H, W) int64."""
    from torchvision import transforms as tv  # here, since it imports half of torch's compiler

    cfg, precision = job.cfg, our_run(job).precision
    net = OTHERS[name].network(cfg.DATASET.NUM_CLASSES).to(job.device).eval()
    before = tv.Compose([tv.ToTensor(), tv.Normalize(cfg.DATASET.MEAN, cfg.DATASET.STD)])
    height, width = job.size
    pad = 0, -width % 32, 0, -height % 32  # smp takes sides of multiples

    @torch.inference_mode()
    def one() -> np.ndarray:
        x = F.pad(torch.as_tensor(before(image))[None].to(job.device), pad)  # (1, 3, H, W)
        with precision.autocast():
            outputs = net(x)
        scores = outputs["out"] if isinstance(outputs, dict) else outputs
        return scores.argmax(1)[0, :height, :width].cpu().numpy()

    return one


def starting(name: str, job: Job) -> Pair:
    """Start Python, import, and make the network, in a process of its own; eager: import PyTorch and torchvision."""
    other = OTHERS[name].start if name in OTHERS else _BARE_START
    return Pair(lambda: _python(other), lambda: _python(_OUR_START), "start")


def _python(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
