"""Hierarchical attention: the fusion by hand, which scales are seen, names and sizes of the maps."""

import copy

import pytest
import torch

from inference.memory import PeakTracker
from network.mscale import fuse
from utils.contracts import scale_name


def image(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def test_fuse_takes_the_coarse_map_where_attention_is_one() -> None:
    coarse, fine = torch.full((1, 2, 2, 2), 3.0), torch.full((1, 2, 4, 4), 5.0)
    assert (fuse(coarse, torch.ones(1, 1, 2, 2), fine) == 3).all()
    assert (fuse(coarse, torch.zeros(1, 1, 2, 2), fine) == 5).all()
    torch.testing.assert_close(fuse(coarse, torch.full((1, 1, 2, 2), 0.25), fine), torch.full((1, 2, 4, 4), 4.5))


def test_fuse_weighs_before_it_resizes() -> None:
    coarse, attention = torch.tensor([[[[2.0, 4.0]]]]), torch.tensor([[[[0.0, 1.0]]]])
    fine = torch.ones(1, 1, 1, 4)
    # attention * coarse = 0, 4 -> 0, 1, 3, 4; attention -> 0, 1/4, 3/4, 1
    torch.testing.assert_close(fuse(coarse, attention, fine), torch.tensor([[[[1.0, 1.75, 3.25, 4.0]]]]))
    # with aligned corners: 0, 4/3, 8/3, 4 and 0, 1/3, 2/3, 1
    aligned = torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]])
    torch.testing.assert_close(fuse(coarse, attention, fine, align_corners=True), aligned)


def test_scale_names() -> None:
    assert [scale_name(s) for s in (0.25, 0.5, 0.75, 1, 1.0, 1.5, 2.0)] == [
        "025x", "05x", "075x", "10x", "10x", "15x", "20x",
    ]  # fmt: skip


def test_two_scale_outputs(narrow) -> None:
    net = narrow("ocrnet.HRNet_Mscale", lo_scale=0.25)
    full = {"aux": (96, 130), "pred_10x": (96, 130), "pred_025x": (24, 32), "attn_025x": (24, 32)}
    half = {"aux": (48, 65), "pred_10x": (48, 65), "pred_025x": (12, 16), "attn_025x": (12, 16)}
    for mode, size, sizes in ((True, (48, 65), half), (True, (96, 130), full), (False, (48, 65), full)):
        out = net.train(mode)(image(2, 3, 96, 130), size=size)
        assert {name: tuple(x.shape[-2:]) for name, x in out.items()} == {"pred": size, **sizes}
        assert {name: x.shape[:2] for name, x in out.items()} == {
            name: (2, 1 if name == "attn_025x" else 5) for name in out
        }
        torch.testing.assert_close(net(image(2, 3, 96, 130))["pred"].shape, torch.Size((2, 5, 96, 130)))


@pytest.mark.parametrize("arch", ["ocrnet.HRNet_Mscale", "mscale.HRNet"])
def test_training_with_small_labels_fuses_maps_of_their_size(narrow, arch: str) -> None:
    net = narrow(arch).train()
    x = image(2, 3, 64, 96)
    torch.manual_seed(0)  # dropout
    out = net(x, size=(16, 24))  # as large as the heads' own maps
    torch.testing.assert_close(out["pred"], fuse(out["pred_05x"], out["attn_05x"], out["pred_10x"]))
    torch.manual_seed(0)
    larger = torch.nn.functional.interpolate(out["pred_10x"], (64, 96), mode="bilinear")
    torch.testing.assert_close(net(x)["pred_10x"], larger)
    assert net.eval()(x)["pred_10x"].shape[-2:] == (64, 96)  # and evaluation is not held to the last training step


@pytest.mark.parametrize("arch", ["attnscale.DeepV3R50", "mscale2.DeepV3R50", "mscale.DeepV3W38Fuse"])
def test_other_networks_of_several_scales_do_so_too(narrow, arch: str) -> None:
    out = narrow(arch, scales=(0.5, 1.0)).train()(image(2, 3, 64, 96), size=(16, 24))
    small = {"pred_05x"} if arch.startswith("attnscale") else {"pred_05x", "attn_05x"}  # its weights are the image's
    sizes = {name: tuple(x.shape[-2:]) for name, x in out.items() if name != "attn"}  # `attn`: before it is resized
    assert sizes == {name: (8, 12) if name in small else (16, 24) for name in sizes}


def test_two_scales_are_fused_by_eq_1(narrow) -> None:
    net = narrow("mscale.HRNet").eval()
    out = net(image(1, 3, 64, 96))
    torch.testing.assert_close(out["pred"], fuse(out["pred_05x"], out["attn_05x"], out["pred_10x"]))


def test_three_scales_go_from_large_to_small(narrow) -> None:
    net = narrow("ocrnet.HRNet_Mscale", scales=(0.5, 1.0, 2.0)).eval()
    out = net(image(1, 3, 64, 96))
    assert set(out) == {"pred", "aux", "pred_05x", "pred_10x", "pred_20x", "attn_05x", "attn_10x"}
    assert out["pred_20x"].shape[-2:] == (128, 192)
    shrunk = torch.nn.functional.interpolate(out["pred_20x"], (64, 96), mode="bilinear")
    both = out["attn_10x"] * out["pred_10x"] + (1 - out["attn_10x"]) * shrunk
    torch.testing.assert_close(out["pred"], fuse(out["pred_05x"], out["attn_05x"], both))


def test_the_largest_scale_is_resized_at_once_where_nobody_reads_its_own_maps(narrow) -> None:
    """Maps of a quarter of the input, enlarged by four and halved: exactly maps enlarged by two."""
    net, x = narrow("ocrnet.HRNet_Mscale", scales=(0.5, 1.0, 2.0)).double().eval(), image(1, 3, 64, 96).double()
    with torch.no_grad():
        whole = net(x, keep={"pred", "aux", "pred_20x"})
        with PeakTracker() as more:
            net(x, keep={"pred", "pred_20x"})
        with PeakTracker() as tracker:
            composed = net(x, keep={"pred", "aux"})
    assert set(composed) == {"pred", "aux"}
    for name, found in composed.items():
        torch.testing.assert_close(found, whole[name], rtol=1e-12, atol=1e-12)
    assert tracker.peak <= more.peak


@pytest.mark.parametrize(
    ("scales", "size", "expected"),
    [
        ((0.5, 1.0, 2.0), (64, 96), (64, 96)),
        ((0.5, 1.0, 2.0), (62, 96), (124, 192)),  # of a head of 32 rows
        ((0.5, 1.0, 1.5), (64, 96), (96, 144)),
        ((0.5, 2.0), (64, 96), (128, 192)),
    ],
)
def test_where_the_largest_scale_is_met(narrow, scales, size, expected) -> None:
    net = narrow("ocrnet.HRNet_Mscale", scales=scales).eval()
    own = [int(side * scales[-1]) for side in size]
    small = [side // 4 for side in own] if size[0] % 4 == 0 else [32, 48]
    assert tuple(net._met_at(image(1, 3, *size), small, own)) == expected


def test_n_scales_equal_two_scales_where_they_are_the_same(narrow) -> None:
    two, n = narrow("ocrnet.HRNet_Mscale").eval(), narrow("ocrnet.HRNet_Mscale", scales=(1.0, 0.5)).eval()
    x = image(1, 3, 64, 96)
    expected = two(x)
    assert {k: torch.equal(v, expected[k]) for k, v in n(x).items()} == dict.fromkeys(expected, True)


def test_training_sees_two_scales_whatever_n_scales_says(narrow) -> None:
    net = narrow("ocrnet.HRNet_Mscale", scales=(0.5, 1.0, 2.0)).train()
    assert "pred_20x" not in net(image(2, 3, 64, 64))


def test_second_scale_off(narrow) -> None:
    """Scale 1 alone, the attention's parameters take part with a zero."""
    net = narrow("ocrnet.HRNet_Mscale").train()
    net.second_scale_from = 3
    net.start_epoch(2)
    out = net(image(2, 3, 64, 64))
    assert set(out) == {"pred", "aux"}
    out["pred"].square().mean().backward()
    assert all((p.grad == 0).all() for p in net.scale_attn.parameters())
    net.start_epoch(3)
    assert set(net(image(2, 3, 64, 64))) == {"pred", "aux", "pred_10x", "pred_05x", "attn_05x"}
    net.start_epoch(0)
    assert set(net.eval()(image(1, 3, 64, 64))) == {"pred", "aux", "pred_10x", "pred_05x", "attn_05x"}


def test_maps_are_fused_in_float32(narrow) -> None:
    net = narrow("ocrnet.HRNet_Mscale").eval().bfloat16()
    assert {x.dtype for x in net(image(1, 3, 64, 64).bfloat16()).values()} == {torch.float32}


def test_a_copy_is_independent(narrow) -> None:
    net = narrow("ocrnet.HRNet_Mscale").eval()
    x = image(1, 3, 64, 64)
    twin, before = copy.deepcopy(net), net(x)["pred"]
    for p in net.parameters():
        p.data.zero_()
    assert torch.equal(twin(x)["pred"], before)


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ({}, ["conv0.weight", "bn0.weight", "bn0.bias", "conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight"]),
        ({"inner_3x3": False}, ["conv0.weight", "bn0.weight", "bn0.bias", "conv2.weight"]),
        ({"old_attention": True}, ["0.weight", "1.weight", "1.bias", "3.weight", "4.weight", "4.bias", "6.weight"]),
    ],
)
def test_attention_variants(narrow, flags: dict, names: list[str]) -> None:
    net = narrow("ocrnet.HRNet_Mscale", **flags).eval()
    assert [name for name, _ in net.scale_attn.named_parameters()] == names
    attention = net(image(1, 3, 64, 64))["attn_05x"]
    assert ((attention - 0.5).abs() < 0.05).all()  # both scales count alike at the start
    assert bool((attention == 0.5).all()) == ("old_attention" in flags)


def test_attention_dropout(narrow) -> None:
    net = narrow("ocrnet.HRNet_Mscale", attention_dropout=True)
    assert [m.p for m in net.scale_attn if isinstance(m, torch.nn.Dropout)] == [0.5]
    assert list(net.state_dict()) == list(narrow("ocrnet.HRNet_Mscale").state_dict())
