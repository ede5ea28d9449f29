"""Where optical flow comes from: networks with weights from the user's file, or OpenCV's method without weights.

A source takes a target and a source image (N, 3, H, W), RGB 0 to 255, and gives the backward flow (N, 2, H, W) in
pixels: where each pixel of the target lies in the source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from network.flow import flownet2, sdcnet
from network.flow.padding import padded
from network.flow.sdcnet import Flow, Prediction
from network.weights import finite, parse, safe_load
from utils.errors import UserError, nearest

RAFT_STRIDE, RAFT_LEAST = 8, 128  # sides are multiples of the first; its pyramid of correlations needs the second
DIS_LEAST = 16  # OpenCV refuses smaller images, gives NaN, or crashes


def flow_source(name: str, weights: str = "", device: torch.device | str = "cpu") -> Flow:
    """The source called `name`: raft (torchvision's large or small one, as the file says) or dis (no weights).

    Raises UserError for an unknown name, and for weights that are missing or of another network.
    """
    if name not in SOURCES:
        raise UserError(f"unknown flow source {name!r}{nearest(name, SOURCES)}; known: {', '.join(SOURCES)}")
    return SOURCES[name](weights, torch.device(device))


def device_of(name: str) -> torch.device:
    """The device that was asked for, or the GPU if there is one."""
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"--device {name} is none that this machine has; leave it out, or give cpu") from None
    return device


def state_of(path: str, what: str) -> dict[str, Tensor]:
    """The weights in a file of any layout; UserError if it holds none."""
    if not path:
        raise UserError(f"{what} needs a file of weights: give its path")
    content = safe_load.read(path)
    try:
        return parse(content, path).state
    except UserError:
        raise UserError(f"checkpoint {path} holds no weights of {what}; give another file") from None


def fill(net: nn.Module, state: Mapping[str, Tensor], path: str, what: str) -> None:
    """Load all weights; UserError where one is missing or has another shape."""
    own = net.state_dict()
    wrong = [key for key, value in own.items() if key not in state or state[key].shape != value.shape]
    wrong = [key for key in wrong if not key.endswith("num_batches_tracked")]
    if wrong:
        raise UserError(
            f"checkpoint {path} is not of {what}: {len(wrong)} of {len(own)} weights are missing or of another shape, "
            f"the first {wrong[0]}; give a file of {what}"
        )
    finite.check({key: state[key] for key in own if key in state}, f"checkpoint {path}")
    net.load_state_dict({key: state.get(key, value) for key, value in own.items()})


def _raft(weights: str, device: torch.device) -> Flow:
    """RAFT (Teed and Deng 2020)."""
    from torchvision.models.optical_flow import raft_large, raft_small

    state = state_of(weights, "RAFT")
    key = "feature_encoder.convnormrelu.0.weight"
    small = key in state and len(state[key]) == 32  # the large one has 64 channels there
    net = (raft_small if small else raft_large)(weights=None, progress=False)
    fill(net, state, weights, "RAFT (torchvision's raft_large or raft_small)")
    net.requires_grad_(False).eval().to(device)

    @torch.no_grad()
    def flow(target: Tensor, source: Tensor) -> Tensor:
        height, width = target.shape[-2:]
        first, second = (padded(image.to(device), RAFT_STRIDE, RAFT_LEAST) / 127.5 - 1 for image in (target, source))
        return net(first, second)[-1][..., :height, :width]

    return flow


def _dis(weights: str, device: torch.device) -> Flow:
    """Dense inverse search (Kroeger et al. 2016) as OpenCV has it, on the CPU."""
    if weights:
        raise UserError(f"flow source dis takes no weights: leave {weights} out")
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def gray(image: Tensor) -> np.ndarray:  # (3, H, W) -> (H, W)
        pixels = image.clamp(0, 255).round().byte().permute(1, 2, 0).cpu().numpy()
        return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)

    def flow(target: Tensor, source: Tensor) -> Tensor:
        height, width = target.shape[-2:]
        pairs = zip(padded(target, 1, DIS_LEAST), padded(source, 1, DIS_LEAST), strict=True)
        one = [method.calc(gray(a), gray(b), None) for a, b in pairs]  # type: ignore[call-overload]
        return torch.from_numpy(np.stack(one)[:, :height, :width]).permute(0, 3, 1, 2).to(device)

    return flow


# Name -> what makes it of a file of weights and a device; a prediction is also given a source of its inputs' flow.
SOURCES: dict[str, Callable[[str, Any], Flow]] = {"flownet2": flownet2.source, "raft": _raft, "dis": _dis}
PREDICTIONS: dict[str, Callable[[str, Flow, Any], Prediction]] = {"sdcnet": sdcnet.prediction}
