"""A trained network whose scores another one learns from: --teacher CKPT."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

import network
from datasets import classes
from engine.session import Run, to_device
from inference import from_file
from utils.contracts import Outputs
from utils.errors import UserError


class Taught(nn.Module):
    """A network in training beside its teacher: its outputs, and `teacher` (N, K, h, w), the teacher's scores."""

    def __init__(self, net: nn.Module, teacher: nn.Module) -> None:
        super().__init__()
        self.net, self.teacher = net, teacher.requires_grad_(False)

    def train(self, mode: bool = True) -> Taught:
        """Set the mode of the network; the teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, image: Tensor, size: Sequence[int] | None = None) -> Outputs:
        """Normalized image (N, 3, H, W) -> the outputs of both, `pred` and `teacher` at `size`."""
        with torch.no_grad():
            taught = self.teacher(image, size, keep=("pred",))["pred"]
        return {**self.net(image, size), "teacher": taught}


def named(run: Run) -> nn.Module | None:
    """Give the network that --teacher names, on the device; None without one.

    UserError for a file that does not fill its network, or of other classes or colors.
    """
    path = run.cfg.LOSS.TEACHER
    if not path:
        return None
    try:
        found = from_file.loaded(path, [])
    except UserError as error:
        raise UserError(f"--teacher: {error}") from None
    if odd := classes.other_names(found.spec.classes, run.spec) or classes.other_count(found.spec.classes, run.spec):
        raise UserError(f"--teacher {path} was trained on other classes: {odd}; a teacher has those of its pupil")
    ours, theirs = ((cfg.DATASET.MEAN, cfg.DATASET.STD) for cfg in (run.cfg, found.cfg))
    if ours != theirs:
        raise UserError(f"--teacher {path} takes images of DATASET.MEAN, STD {theirs}, not {ours}: give the same")
    run.log.line(f"teacher: {found.cfg.MODEL.ARCH} from {found.cfg.SNAPSHOT}")
    return to_device(run, found.net)


def beside(net: network.Net, teacher: nn.Module | None) -> nn.Module:
    """Give the network that training calls: `net` alone, or with its teacher."""
    return Taught(net, teacher) if teacher else net
