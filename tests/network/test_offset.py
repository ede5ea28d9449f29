"""Seed pixels: what is sampled where, refinement, what is fused; the offset head on other trunks; what is frozen."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import config
import network
from network.head.offset import Seeds, SeedSampling
from network.net import Net
from network.trunk.hrnet import Stage
from options.archs import ARCHS
from utils.distributed import DistributedContext, sync_batchnorm
from utils.errors import UserError
from utils.positions import grid, sample

pytestmark = pytest.mark.run

OFFSETS = sorted(name for name, arch in ARCHS.items() if arch.offsets)
MAPS = {"pred", "initial", "seed", "offset", "confidence"}


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def constant(x: float, y: float, like: Tensor) -> Tensor:
    """The offset (x, y) everywhere: (N, 2, h, w)."""
    return torch.tensor([x, y], dtype=like.dtype).view(1, 2, 1, 1).expand(len(like), 2, *like.shape[-2:])


def settled(scores: Tensor, offset: Tensor, confidence: float, **options: bool) -> tuple[Tensor, Tensor, Tensor]:
    return SeedSampling(**options).fuse_seed(scores, Seeds(offset, torch.full_like(offset[:, :1], confidence)))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(5, 9), (32, 40), (1, 7)])
def test_no_offset_is_the_pixel_itself(size: tuple[int, int]) -> None:
    scores = draw(2, 3, *size)
    _, seed, fused = settled(scores, constant(0, 0, scores), 1.0)
    torch.testing.assert_close(seed, scores)
    torch.testing.assert_close(fused, scores)
    if min(size) > 1:
        _, other, _ = settled(scores, constant(0, 0, scores), 1.0, align_corners=False)
        assert not torch.allclose(other, scores, atol=1e-3)


def test_a_known_offset() -> None:
    """Two columns to the right and one row up, of 9 and 5; beyond the border the last pixel is taken."""
    scores = draw(2, 3, 5, 9)
    _, seed, _ = settled(scores, constant(2 * 2 / 8, -1 * 2 / 4, scores), 1.0)
    torch.testing.assert_close(seed[..., 1:, :7], scores[..., :-1, 2:])
    torch.testing.assert_close(seed[..., 1:, 7:], scores[..., :-1, -1:].expand(-1, -1, -1, 2))
    torch.testing.assert_close(seed[..., 0, :7], scores[..., 0, 2:])
    _, between, _ = settled(scores, constant(0.5 * 2 / 8, 0, scores), 1.0)
    torch.testing.assert_close(between[..., :-1], (scores[..., 1:] + scores[..., :-1]) / 2)


def test_an_offset_means_the_same_at_any_resolution() -> None:
    ramp = torch.linspace(0, 1, 9, dtype=torch.float64).expand(1, 1, 5, 9)
    fine = torch.linspace(0, 1, 33, dtype=torch.float64).expand(1, 1, 17, 33)
    for x in (ramp, fine):
        _, seed, _ = settled(x, constant(0.5, 0.3, x), 1.0)
        torch.testing.assert_close(seed, (x + 0.25).clamp(max=1))


@pytest.mark.parametrize("confidence", [0.0, 0.25, 1.0])
def test_confidence_decides_between_pixel_and_seed(confidence: float) -> None:
    scores = draw(1, 3, 6, 8)
    initial, seed, fused = settled(scores, constant(0.4, 0.2, scores), confidence)
    torch.testing.assert_close(fused, (1 - confidence) * initial + confidence * seed)
    assert torch.equal(initial, scores)


def test_scores_after_a_softmax() -> None:
    scores = draw(1, 3, 6, 8)
    initial, _, fused = settled(scores, constant(0.4, 0.2, scores), 0.3, logits=False)
    torch.testing.assert_close(initial, scores.softmax(1))
    torch.testing.assert_close(fused.sum(1), torch.ones(1, 6, 8, dtype=torch.float64))


def test_reading_the_head() -> None:
    raw = 5 * draw(2, 3, 6, 8)
    offset, confidence = SeedSampling(threshold=0.2).read(raw)
    torch.testing.assert_close(offset, 0.2 * raw[:, :2].tanh())
    torch.testing.assert_close(confidence, raw[:, 2:].sigmoid())
    half = SeedSampling().read(raw.bfloat16())
    assert {x.dtype for x in half} == {torch.float32}  # positions in half precision would be pixels apart


def test_refinement_adds_the_offset_found_at_the_seed() -> None:
    """One column to the right everywhere: two there, from the second step on four; nothing lies beyond the border."""
    raw = torch.zeros(1, 3, 5, 9, dtype=torch.float64)
    raw[:, 0] = torch.atanh(torch.tensor(2 / 8 / 0.5))
    one, two, four = (SeedSampling(refinements=n).read(raw).offset for n in (0, 1, 2))
    torch.testing.assert_close(one, constant(2 / 8, 0, raw))
    torch.testing.assert_close(two, constant(4 / 8, 0, raw))
    torch.testing.assert_close(four, constant(8 / 8, 0, raw))
    raw[..., 4:] = 0
    varied = SeedSampling(refinements=1).read(raw).offset[0, 0, 0] * 4  # in columns
    torch.testing.assert_close(varied, torch.tensor([2.0, 2, 2, 1, 0, 0, 0, 0, 0], dtype=torch.float64))


def test_gradient_reaches_scores_offsets_and_confidence() -> None:
    scores, raw = draw(1, 3, 4, 5).requires_grad_(), (0.3 * draw(1, 3, 4, 5)).requires_grad_()
    sampling = SeedSampling(refinements=1)
    assert torch.autograd.gradcheck(lambda s, r: sampling.fuse_seed(s, sampling.read(r)).fused, (scores, raw))


def test_sampling_by_the_grid_is_the_identity() -> None:
    x = draw(2, 3, 7, 11)
    torch.testing.assert_close(sample(x, grid(x).expand(2, -1, -1, -1)), x)
    assert grid(x)[0, :, 0, -1].tolist() == [1, -1]


# --- networks -----------------------------------------------------------------------------------------------------


@pytest.mark.in_make_test("offset.HRNet*", "offset.DeepV3PlusR50", "offset.encoder_decoder")
@pytest.mark.parametrize("arch", OFFSETS)
def test_outputs(narrow, arch: str) -> None:
    net = narrow(arch).eval()
    out = net(draw(1, 3, 64, 96).float())
    more = {"aux", "initial_aux", "seed_aux"} if "OCR" in arch else set()
    more |= {"deepsup"} if "encoder_decoder" in arch else set()
    more |= {"pred_05x", "pred_10x", "attn_05x"} if arch.endswith("Mscale") else set()
    assert set(out) == MAPS | more
    size = (64, 96) if arch.endswith("Mscale") else tuple(out["initial"].shape[-2:])
    channels = {"pred": 5, "initial": 5, "seed": 5, "offset": 2, "confidence": 1}
    assert {name: tuple(out[name].shape[1:]) for name in MAPS - {"pred"}} == {
        name: (channels[name], *size) for name in MAPS - {"pred"}
    }
    assert (out["confidence"] >= 0).all() and (out["confidence"] <= 1).all()
    assert out["offset"].abs().max() <= (0.2 if "OCR" in arch else 0.5)


@pytest.mark.in_make_test("offset.HRNet", "offset.HRNet_OCR", "offset.DeepV3PlusR50", "offset.encoder_decoder")
@pytest.mark.parametrize("arch", OFFSETS)
def test_the_offset_head_learns_through_the_fused_prediction(narrow, arch: str) -> None:
    net = narrow(arch).train()
    net(draw(2, 3, 64, 64).float(), keep=("pred",))["pred"].square().mean().backward()
    (head,) = (part for name, part in net.parts().items() if name in ("offset_layer", "aux_head_offset"))
    last = head[-1]
    assert last.weight.grad.abs().amax((1, 2, 3)).min() > 0  # x, y and confidence


@pytest.mark.parametrize("branch", [4, 3, 2])
def test_the_second_branch_alone_decides_on_offsets(narrow, branch: int) -> None:
    second_branch = tuple(Stage(1, (1,) * n) for n in range(branch, 5))
    net, x = narrow("offset.HRNet", second_branch=second_branch).train(), draw(2, 3, 64, 64).float()
    before = net(x)
    first = next(p for p in net.trunk_module.get_submodule(f"transition{branch - 1}_2").parameters())
    nn.init.zeros_(first)
    after = net(x)
    assert torch.equal(before["initial"], after["initial"])
    assert not torch.equal(before["offset"], after["offset"])
    names = {name for name, _ in net.trunk_module.named_children() if name.endswith("_2")}
    assert names == {name for n in range(branch, 5) for name in (f"stage{n}_2", f"transition{n - 1}_2")}


def test_start_and_batch_norm_as_published(narrow) -> None:
    for arch in ("offset.HRNet", "offset.HRNet_OCR", "seg_hrnet.HRNet"):
        net = narrow(arch, width=48, width_mult=1.0)
        spread = torch.cat([m.weight.flatten() for m in net.modules() if isinstance(m, nn.Conv2d)]).std().item()
        assert spread == pytest.approx(0.001, rel=0.05)
        assert {m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)} == {0.01}


WORDS = ["--dataset", "cityscapes", "--hrnet_width", "4", "--width_mult", "0.25"]


def built(*words: str) -> Net:
    return network.build(config.load([*WORDS, *words]))


def test_options_reach_the_network() -> None:
    net = built("--arch", "offset.HRNet", "MODEL.OFFSET_BRANCH", "3", "MODEL.OCR_EXTRA.STAGE3_2.NUM_MODULES", "2")
    trunk = net.trunk_module
    assert len(trunk.get_submodule("stage3_2")) == 2 and len(trunk.get_submodule("stage4_2")) == 2  # type: ignore[arg-type]
    options = ["MODEL.OFFSET_THRESHOLD", "0.3", "MODEL.ITERATIVE_REFINEMENT", "2", "MODEL.LOGITS", "false"]
    net = built("--arch", "offset.HRNet", *options, "--published", "grid_false")
    assert net.sampling == SeedSampling(0.3, 2, False, False)
    net = built("--arch", "offset.HRNet_OCR")
    assert net.sampling == SeedSampling(0.2)
    assert net.align_corners and not built("--arch", "offset.HRNet").align_corners


@pytest.mark.parametrize("arch", ["offset.HRNet", "offset.HRNet_OCR", "offset.DeepV3PlusR50"])
def test_freezed_par_trains_the_offset_branch_alone(arch: str) -> None:
    narrow = ["--aspp_bot_ch", "8", "--segattn_bot_ch", "8"] if "DeepV3" in arch else ["--hrnet_width", "4"]
    words = ["--dataset", "cityscapes", "--width_mult", "0.25", "--arch", arch, "MODEL.FREEZED_PAR", "true", *narrow]
    net = network.build(config.load(words))
    net.train()
    own = {"offset_layer", "aux_head_offset", "transition3_2", "stage4_2"}
    state = net.state_dict(keep_vars=True)
    trained = {name.split(".")[0] for name, p in state.items() if p.requires_grad}
    assert trained == own & {name.split(".")[0] for name in state}
    before = {k: x.clone() for k, x in net.state_dict().items()}
    net(draw(2, 3, 64, 64).float())["pred"].square().mean().backward()
    moved = {k.split(".")[0] for k, x in net.state_dict().items() if not torch.equal(x, before[k])}
    assert moved and moved <= own  # running statistics


@pytest.mark.parametrize(
    "words, message",
    [
        (["--arch", "basic.HRNet", "MODEL.FREEZED_PAR", "true"], "MODEL.FREEZED_PAR is of networks with offset"),
        (["--arch", "basic.HRNet", "MODEL.OFFSET_PRETRAINED", "x.pth"], "MODEL.OFFSET_PRETRAINED is of networks"),
        (["--arch", "offset.HRNet", "MODEL.OFFSET_BRANCH", "1"], "MODEL.OFFSET_BRANCH lies between 2 and 4, not 1"),
        (["--arch", "offset.HRNet", "MODEL.OFFSET_THRESHOLD", "0"], "MODEL.OFFSET_THRESHOLD must be above 0"),
        (["--arch", "offset.HRNet", "MODEL.ITERATIVE_REFINEMENT", "-1"], "MODEL.ITERATIVE_REFINEMENT must not be neg"),
        (["--arch", "offset.HRNet", "MODEL.OCR_EXTRA.STAGE4_2.NUM_BLOCKS", "1,1"], "STAGE4_2: 2 modules with blocks"),
    ],
)
def test_mistakes(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        built(*words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arch", ["seg_hrnet.HRNet", "offset.HRNet_Mscale", "deepv3.DeepWV3Plus"])
@pytest.mark.parametrize(
    "convert", [nn.SyncBatchNorm.convert_sync_batchnorm, lambda n: sync_batchnorm(n, DistributedContext(0, 2))]
)
def test_a_trunk_without_a_name_is_converted_with_the_network(narrow, arch: str, convert: Callable[..., Net]) -> None:
    """What replaces its layers is what runs, and keeps the names in the state."""
    names = list(narrow(arch).state_dict())
    net = convert(narrow(arch))
    assert not [name for name, m in net.trunk_module.named_modules() if type(m) is nn.BatchNorm2d]
    assert any(type(m) is nn.SyncBatchNorm or type(m).__name__ != "BatchNorm2d" for m in net.trunk_module.modules())
    assert list(net.state_dict()) == names


def test_ocr_before_offsets_is_the_other_network_with_ocr() -> None:
    """What HRNet's code calls seg_hrnet_ocr: the parts of `ocrnet.HRNet` under other names, corners aligned."""
    words = "--width_mult 0.1 MODEL.OCR.MID_CHANNELS 16 MODEL.OCR.KEY_CHANNELS 8".split()
    theirs = network.build(config.load(["--arch", "offset.HRNet_OCR", *words])).eval()
    ours = network.build(config.load(["--arch", "ocrnet.HRNet", "--align_corners", *words])).eval()
    renamed = {}
    for name, x in theirs.state_dict().items():
        part, _, rest = name.partition(".")
        rest = "1.0" + rest[1:] if part in ("conv3x3_ocr", "aux_head") and rest.startswith("1.") else rest
        rest = "2" + rest[1:] if part == "aux_head" and rest.startswith("3.") else rest
        if not part.endswith("_2") and part != "aux_head_offset":
            place = "ocr" if part in ("conv3x3_ocr", "ocr_distri_head", "cls_head", "aux_head") else "backbone"
            renamed[f"{place}.{part}.{rest}"] = nn.init.normal_(x, std=0.1) if x.dim() == 4 else x
    ours.load_state_dict(renamed)
    image = draw(1, 3, 64, 96).float()
    with torch.inference_mode():
        expected, found = theirs(image), ours(image, size=(16, 24))
    assert expected["initial"].std() > 0
    torch.testing.assert_close(found["pred"], expected["initial"])
    torch.testing.assert_close(found["aux"], expected["initial_aux"])
