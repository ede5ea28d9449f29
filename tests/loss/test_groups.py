"""Groups of parameters: rates by part and layer, what decays, and from which epoch on."""

import pytest
import torch
from torch import nn

import config
import network
from loss import optimizer
from utils.errors import UserError

WORDS = ["--dataset", "camvid", "--optimizer", "adamw", "--lr", "0.5", "--weight_decay", "0.1"]


def built(*words: str) -> tuple[network.Net, torch.optim.Optimizer]:
    cfg = config.load([*WORDS, *words])
    torch.manual_seed(0)
    net = network.build(cfg)
    return net, optimizer.build(cfg, net, net.trunk_layers())


def rates(net: nn.Module, made: torch.optim.Optimizer, epoch: int = 0) -> dict[str, float]:
    optimizer.set_rate(made, 1.0, epoch)
    of = {id(p): group["lr"] for group in made.param_groups for p in group["params"]}
    return {name: of[id(p)] for name, p in net.named_parameters()}


def test_nothing_asked_is_one_group() -> None:
    net, made = built("--trunk", "resnet50", "--head", "plain", "--width_mult", "0.05")
    (group,) = made.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in net.parameters()]


def test_layers_of_a_trunk_of_ours() -> None:
    net, made = built("--trunk", "resnet50", "--head", "plain", "--width_mult", "0.05", "--layer_decay", "0.5",
                      "--trunk_lr_mult", "0.25")  # fmt: skip
    found = rates(net, made)
    parts = ["layer0", "layer1", "layer2", "layer3", "layer4"]
    for number, part in enumerate(parts):
        of = {rate for name, rate in found.items() if f"backbone.{part}." in name}
        assert of == {0.25 * 0.5 ** (len(parts) - number)}
    assert {rate for name, rate in found.items() if ".backbone." not in f".{name}"} == {1.0}


def test_layers_of_a_transformer() -> None:
    """timm counts positions and patches as layer 0, then each block; what is not timm's has the full rate."""
    timm = pytest.importorskip("timm", reason="an extra: pip install timm")
    words = ["--trunk", "timm:vit_tiny_patch16_224", "--head", "plain", "--segattn_bot_ch", "8"]
    net, made = built(*words, "--layer_decay", "0.5", "--decay_on", "conv")
    found = rates(net, made)
    last = max(net.trunk_layers().values())
    body = "trunk.body" if "trunk.body.pos_embed" in found else "backbone.body"
    assert found[f"{body}.pos_embed"] == found[f"{body}.patch_embed.proj.weight"] == 0.5 ** (last + 1)
    blocks = [found[f"{body}.blocks.{number}.mlp.fc1.weight"] for number in range(12)]
    assert all(later == 2 * earlier for earlier, later in zip(blocks, blocks[1:], strict=False))
    assert all(rate == 1 for name, rate in found.items() if body not in name)
    decays = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
    parameters = dict(net.named_parameters())
    kept = {"pos_embed", "cls_token", "blocks.3.norm1.weight", "blocks.3.attn.qkv.bias"}
    assert all(decays[id(parameters[f"{body}.{name}"])] == 0 for name in kept)
    assert decays[id(parameters[f"{body}.blocks.3.attn.qkv.weight"])] == 0.1
    assert timm


def test_parts_are_unfrozen_from_the_last_to_the_first() -> None:
    net, made = built("--trunk", "resnet50", "--head", "plain", "--width_mult", "0.05", "--unfreeze", "1,3")
    learning = []
    for epoch in range(4):
        found = rates(net, made, epoch)
        learning.append({name.split(".")[1] for name, rate in found.items() if rate and name.startswith("backbone.")})
        assert all(rate == 1 for name, rate in found.items() if not name.startswith("backbone."))
    late = {"layer3", "layer4", "layer2"}
    assert learning == [set(), late, late, late | {"layer0", "layer1"}]


def test_what_waits_does_not_move() -> None:
    net, made = built("--trunk", "resnet50", "--head", "plain", "--width_mult", "0.05", "--unfreeze", "1")
    net.wait(made.param_groups)
    trunk, before = net.trunk_module, [p.clone() for p in net.trunk_module.parameters()]
    means = [x.clone() for name, x in trunk.named_buffers() if name.endswith("running_mean")]
    for epoch in (0, 1):
        net.start_epoch(epoch)
        net.train()(torch.randn(2, 3, 32, 32))["pred"].square().mean().backward()
        optimizer.set_rate(made, 0.1, epoch)
        made.step()
        same = [torch.equal(a, b) for a, b in zip(before, trunk.parameters(), strict=True)]
        assert all(same) if epoch == 0 else not any(same)
        now = [x for name, x in trunk.named_buffers() if name.endswith("running_mean")]
        same = [torch.equal(a, b) for a, b in zip(means, now, strict=True)]
        assert means and all(same) if epoch == 0 else not any(same), "running statistics wait, too"


@pytest.mark.parametrize("words", [["--unfreeze", "3,1"], ["--layer_decay", "0"], ["--layer_decay", "1.1"],
                                   ["--trunk_lr_mult", "0"], ["--unfreeze", "-1"]])  # fmt: skip
def test_what_makes_no_sense_is_refused(words: list[str]) -> None:
    with pytest.raises(UserError, match=words[0]):
        built("--trunk", "resnet50", "--head", "plain", *words)


@pytest.mark.in_make_test("resnet50", "timm:mobilenet*")
@pytest.mark.parametrize("trunk", ["hrnet", "resnet50", "timm:mobilenetv4_conv_small", "timm:vit_tiny_patch16_224"])
def test_first_stages_stay(trunk: str) -> None:
    """Neither weights nor running statistics of the first stages move; those of the others do."""
    if trunk.startswith("timm:"):
        pytest.importorskip("timm", reason="an extra: pip install timm")
    width = [] if trunk.startswith("timm:") else ["--width_mult", "0.05"]
    net, made = built("--trunk", trunk, "--head", "plain", "--segattn_bot_ch", "8", "--freeze_stages", "2", *width)
    part = net.trunk_module
    before = {name: x.clone() for name, x in part.pretrained.state_dict().items()}
    net.train()(torch.randn(2, 3, 64, 64))["pred"].square().mean().backward()
    optimizer.set_rate(made, 0.1, 0)
    made.step()
    early = {name for name, stage in part.layers(stages=True).items() if stage < 2}
    parameters = dict(part.pretrained.named_parameters())
    assert early and all(not parameters[name].requires_grad for name in early)
    after = part.pretrained.state_dict()
    moved = {name for name in parameters if not torch.equal(before[name], after[name])}
    assert moved == parameters.keys() - early
    frozen = [
        module for module in part.pretrained.modules() if isinstance(module, nn.BatchNorm2d) and not module.training
    ]
    assert all(not p.requires_grad for module in frozen for p in module.parameters())


def test_no_more_stages_than_there_are() -> None:
    with pytest.raises(UserError, match="--freeze_stages 9: this trunk has 5; --freeze_trunk leaves all"):
        built("--trunk", "resnet50", "--head", "plain", "--width_mult", "0.05", "--freeze_stages", "9")
    with pytest.raises(UserError, match="leave --freeze_stages out"):
        built("--trunk", "resnet50", "--head", "plain", "--freeze_trunk", "--freeze_stages", "1")
