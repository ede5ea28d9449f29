"""Warping: the published rule to the last bits, and what a check of the way back finds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from golden.fill import image, labels
from torch import Tensor
from torch.nn import functional as F

from network.flow.warp import consistent, warp

GOLDEN = Path(__file__).parents[2] / "golden" / "sdcnet"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / "resample2d.npz"))


@pytest.fixture(scope="module")
def given(golden: dict[str, np.ndarray]) -> tuple[Tensor, Tensor, Tensor]:
    """Image, flow and label as the file's meta says."""
    name = json.loads(str(golden["meta"]))["name"]
    flow = np.clip(3 * image(f"{name}:flow", (1, 2, 32, 48)), -6, 6).astype(np.float32)
    label = labels(name, (1, 32, 48), 19).astype(np.float32)
    return torch.from_numpy(image(name, (1, 3, 32, 48))), torch.from_numpy(flow), torch.from_numpy(label)[:, None]


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_published_rule(golden, given, mode: str) -> None:
    picture, flow, _ = given
    np.testing.assert_allclose(warp(picture, flow, mode).numpy(), golden[mode], rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float64, torch.float16])
def test_labels_of_any_type_are_moved_whole(golden, given, dtype: torch.dtype) -> None:
    moved = warp(given[2].to(dtype), given[1], "nearest")
    assert moved.dtype == dtype
    np.testing.assert_array_equal(moved.numpy().astype(np.uint8), golden["label_nearest"])


def test_ties_go_up_and_the_border_repeats() -> None:
    row = torch.arange(4.0).view(1, 1, 1, 4)
    flow = torch.zeros(1, 2, 1, 4)
    flow[:, 0] = torch.tensor([0.5, -0.5, 9.0, -9.0])
    assert warp(row, flow, "nearest").flatten().tolist() == [1, 1, 3, 0]
    assert warp(row, flow).flatten().tolist() == [0.5, 0.5, 3, 0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.uint8])
def test_few_bits_keep_far_positions_apart(dtype: torch.dtype) -> None:
    picture = (torch.arange(3000) % 200).view(1, 1, 1, 3000).to(dtype)
    flow = torch.zeros(1, 2, 1, 3000)
    flow[:, 0] = 1.0
    assert torch.equal(warp(picture, flow)[..., :-1], picture[..., 1:])


def test_agrees_with_grid_sample_and_has_its_gradient() -> None:
    torch.manual_seed(0)
    picture, flow = torch.rand(2, 3, 9, 11, requires_grad=True), (torch.randn(2, 2, 9, 11) * 2).requires_grad_()
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    grid = torch.stack([(flow[:, 0] + columns) / 10 * 2 - 1, (flow[:, 1] + rows) / 8 * 2 - 1], -1)
    other = F.grid_sample(picture, grid, padding_mode="border", align_corners=True)
    out = warp(picture, flow)
    torch.testing.assert_close(out, other, rtol=0, atol=1e-5)
    weight = torch.rand_like(out)
    ours = torch.autograd.grad((out * weight).sum(), (picture, flow))
    theirs = torch.autograd.grad((other * weight).sum(), (picture, flow))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


def test_unknown_and_endless_flow_stay_inside() -> None:
    flow = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0]).view(1, 1, 1, 4).repeat(1, 2, 1, 1)
    row = torch.arange(4.0).view(1, 1, 1, 4)
    for mode in ("bilinear", "nearest"):
        assert warp(row, flow, mode).flatten().tolist() == [0, 3, 0, 3]


@pytest.mark.parametrize(
    ("picture", "flow", "mode"),
    [
        ((1, 3, 4, 4), (1, 2, 4, 4), "cubic"),
        ((1, 3, 4, 4), (1, 3, 4, 4), "nearest"),
        ((3, 4, 4), (1, 2, 4, 4), "nearest"),
    ],
)
def test_what_does_not_fit_is_refused(picture: tuple[int, ...], flow: tuple[int, ...], mode: str) -> None:
    with pytest.raises(ValueError, match="mode|give"):
        warp(torch.zeros(picture), torch.zeros(flow), mode)


def test_way_back() -> None:
    """A square of 4 moves 3 to the right over still ground: what it covers and what is wrong fails, the rest passes."""
    flow, back = torch.zeros(1, 2, 10, 20), torch.zeros(1, 2, 10, 20)
    flow[:, 0, 3:7, 4:8], back[:, 0, 3:7, 7:11] = 3.0, -3.0
    expected = torch.ones(1, 10, 20, dtype=torch.bool)
    expected[:, 3:7, 8:11] = False  # hidden behind the square there
    assert torch.equal(consistent(flow, back), expected)
    flow[:, 1, 0, 0], flow[:, 0, 9, 19], flow[:, :, 9, 0], back[:, :, 0, 15] = -1.0, 1.0, float("nan"), float("nan")
    flow[:, 1, 5, 15] = 2.0
    for y, x in ((0, 0), (9, 19), (9, 0), (0, 15), (5, 15)):
        assert not consistent(flow, back)[0, y, x]
