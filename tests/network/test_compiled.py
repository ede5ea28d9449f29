"""Compilation keeps the names, and without a compiler training goes on."""

import importlib

import pytest
import torch

from network import compile_parts, compiled
from network.layers import recomputed
from network.trunk.blocks import BasicBlock
from network.trunk.timm_nets import TimmTrunk
from options.parts import TRUNKS


def test_without_a_compiler_one_line(narrow, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no C++ compiler\nmore text")

    monkeypatch.setattr(compiled.torch, "compile", broken)
    net = narrow("ocrnet.HRNet")
    assert compile_parts(net) == "--compile: no working compiler for cpu (no C++ compiler); going on without"
    assert net.eval()(torch.randn(1, 3, 64, 64))["pred"].shape == (1, 5, 64, 64)


@pytest.fixture
def compiles(monkeypatch) -> None:
    """A compiler, whatever is installed, whose settings stay."""
    monkeypatch.setattr(compiled, "_why_not", lambda device: "")
    monkeypatch.setattr(compiled, "_allow", lambda graphs: None)


def of(net) -> set[str]:
    """Names of what is compiled."""
    return {name for name, part in net.named_modules() if part._compiled_call_impl}


def test_parts_are_compiled_in_place(narrow, compiles) -> None:
    """Names stay."""
    net = narrow("ocrnet.HRNet_Mscale")
    names = list(net.state_dict())
    assert compile_parts(net) == "compiled: backbone, ocr, scale_attn (the first steps are slow)"
    assert of(net) == {"family.backbone", "family.ocr", "scale_attn"} and list(net.state_dict()) == names


def test_a_trunk_that_recomputes_is_compiled_block_by_block(narrow, compiles) -> None:
    """None within another one, and none around what is recomputed."""
    net = narrow("ocrnet.HRNet_Mscale", grad_ckpt=True)
    assert compile_parts(net) == "compiled: backbone in 4 blocks, ocr, scale_attn (the first steps are slow)"
    stages = {f"family.backbone.{name}.0" for name in ("layer1", "stage2", "stage3", "stage4")}
    assert of(net) == stages | {"family.ocr", "scale_attn"}


@pytest.mark.parametrize("name", [name for name, row in TRUNKS.items() if "grad_ckpt" in row.takes])
def test_every_trunk_of_ours_says_what_it_is_built_of(name: str) -> None:
    module, _, kind = TRUNKS[name].make.partition(":")
    assert getattr(importlib.import_module(f"network.{module}"), kind).regions


def test_more_graphs_are_allowed_never_fewer() -> None:
    with torch._dynamo.config.patch(recompile_limit=8):
        for asked, allowed in ((64, 64), (32, 64)):
            compiled._allow(asked)
            assert torch._dynamo.config.recompile_limit == allowed


@pytest.mark.slow
def test_a_compiled_block_is_recomputed_as_an_eager_one() -> None:
    """Output, gradients and running statistics, which move once; by graphs of autograd without a backend."""
    found = []
    for backend in ("", "aot_eager"):
        torch.manual_seed(0)
        block = BasicBlock(4, 4).train()
        if backend:
            block.compile(backend=backend)
        x = torch.randn(2, 4, 8, 8, requires_grad=True)
        out = recomputed(block, enabled=True)(x)
        out.square().mean().backward()
        found.append([out, x.grad, *(p.grad for p in block.parameters()), *block.buffers()])
    torch.testing.assert_close(found[1], found[0])
    assert int(found[1][-1]) == 1, "one batch is counted"


@pytest.mark.slow
def test_a_trunk_of_a_package_that_recomputes_is_compiled_whole() -> None:
    """Maps, gradients and running statistics, which move once, as those of an eager one."""
    pytest.importorskip("timm", reason="an extra: pip install timm")
    found = []
    for backend in ("", "aot_eager"):
        torch.manual_seed(0)
        trunk = TimmTrunk("test_resnet", grad_ckpt=True).train()
        if backend:
            trunk.compile(backend=backend)
        maps = trunk(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
        torch.stack([x.square().mean() for x in maps]).sum().backward()
        found.append([*maps, *(p.grad for p in trunk.parameters()), *trunk.buffers()])
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.slow
def test_compiled_equals_eager(narrow) -> None:
    net = narrow("basic.HRNet").eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        eager = net(x)["pred"]
        if not compile_parts(net).startswith("compiled"):
            pytest.skip("no compiler here")
        torch.testing.assert_close(net(x)["pred"], eager, rtol=1e-4, atol=1e-5)
