"""Names, shapes, outputs, losses and gradients equal those recorded from the published networks."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden.fill import image, labels
from narrow_nets import GOLDEN

from network.net import published
from options.archs import ANY, ARCHS
from utils.resize import resize

pytestmark = pytest.mark.run

NVIDIAS = [name for name, row in ARCHS.items() if not (row.aligned or row.offsets or row.head in (ANY, "pointwise"))]
MANIFESTS = [(name, 19) for name in NVIDIAS] + [("ocrnet.HRNet_Mscale_mapillary65", 65)]
FORWARD = [
    pytest.param("ocrnet.HRNet_Mscale.two_scale"),
    pytest.param("deepv3.DeepV3PlusR50"),
    pytest.param("deepv3.DeepV3PlusW38"),
    pytest.param("mscale.DeepV3R50.n_scales"),
    pytest.param("mscale2.DeepV3R50.two_scale"),
    pytest.param("mscale2.DeepV3R50.n_scales"),
    pytest.param("attnscale.DeepV3R50"),
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("ocrnet.HRNet", "ocrnet.HRNet_Mscale.n_scales", "basic.HRNet", "mscale.HRNet.two_scale")
    ),
]
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.mark.in_make_test("ocrnet*", "deepv3*", "basic.HRNet-*", "mscale2*")
@pytest.mark.parametrize(("name", "classes"), MANIFESTS)
def test_state_equals_the_manifest(full, golden, name: str, classes: int) -> None:
    """Names, order and shapes of the state; the parameters' order, by which optimizer states are indexed."""
    manifest = golden(f"manifests/{name}.json")
    if "SRNX" in name:  # the one exception: published, these two cannot run
        manifest["bot_fine.weight"] = [48, 256, 1, 1]
    scales = (0.5, 1.0, 2.0) if name.startswith("attnscale.") else ()
    net = full(name.removesuffix("_mapillary65"), classes, scales=scales)
    assert {key: list(x.shape) for key, x in net.state_dict().items()} == manifest
    assert list(net.state_dict()) == list(manifest)
    parameters = [published(net, key) for key, _ in net.named_parameters()]
    assert parameters == [key for key in manifest if not key.endswith(BUFFERS)]


@pytest.mark.in_make_test("ocrnet.HRNet_Mscale.two_scale")
@pytest.mark.run
@pytest.mark.parametrize("name", FORWARD)
def test_forward(filled, golden, name: str) -> None:
    case, expected = golden("forward.json")[name], np.load(GOLDEN / "nvidia" / f"forward_{name}.npz")
    scales = [float(s) for s in case["flags"][1].split(",")] if case["flags"] else []
    net = filled(case["arch"], case["num_classes"], scales=tuple(scales)).eval()
    with torch.no_grad():
        out = net(torch.from_numpy(image(case["input_name"], case["input_shape"], case["salt"])))
    for key, told in case["outputs"].items():
        x, stride, want = out[key.replace(".", "")].numpy(), told["stride"], expected[key]
        assert list(x.shape) == told["shape"], key
        assert np.abs(x[:, :, ::stride, ::stride] - want).max() <= 1e-4 * told["max_abs"], key
        np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), expected[f"{key}.mean"].ravel(), atol=1e-4 * told["max_abs"])
        if f"{key}.argmax" in expected:
            assert (x.argmax(axis=1) == expected[f"{key}.argmax"]).mean() >= 0.999, key


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ce", "ce_single_scale"])
def test_training_step(filled, golden, name: str) -> None:
    """Loss, gradients and running statistics of one step in double precision."""
    case = golden("train_step.json")[name]
    want, shape = case["float64"], case["input_shape"]
    net = filled(case["arch"], dtype=torch.float64, ocr_dropout=0.0).train()
    target = torch.from_numpy(labels(case["input_name"], (shape[0], *shape[2:]), 19))
    out = net(torch.from_numpy(image(case["input_name"], shape)).double())

    def loss_of(key: str) -> torch.Tensor:
        return F.cross_entropy(resize(out[key], target.shape[-2:]), target, ignore_index=255)

    loss = loss_of("pred") + 0.4 * loss_of("aux")
    if "pred_05x" in out:
        loss = loss + 0.05 * (loss_of("pred_05x") + loss_of("pred_10x"))
    loss.backward()
    assert loss.item() == pytest.approx(want["loss"], rel=1e-6)
    state = net.state_dict(keep_vars=True)
    assert {k: state[k].grad.norm().item() for k in want["grad_norm"]} == pytest.approx(want["grad_norm"], rel=1e-4)
    total = sum(p.grad.square().sum().item() for p in net.parameters()) ** 0.5
    assert total == pytest.approx(want["total_grad_norm"], rel=1e-4)
    norms = {k: state[k].norm().item() for k in want["buffer_norm_after"]}
    assert norms == pytest.approx(want["buffer_norm_after"], rel=1e-6)
