"""Networks with offset vectors as published: names and shapes, every variant's outputs, one training step in double."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from golden import fill
from narrow_nets import GOLDEN, weight
from torch import Tensor, nn

import config
import loss
import network
from inference import RULES
from inference.passes import TestTimeAugmentation, evaluating
from network import weights
from network.families import Settings
from network.trunk.hrnet import SECOND_STAGES
from options.archs import ARCHS
from utils.resize import resize

pytestmark = pytest.mark.run  # networks of full width

OFFSET = GOLDEN / "offset"
MANIFESTS = {
    "branched_seg_hrnet_w48_cityscapes": ("offset.HRNet", {}),
    "branched_seg_hrnet_w48_offset_branch3": ("offset.HRNet", {"second_branch": SECOND_STAGES[1:]}),
    "branched_seg_hrnet_w48_offset_branch2": ("offset.HRNet", {"second_branch": SECOND_STAGES}),
    "ovenet_seg_hrnet_ocr_w48_cityscapes": ("offset.HRNet_OCR", {}),
    "seg_hrnet_w48": ("seg_hrnet.HRNet", {}),
}


@pytest.mark.in_make_test("seg_hrnet_w48", "ovenet*")
@pytest.mark.parametrize("name", MANIFESTS)
def test_states_equal_the_manifests(full, name: str) -> None:
    arch, options = MANIFESTS[name]
    content = json.loads((OFFSET / f"{name}.json").read_text())
    grid = content.pop("coords", None)  # of the training crop; no part of our state
    state = full(arch, **options).state_dict()
    assert [(key, list(x.shape)) for key, x in state.items()] == list(content.items())
    told = json.loads((OFFSET / "manifest_index.json").read_text())[name]
    assert sum(p.numel() for p in full(arch, **options).parameters()) == told["params"]
    assert len(content) + bool(grid) == told["keys"]


def made(name: str, arch: str, dtype: torch.dtype = torch.float32) -> tuple[dict, Callable[..., network.Net]]:
    """The file's arrays, and make(**settings): the network with its weights, changed as the file says."""
    file = np.load(OFFSET / f"{name}.npz")
    arrays = {key: file[key] for key in file.files}
    arrays["meta"] = json.loads(str(arrays["meta"]))
    values: dict[str, Tensor] = {}

    def make(**settings: object) -> network.Net:
        with torch.device("meta"):
            net = network.compose(ARCHS[arch], Settings(19, **settings))  # type: ignore[arg-type]
        if not values:
            values.update({key: weight(key, x.shape, dtype) for key, x in net.state_dict().items()})
            for key, change in arrays["meta"].get("after_fill", {}).items():
                if "set_to" in change:
                    values[key] = torch.tensor(change["set_to"], dtype=dtype)
                else:
                    values[key] *= change["multiply_by"]
        net.load_state_dict(values, assign=True)
        return net

    return arrays, make


def image(call: str, function: str = "image") -> Tensor:
    """ "image('x',(1,3,64,96))" -> what it says."""
    return torch.from_numpy(np.ascontiguousarray(eval(call, {function: getattr(fill, function)})))  # noqa: S307 of our own file


def close(file: dict, key: str, value: Tensor) -> None:
    """Within 1e-4 of the largest value, means and deviations of the whole map too, classes where the margin allows."""
    step, got, tolerance = int(file[f"{key}__stride"]), value.numpy(), 1e-4 * float(file[f"{key}__absmax"])
    assert list(got.shape) == file[f"{key}__shape"].tolist()
    assert np.abs(got[..., ::step, ::step] - file[key]).max() <= tolerance, key
    assert np.abs(got.mean((2, 3)) - file[f"{key}__mean"]).max() <= tolerance, key
    assert np.abs(got.std((2, 3)) - file[f"{key}__std"]).max() <= tolerance, key
    if f"{key}__argmax" in file:
        assert (got.argmax(1) == file[f"{key}__argmax"]).mean() >= 0.9999, key


def native(net: network.Net, x: Tensor) -> dict[str, Tensor]:
    """All outputs at a quarter of the image."""
    with torch.inference_mode():
        return net.eval()(x, size=[side // 4 for side in x.shape[-2:]])


NAMES = {"initial": "scores", "seed": "seed_scores", "pred": "fused", "offset": "offset", "confidence": "confidence"}


@pytest.mark.slow
def test_two_ways_of_hrnet() -> None:
    file, make = made("branched_seg_hrnet_w48", "offset.HRNet")
    x = image(file["meta"]["input"])
    for name, value in native(make(), x).items():
        close(file, NAMES[name], value)


@pytest.mark.slow
def test_variants_of_hrnet() -> None:
    """`grid_sample` as newer releases of PyTorch have it by default, a refinement, and scores after a softmax."""
    file, make = made("branched_seg_hrnet_w48", "offset.HRNet")
    x = image(file["meta"]["input"])
    outputs = native(make(offset_aligned=False), x)
    close(file, "seed_scores_acF", outputs["seed"])
    close(file, "fused_acF", outputs["pred"])
    outputs = native(make(refinements=1), x)
    close(file, "refine1_offset", outputs["offset"])
    close(file, "refine1_fused", outputs["pred"])
    outputs = native(make(offset_logits=False), x)
    close(file, "softmax_scores", outputs["initial"])
    close(file, "softmax_fused", outputs["pred"])


@pytest.mark.slow
def test_ocr() -> None:
    """Of the two predictions the auxiliary head's is the first."""
    file, make = made("ovenet_seg_hrnet_ocr_w48", "offset.HRNet_OCR")
    x = image(file["meta"]["input"])
    outputs = native(make(), x)
    ends = {"scores0": "initial_aux", "seed0": "seed_aux", "fused0": "aux"}
    ends |= {"scores1": "initial", "seed1": "seed", "fused1": "pred", "offset": "offset", "confidence": "confidence"}
    assert set(ends.values()) == set(outputs)
    for key, name in ends.items():
        close(file, key, outputs[name])
    close(file, "fused1_acF", native(make(offset_aligned=False), x)["pred"])


@pytest.mark.slow
def test_a_published_file_of_ocr_without_offsets(tmp_path: Path) -> None:
    """Its parts have other names in ocrnet.HRNet; the scores are those from before they are fused."""
    file, make = made("ovenet_seg_hrnet_ocr_w48", "offset.HRNet_OCR")
    state = {f"model.{key}": x for key, x in make().state_dict().items()}
    offsets = [key for key in state if "offset" in key or key.split(".")[1].endswith("_2")]
    torch.save({key: x for key, x in state.items() if key not in offsets}, tmp_path / "best.pth")
    net = network.compose(ARCHS["ocrnet.HRNet"], Settings(19, align_corners=True))
    assert weights.load(net, tmp_path / "best.pth").complete
    outputs = native(net, image(file["meta"]["input"]))
    close(file, "scores0", outputs["aux"])
    close(file, "scores1", outputs["pred"])


@pytest.mark.slow
@pytest.mark.parametrize("aligned", [True, False])
def test_plain_hrnet(aligned: bool) -> None:
    file, make = made("seg_hrnet_w48", "seg_hrnet.HRNet")
    outputs = native(make(align_corners=aligned), image(file["meta"]["input"]))
    assert list(outputs) == ["pred"]
    close(file, "logits_acT" if aligned else "logits_acF", outputs["pred"])


@pytest.mark.slow
def test_a_training_step_in_double() -> None:
    """The four parts of the loss, their sum, outputs, gradients of all parameters, running statistics."""
    file, make = made("branched_seg_hrnet_w48_train", "offset.HRNet", torch.float64)
    net, meta = make().train(), file["meta"]
    label = image(meta["labels"], "labels")
    words = ["--arch", "offset.HRNet", "--dataset", "cityscapes", "--published", "confidence_ignored"]
    words += ["LOSS.OHEM_THRES", str(meta["thres"]), "LOSS.OHEM_KEEP", str(meta["min_kept"])]
    x = image(meta["input"]).double()
    outputs = net(x, size=[side // 4 for side in x.shape[-2:]])
    total, parts = loss.build(config.load(words))(outputs, label)
    total.backward()
    terms = [parts[name].item() for name in ("initial", "seed", "main", "confidence")]
    np.testing.assert_allclose(terms, file["f64_parts"], rtol=1e-7)
    assert total.item() == pytest.approx(float(file["f64_total"]), rel=1e-7)
    for name, key in NAMES.items():
        want, step = file[f"f64_{key}"], int(file[f"{key}__stride"])
        got = outputs[name].detach().numpy()[..., ::step, ::step]
        assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max(), name
    check_gradients(file, net)
    state = net.state_dict()
    for key in [key for key in file if key.startswith("after:")]:
        values = state[key.removeprefix("after:")].numpy()  # the recorded ones are single precision's
        assert np.abs(values - file[key]).max() <= 1e-4 * np.abs(file[key]).max(), key


def check_gradients(file: dict, net: network.Net) -> None:
    own = {name: x for name, x in net.state_dict(keep_vars=True).items() if isinstance(x, nn.Parameter)}
    norms = {name: p.grad.norm().item() for name, p in own.items() if p.grad is not None}
    assert list(norms) == list(own) == file["grad_names"].tolist()
    assert np.linalg.norm(list(norms.values())) == pytest.approx(float(file["f64_grad_norm"]), rel=1e-5)
    noise = json.loads((OFFSET / "float32_noise.json").read_text())
    # Recorded in single precision alone: noise is largest in the first layers. A bias before a batch norm has none.
    largest = max(value for key, value in noise.items() if key.startswith("train:grad:"))
    np.testing.assert_allclose(list(norms.values()), file["grad_norms"], rtol=2 * largest, atol=1e-8)
    for key in [key for key in file if key.startswith("f64_grad:")]:
        name, grad = key.removeprefix("f64_grad:"), own[key.removeprefix("f64_grad:")].grad
        assert grad is not None
        values = grad.flatten()[:: int(file[f"grad_stride:{name}"])].numpy()
        assert np.abs(values - file[key]).max() <= 1e-5 * np.abs(file[key]).max(), name


@pytest.mark.slow
def test_scales_pieces_and_mirror_images() -> None:
    """The whole procedure at test time; ours is the mean over the scales, the file holds the sum."""
    file, make = made("multiscale_flip_inference", "offset.HRNet")
    meta, net = file["meta"], make().eval()
    width, height = meta["TEST_IMAGE_SIZE"]
    rule = replace(RULES["hrnet"], base_long_edge=meta["BASE_SIZE"], piece=(height, width))
    x = image(meta["input"])

    def scores(scales: tuple[float, ...], flip: bool, output: str = "pred") -> Tensor:
        own = replace(rule, scales=scales, flip=flip)
        other = lambda part: resize(net(part)[output], part.shape[-2:])  # noqa: E731
        with evaluating(net, own), torch.inference_mode():
            found, _ = TestTimeAugmentation(net if output == "pred" else other, own).scores(x, ())
        return found * len(scales)

    close(file, "final", scores(tuple(meta["scales"]), True))
    close(file, "scale125_noflip", scores((1.25,), False))
    for key, output in (("scale1_flip", "pred"), ("scale1_flip_scores", "initial"), ("scale1_flip_seed", "seed")):
        close(file, key, scores((1.0,), True, output))
