"""The trunk: widths, strides, and that recomputed activations change nothing."""

import pytest
import torch
from torch import nn

from network.layers import recomputed
from network.trunk.hrnet import HRNet, Stage, scaled

SMALL = tuple(Stage(1, (1,) * n) for n in (1, 2, 3, 4))


def image(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("width", [48, 32, 18, 12])
def test_widths(width: int) -> None:
    with torch.device("meta"):
        trunk = HRNet(width)
    assert trunk.joined == (4, 15 * width)
    widths = [trunk.get_submodule(f"stage4.2.branches.{b}.3.conv2").out_channels for b in range(4)]
    assert widths == [width, 2 * width, 4 * width, 8 * width]
    assert (trunk.conv2.out_channels, trunk.layer1[3].conv3.out_channels) == (64, 256)


def test_width_multiplier_reaches_the_stem() -> None:
    with torch.device("meta"):
        trunk = HRNet(48, 0.25)
    assert trunk.joined == (4, 12 * 15)
    assert (trunk.conv1.out_channels, trunk.conv2.out_channels, trunk.layer1[3].conv3.out_channels) == (16, 16, 64)


def test_scaled_rounds_to_fours() -> None:
    assert [scaled(64, 1.0), scaled(18, 1.0), scaled(18, 0.5), scaled(4, 0.1), scaled(64, 0.3)] == [64, 18, 8, 4, 20]


def test_stages() -> None:
    stages = (Stage(1, (2,)), Stage(1, (1, 2)), Stage(2, (1, 1, 1)), Stage(1, (1, 1, 1, 3)))
    trunk = HRNet(4, 1.0, stages)
    assert (len(trunk.layer1), len(trunk.stage3), len(trunk.stage4[0].branches[3])) == (2, 2, 3)


@pytest.mark.parametrize(("size", "expected"), [((64, 128), (16, 32)), ((65, 97), (17, 25)), ((33, 34), (9, 9))])
def test_output_has_a_quarter_of_the_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    trunk = HRNet(8, 0.5, SMALL).eval()
    assert trunk.join(trunk(image(1, 3, *size))).shape == (1, 4 + 8 + 16 + 32, *expected)


@pytest.mark.parametrize("branch", [2, 3, 4])
def test_a_second_branch_has_the_shapes_of_the_first(branch: int) -> None:
    """Its maps stand behind those of the levels, and only `join_branches` reads them."""
    trunk = HRNet(8, 0.5, SMALL, second_branch=SMALL[branch - 1 :]).eval()
    maps = trunk(image(1, 3, 64, 96))
    first, second = maps[: len(trunk.levels)], maps[len(trunk.levels) :]
    assert trunk.branches == 2 and len(maps) == 2 * len(trunk.levels)
    assert [x.shape for x in first] == [x.shape for x in second]
    assert [x.shape[1] for x in first] == [level.channels for level in trunk.levels]
    joined, evidence = trunk.join_branches(maps)
    assert torch.equal(joined, trunk.join(first)) and torch.equal(joined, trunk.join(maps))
    assert evidence is not None and torch.equal(evidence, trunk.join(second))
    single = HRNet(8, 0.5, SMALL)
    assert single.branches == 1 and single.join_branches(single(image(1, 3, 64, 96)))[1] is None


def test_start_keeps_signals_alive() -> None:
    """From random weights every branch has features of ordinary size, neither vanished nor exploded."""
    torch.manual_seed(0)
    trunk = HRNet(12).train()
    spreads = [part.std().item() for part in trunk(image(2, 3, 64, 64))]
    assert all(0.1 < spread < 10 for spread in spreads), spreads


def step(net: nn.Module) -> dict[str, torch.Tensor]:
    """Gradients and running statistics after one step of training."""
    torch.manual_seed(3)  # dropout
    net.train()
    out = net(image(2, 3, 64, 64))
    (out["pred"].square().mean() + out["aux"].square().mean()).backward()
    state = net.state_dict(keep_vars=True)
    grads = {f"{name}.grad": x.grad for name, x in state.items() if x.grad is not None}
    return grads | {name: x.clone() for name, x in state.items() if not isinstance(x, nn.Parameter)}


@pytest.mark.parametrize("arch", ["ocrnet.HRNet", "ocrnet.HRNet_Mscale"])
def test_recomputed_activations_change_nothing(narrow, arch: str) -> None:
    plain, recomputing = step(narrow(arch)), step(narrow(arch, grad_ckpt=True))
    assert plain.keys() == recomputing.keys()
    assert all(torch.equal(plain[name], recomputing[name]) for name in plain)
    passes = 2 if arch.endswith("Mscale") else 1
    assert plain["backbone.stage4.0.branches.0.0.bn1.num_batches_tracked"] == passes
    assert plain["backbone.bn1.num_batches_tracked"] == passes


def saved_bytes(net: nn.Module) -> int:
    """What autograd holds between forward and backward pass."""
    total = 0

    def pack(x: torch.Tensor) -> torch.Tensor:
        nonlocal total
        total += x.numel() * x.element_size()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        net.train()(image(2, 3, 64, 64))
    return total


def test_recomputing_saves_memory(narrow) -> None:
    trunk = narrow("ocrnet.HRNet").backbone
    plain = saved_bytes(trunk)
    trunk.grad_ckpt = True
    assert saved_bytes(trunk) < plain / 2


def test_recomputing_restores_norms_after_an_error() -> None:
    """Statistics and momentum come back even if the recomputation breaks off, as it does when all is recomputed."""
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
    norm = module[1]
    counter = norm.num_batches_tracked
    recomputed(module, True)(image(2, 3, 8, 8)).sum().backward()
    assert norm.momentum == 0.1
    assert norm.num_batches_tracked is counter
    assert counter == 1


def test_without_gradients_nothing_is_wrapped() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1))
    assert recomputed(module, False) is module
    assert recomputed(module.eval(), True) is module
    with torch.no_grad():
        assert recomputed(module.train(), True) is module
