"""What PaddleSeg's networks give with the same weights, through the loader and the Predictor."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from golden.fill import fill, image
from narrow_nets import GOLDEN
from torch import Tensor, nn

from compat.paddleseg import weights as paddle
from inference import RULES, Predictor
from inference.rule import EvalRule
from network.mscale import MultiScale
from network.net import Net
from utils.resize import resize, resize_by

pytestmark = pytest.mark.run  # networks of full width

PADDLE = GOLDEN / "paddle"
LARGEST = json.loads((PADDLE / "eval_maxabs.json").read_text())
IMAGE = torch.from_numpy(image("paddle_eval", (1, 3, 128, 192)))
RULE = RULES["paddle"]
FLIP = replace(RULE, flip=True)
TWO, THREE, FIVE = (0.5, 1.0), (0.5, 1.0, 2.0), (0.5, 1.0, 1.5, 2.0, 2.5)
MANIFESTS = {"ocrnet.HRNet_Mscale": "mscale_ocrnet_hrnet_w48.json", "ocrnet.HRNet": "ocrnet_hrnet_w48.json"}


@pytest.fixture(scope="module")
def state() -> Callable[[str], dict[str, Tensor]]:
    """state(arch): the weights of a file made of its manifest, under our names; made once."""
    made: dict[str, dict[str, Tensor]] = {}

    def of(arch: str) -> dict[str, Tensor]:
        if arch not in made:
            made.clear()  # 280 MB each
            shapes = json.loads((PADDLE / MANIFESTS[arch]).read_text())
            weights = paddle.parse({name: fill(name, shape) for name, shape in shapes.items()})
            assert weights is not None and weights.arch == arch and weights.num_classes == 19
            made[arch] = weights.state
        return made[arch]

    return of


@pytest.fixture
def loaded(full, state) -> Callable[..., Net]:
    """loaded(arch, scales): full width, with these weights."""

    def make(arch: str, scales: tuple[float, ...] = ()) -> Net:
        net = full(arch, scales=scales)
        counters = {k: torch.tensor(0) for k in net.state_dict() if k.endswith("num_batches_tracked")}
        net.load_state_dict(state(arch) | counters, assign=True)
        return net.eval()

    return make


def check(file: str, key: str, x: Tensor) -> None:
    """(1, C, H, W), or without the 1, against the recorded values: within 1e-4 of the largest."""
    want, got = np.load(PADDLE / f"{file}.npz"), x.reshape(1, *x.shape[-3:]).numpy()
    tolerance = 1e-4 * LARGEST[f"{file}.npz:{key}"]
    step = int(want[f"{key}.stride"])
    assert list(got.shape) == want[f"{key}.shape"].tolist()
    assert np.abs(got[:, :, ::step, ::step] - want[f"{key}.strided"]).max() <= tolerance
    np.testing.assert_allclose(got.mean((0, 2, 3)), want[f"{key}.mean"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(got.std((0, 2, 3)), want[f"{key}.std"], rtol=0, atol=tolerance)
    if f"{key}.argmax" in want:
        assert (got.argmax(1) == want[f"{key}.argmax"]).mean() >= 0.9999


def predicted(net: nn.Module, rule: EvalRule) -> Tensor:
    """Scores (K, H, W) of the Predictor."""
    (found,) = Predictor(net, rule, memory_bytes=1 << 36)([IMAGE[0]], scores=True)
    assert found.scores is not None
    return found.scores


@torch.no_grad()
def test_single_scale(loaded) -> None:
    net = loaded("ocrnet.HRNet_Mscale")
    assert isinstance(net, MultiScale)
    view = net._attended(IMAGE, 1.0, None)
    for key, name in (("cls_out", "pred"), ("aux_out", "aux"), ("logit_attn", "attn")):
        check("eval_single_scale", key, view[name])


@pytest.mark.slow
@torch.no_grad()
def test_two_scales_and_their_outputs(loaded) -> None:
    outputs = loaded("ocrnet.HRNet_Mscale")(IMAGE)
    names = {"joint_pred": "pred", "joint_aux": "aux", "scaled_pred_05x": "pred_05x", "pred_10x": "pred_10x"}
    for key, name in names.items():
        check("eval_two_scale", key, resize(outputs[name], (128, 192)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "scales", [TWO, pytest.param(THREE, marks=pytest.mark.slow), pytest.param(FIVE, marks=pytest.mark.slow)]
)
def test_scales(loaded, scales: tuple[float, ...]) -> None:
    check(f"eval_nscale_{len(scales)}", "pred", predicted(loaded("ocrnet.HRNet_Mscale", scales), RULE))


@pytest.mark.slow
@pytest.mark.parametrize("scales", [THREE, FIVE])
def test_mirror_images(loaded, scales: tuple[float, ...]) -> None:
    """Logits averaged; probabilities averaged where the older releases sum the two passes."""
    net, file = loaded("ocrnet.HRNet_Mscale", scales), f"eval_nscale_{len(scales)}_flip"
    check(file, "logits_mean", predicted(net, FLIP))
    check(file, "v25_softmax_sum", 2 * predicted(net, replace(FLIP, average="probabilities")))


@pytest.mark.slow
def test_outer_scales(loaded) -> None:
    """99x148 and 166x250: rounded half up; the inner half of 99 rows is 49, and its rows lie 2 apart."""
    rule, net = replace(FLIP, scales=(0.77, 1.3)), loaded("ocrnet.HRNet_Mscale", TWO)
    assert [rule.scaled((128, 192), scale) for scale in rule.scales] == [(99, 148), (166, 250)]
    got = predicted(net, rule)
    check("eval_aug_scales_0.77_1.3_flip_nscale2", "logits_mean", got)
    other = predicted(net, replace(rule, use_given_scale_factor=False))
    assert (other - got).abs().max() > 2e-4 * LARGEST["eval_aug_scales_0.77_1.3_flip_nscale2.npz:logits_mean"]


@pytest.mark.slow
@torch.no_grad()
def test_pre_training_network(loaded) -> None:
    outputs = loaded("ocrnet.HRNet")(IMAGE)
    check("eval_ocrnet", "logit", outputs["pred"])
    check("eval_ocrnet", "soft_regions", resize(outputs["aux"], (128, 192)))


INTERPOLATED = np.load(PADDLE / "interpolate.npz")


@pytest.mark.parametrize("key", [key for key in INTERPOLATED.files if not key.startswith("alignmode1")])
def test_interpolation(key: str) -> None:
    """By a scale: floor(side * scale), coordinates by the scale; to a size: the ratio of the sizes."""
    how, size = key.rsplit("_", 1)
    height, width = map(int, size.split("x"))
    x = torch.from_numpy(image(f"paddle_interp_{size}", (1, 2, height, width)))
    if how.startswith("size"):
        got = resize(x, [int(side) for side in how.removeprefix("size").split("x")])
    else:
        got = resize_by(x, float(how.removeprefix("scaletensor").removeprefix("scale")), exact=True)
    assert got.shape == INTERPOLATED[key].shape
    np.testing.assert_allclose(got.numpy(), INTERPOLATED[key], rtol=0, atol=2e-5)


def test_sizes_of_interpolations_are_those_told() -> None:
    told = json.loads((PADDLE / "interpolate.json").read_text())["shapes"]
    assert {key: list(INTERPOLATED[key].shape) for key in told} == told


def test_scaled_inputs_differ_where_the_ratio_is_not_exact() -> None:
    x = torch.from_numpy(image("paddle_interp_33x51", (1, 2, 33, 51)))
    assert (resize_by(x, 0.5) - resize_by(x, 0.5, exact=True)).abs().max() > 1
    even = torch.from_numpy(image("paddle_interp_32x48", (1, 2, 32, 48)))
    assert (resize_by(even, 0.5) - resize_by(even, 0.5, exact=True)).abs().max() < 1e-5


def test_batch_norm() -> None:
    """Momentum 0.1 here is 0.9 there; its running variance is of the batch itself, ours is the unbiased one."""
    want, norm = np.load(PADDLE / "batchnorm.npz"), nn.BatchNorm2d(4)
    x = torch.from_numpy(image("paddle_bn", (2, 4, 3, 5)))
    pixels = x.numel() // 4
    np.testing.assert_allclose(norm(x).detach().numpy(), want["out"], rtol=0, atol=1e-6)
    assert norm.running_mean is not None and norm.running_var is not None
    np.testing.assert_allclose(norm.running_mean.numpy(), want["running_mean"], rtol=0, atol=1e-6)
    biased = 0.9 + (norm.running_var - 0.9) * (pixels - 1) / pixels
    np.testing.assert_allclose(biased.numpy(), want["running_var"], rtol=0, atol=1e-6)
