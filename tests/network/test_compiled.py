"""Compilation keeps the names, and without a compiler training goes on."""

import pytest
import torch

from network import compile_parts, compiled


def test_without_a_compiler_one_line(narrow, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no C++ compiler\nmore text")

    monkeypatch.setattr(compiled.torch, "compile", broken)
    net = narrow("ocrnet.HRNet")
    assert compile_parts(net) == "--compile: no working compiler for cpu (no C++ compiler); going on without"
    assert net.eval()(torch.randn(1, 3, 64, 64))["pred"].shape == (1, 5, 64, 64)


def test_parts_are_compiled_in_place(narrow, monkeypatch) -> None:
    """A recomputing trunk stays eager; names stay."""
    monkeypatch.setattr(compiled, "_why_not", lambda device: "")
    net = narrow("ocrnet.HRNet_Mscale", grad_ckpt=True)
    names = list(net.state_dict())
    assert compile_parts(net) == "compiled: ocr, scale_attn (the first steps are slow)"
    assert {n for n, part in net.parts().items() if part._compiled_call_impl} == {"ocr", "scale_attn"}
    assert list(net.state_dict()) == names


@pytest.mark.slow
def test_compiled_equals_eager(narrow) -> None:
    net = narrow("basic.HRNet").eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        eager = net(x)["pred"]
        if not compile_parts(net).startswith("compiled"):
            pytest.skip("no compiler here")
        torch.testing.assert_close(net(x)["pred"], eager, rtol=1e-4, atol=1e-5)
